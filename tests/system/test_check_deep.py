"""``sidecar check --deep`` on an installation that runs, and on parts of it that do not."""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from pytest_httpserver import HTTPServer

from contracts import backend as contract
from sidecar.commands.checks.basic import NOBODY
from simulator.embedded import EmbeddedInstallation
from simulator.ports import free_ports
from tests.eventually import eventually

Lines = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedInstallation]:
    with EmbeddedInstallation(tmp_path_factory.mktemp("installation")) as it:
        it.configure(port=free_ports(1)[0])
        it.start_cloud_api("--phone-number-id", "200000000000001")
        it.start_redis()
        it.start_backend()
        it.seed_vendors(vendors=1)
        it.start_sidecar()
        it.start_worker()
        yield it


def run(
    installation: EmbeddedInstallation, *arguments: str, **settings: str
) -> tuple[int, str, str]:
    named = {f"SIDECAR_{name.upper()}": value for name, value in settings.items()}
    done = subprocess.run(
        [sys.executable, "-m", "sidecar.commands.main", "check", *arguments],
        env={**os.environ, **installation.environment, **named},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def deep(installation: EmbeddedInstallation, *arguments: str, **settings: str) -> tuple[int, Lines]:
    code, output, errors = run(installation, "--deep", "--json", *arguments, **settings)
    assert errors == ""
    found = orjson.loads(output)
    assert found["ok"] == (code == 0)
    lines = {line["what"]: line for line in found["lines"]}
    assert len(lines) == len(found["lines"]), "a thing stands there twice"
    assert installation.SIGNING_KEY[1] not in output
    return code, lines


def failing(lines: Lines) -> set[str]:
    return {what for what, line in lines.items() if line["level"] == "FAIL"}


async def test_all_is_well(installation: EmbeddedInstallation) -> None:
    async def everything() -> bool:
        # A process says a moment after its start that it is there.
        return deep(installation)[0] == 0

    await eventually(everything, 20, every_s=0.5)
    _, lines = deep(installation)
    assert failing(lines) == set()
    for what in (
        "settings",
        "redis version",
        "clock of Redis",
        "disk of the inbox",
        "sidecar version",
        "sidecar serve",
        "worker for effects",
        "open files of this command",
        "clock of PHP",
        "clock of the database",
        "php package",
        "signing keys",
        "php to sidecar",
        "table whatsapp_message_queue",
        "mode of campaigns",
        "campaigns cron",
        "stored webhooks for the sidecar",
    ):
        assert lines[what]["level"] == "OK", what


async def test_lines_for_people(installation: EmbeddedInstallation) -> None:
    code, output, _ = run(installation, "--deep")
    assert code == 0, output
    assert output.startswith("OK    settings: ")
    assert "\nOK    php to sidecar: " in output
    code, output, _ = run(installation)
    assert code == 0
    assert "php to sidecar" not in output


async def test_the_public_address(installation: EmbeddedInstallation) -> None:
    url = installation.processes["sidecar"].url
    for arguments, settings in ((("--public-url", url), {}), ((), {"public_url": url})):
        code, lines = deep(installation, *arguments, **settings)
        assert code == 0
        assert lines["webhooks from the public address"]["level"] == "OK"
        assert lines["verification from the public address"]["level"] == "OK"
    code, lines = deep(installation, "--public-url", "http://127.0.0.1:9")
    assert (code, failing(lines)) == (1, {"public address"})


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--vendor", "v"), "PHP knows no such vendor"),
        (("--deep", "--public-url", "nginx"), "public_url"),
    ],
)
async def test_options_that_make_no_sense(
    installation: EmbeddedInstallation, arguments: tuple[str, ...], says: str
) -> None:
    code, output, errors = run(installation, *arguments)
    assert code != 0
    assert says in output + errors


async def test_the_sidecar_of_another_redis(installation: EmbeddedInstallation) -> None:
    """PHP calls a sidecar, and it is not the one whose Redis is looked at."""
    other = installation.environment["SIDECAR_REDIS_URL"].removesuffix("/0") + "/4"
    code, lines = deep(installation, redis_url=other)
    assert code == 1
    assert "another Redis" in lines["php to sidecar"]["detail"]
    assert {"sidecar serve", "worker for messages"} <= failing(lines)


async def test_nothing_answers(installation: EmbeddedInstallation) -> None:
    away = {"redis_url": "redis://127.0.0.1:9/0", "backend_url": "http://127.0.0.1:9"}
    code, lines = deep(installation, **away)
    assert code == 1
    assert failing(lines) == {"redis", "dramatiq's database", "backend"}
    assert lines["open files of this command"]["level"] in ("OK", "WARN")


async def test_a_sidecar_that_does_not_run(installation: EmbeddedInstallation) -> None:
    installation.processes["sidecar"].stop()
    try:
        code, lines = deep(installation)
    finally:
        installation.start("sidecar")
    assert code == 1
    assert failing(lines) == {"sidecar serve", "php to sidecar"}
    assert "check that sidecar serve runs" in lines["php to sidecar"]["do"]


async def test_a_php_of_yesterday(
    installation: EmbeddedInstallation, httpserver: HTTPServer
) -> None:
    """It has the endpoints that there always were, and not this one."""
    answer = contract.VendorConfigAnswer(vendors=[], unknown=[NOBODY])
    httpserver.expect_request(contract.VENDOR_CONFIG).respond_with_data(answer.model_dump_json())
    httpserver.expect_request(contract.DIAGNOSIS).respond_with_data("<html>", 404)
    code, lines = deep(installation, backend_url=httpserver.url_for("").rstrip("/"))
    assert (code, failing(lines)) == (1, {"php's side", "vendors"})
    assert "update the Laravel package" in lines["php's side"]["do"]
