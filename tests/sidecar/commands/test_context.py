"""How a command begins, and the one line in which it says why it cannot go on."""

import os
import socket

import pytest

from sidecar.commands.context import Context, one_line_errors, whoami
from sidecar.ops.audit import Audit, Who
from sidecar.redis.client import Redis
from tests.conftest import MakeSettings
from tests.sidecar.commands.running import run

pytestmark = pytest.mark.usefixtures("own_environment", "configured")


@pytest.mark.parametrize(
    "command",
    [
        *(("serve",), ("status",), ("numbers", "list"), ("dead-letters", "list")),
        *(("unknown", "list"), ("modes", "list"), ("parity",), ("rollback", "--all")),
    ],
)
def test_a_wrong_setting_is_one_line(command: tuple[str, ...]) -> None:
    result = run(*command, SIDECAR_PORT="eighty")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == (
        "Error: setting port (SIDECAR_PORT) is wrong: input should be a valid integer, "
        "unable to parse string as an integer\n"
    )


@pytest.mark.parametrize("command", [("numbers", "list"), ("dead-letters", "list")])
def test_an_embedded_valkey_that_does_not_start_is_one_line(command: tuple[str, ...]) -> None:
    result = run(*command, SIDECAR_DATA_DIR="x" * 120)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: the embedded Valkey did not start: ")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "command",
    [("numbers", "list"), ("dead-letters", "list"), ("parity",), ("dead-letters", "show", "a")],
)
def test_redis_is_unavailable(command: tuple[str, ...]) -> None:
    result = run(*command, SIDECAR_REDIS_URL="redis://127.0.0.1:9/0")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: Redis is unavailable: ")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("command", [("unknown", "list"), ("adopt-webhooks",)])
def test_php_is_unavailable(command: tuple[str, ...]) -> None:
    result = run(*command)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: PHP call failed: ")
    assert len(result.stderr.splitlines()) == 1


def test_logging_is_set_up_as_the_settings_say(configured: list[tuple[str, ...]]) -> None:
    told = {"SIDECAR_LOG_LEVEL": "info", "SIDECAR_LOG_FORMAT": "console"}
    run("dead-letters", "list", SIDECAR_REDIS_URL="redis://127.0.0.1:9/0", **told)
    run("modes", "list", **told)
    assert configured == [("info", "console", "dead-letters"), ("error", "console", "modes")]


def test_the_embedded_valkey() -> None:
    result = run("dead-letters", "list")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "no dead letters\n", "")


async def test_what_was_opened_is_closed(make_settings: MakeSettings, redis: Redis) -> None:
    async with Context(make_settings()) as context:
        own = context.redis()
        await own.set("a", 1)
        assert await context.redis().get("a") == b"1", "the same Valkey"
        url = context.redis_url
    assert await redis.get("a") is None, "that is another one"
    async with Context(make_settings(redis_url=url)) as context:
        with pytest.raises(Exception, match=r"(?i)no such file|refused"):
            await context.redis().get("a")


def test_a_reader_who_has_seen_enough_is_no_outage_of_redis() -> None:
    """``sidecar dead-letters list | head``: click ends the command in silence."""
    with pytest.raises(BrokenPipeError), one_line_errors():
        raise BrokenPipeError


def test_a_fault_of_the_commands_own_is_told_from_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("a fault")

    monkeypatch.setattr("sidecar.commands.modes.cutover_of", fail)
    result = run("modes", "list")
    assert result.exit_code == 2
    assert "Traceback" in result.stderr
    assert result.stderr.endswith("Error: the command itself failed; please report this\n")


def test_what_redis_does_not_understand_is_one_line(redis_url: str) -> None:
    result = run("numbers", "list", SIDECAR_REDIS_URL=redis_url.removesuffix("/0") + "/999")
    assert result.exit_code == 1
    assert "index" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_who_runs_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    host = socket.gethostname()
    monkeypatch.setattr("getpass.getuser", lambda: "root")
    monkeypatch.delenv("SUDO_USER", raising=False)
    assert whoami() == Who("command", f"root@{host}")
    monkeypatch.setenv("SUDO_USER", "ada")
    assert whoami().name == f"ada as root@{host}"

    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 10001")

    monkeypatch.delenv("SUDO_USER")
    monkeypatch.setattr("getpass.getuser", nameless)
    assert whoami().name == f"uid {os.getuid()}@{host}"


async def test_actions_are_recorded_in_the_settings_redis(
    make_settings: MakeSettings, redis: Redis, redis_url: str
) -> None:
    async with Context(make_settings(redis_url=redis_url)) as context:
        await context.audit.record(whoami(), "number.lift")
    assert len(await Audit(redis, 100).read()) == 1
