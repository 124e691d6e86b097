"""What nobody outside may call, however it is spelt."""

import shutil
import subprocess
from pathlib import Path

import pytest

from simulator.stack.nginx import Nginx
from tests.nginx.packages import require
from tests.nginx.raw import ask
from tests.nginx.stub import Stub

REFUSED = (400, 404)

ROUTES = [
    "/internal/process-webhooks",
    "/internal/campaigns/c0ffee/send",
    "/match-bot",
    "/healthz",
    "/readyz",
    "/metrics",
    "/_simulator/report",
]

SPELLINGS = [
    "/internal",
    "/internal/",
    "/internal?x=1",
    "//internal/claim",
    "///internal///claim",
    "/internal//claim",
    "/%69nternal/claim",
    "/%69%6e%74%65%72%6e%61%6c/claim",
    "/internal%2fclaim",
    "/internal%2Fclaim",
    "/%2finternal/claim",
    "%2finternal/claim",
    "/INTERNAL/claim",
    "/Internal/claim",
    "/%49nternal/claim",
    "/./internal/claim",
    "/%2e/internal/claim",
    "/x/../internal/claim",
    "/x/%2e%2e/internal/claim",
    "/x/.%2e/internal/claim",
    "/x%2f..%2finternal/claim",
    "/internal/../internal/claim",
    "/internal/..",
    "/%69nternal/..%2f..",
    "/internal/claim/../../login",
    "/internal/%00",
    "/internal#x",
    "/internal/claim#/../../login",
    "/index.php/internal/claim",
    "/index.php//internal/claim",
    "/index.phpinternal/claim",
    "/x/index.phpinternal/claim",
    "/internal%0a/claim",
    "/index.php%2finternal/claim",
    "/index%2ephp/internal/claim",
    "/INDEX.PHP/internal/claim",
    "/x/y/index.php/internal/claim",
    "/index.php/index.php/internal/claim",
    "/match%2Dbot",
    "/Match-Bot/",
    "//metrics",
    "/%6detrics",
    "/index.php/metrics",
    "/%5fsimulator/faults",
    "http://whatsapp.example.com/internal/claim",
    "HTTP://another.example.com//internal/claim",
    "http://internal/internal/claim",
]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
@pytest.mark.parametrize("target", ROUTES)
async def test_internal_routes(
    nginx: Nginx, sidecar: Stub, php: Stub, target: str, method: str
) -> None:
    assert await ask(nginx.port, target, method) == 404
    assert sidecar.asked == php.asked == []


async def test_every_spelling(nginx: Nginx, sidecar: Stub, php: Stub) -> None:
    answers = {target: await ask(nginx.port, target) for target in SPELLINGS}
    assert {t: code for t, code in answers.items() if code not in REFUSED} == {}
    assert await ask(nginx.port, "/internal/claim", version="1.0") == 404
    assert sidecar.asked == php.asked == []


async def test_whatever_laravel_takes_for_an_internal_route(
    nginx: Nginx, sidecar: Stub, php: Stub
) -> None:
    """Laravel itself is asked which of many paths it would take for one."""
    spellings = laravels_spellings(seed=1, tries=30_000)
    assert len(spellings) > 500
    answers = {target: await ask(nginx.port, target) for target in spellings}
    assert {t: code for t, code in answers.items() if code not in REFUSED} == {}
    assert sidecar.asked == php.asked == []


def laravels_spellings(seed: int, tries: int) -> list[str]:
    interpreter = require("php", shutil.which("php"), "php-cli php-laravel-framework")
    script = Path(__file__).with_name("spellings.php")
    done = subprocess.run(
        [interpreter, "-d", "display_errors=stderr", str(script), str(seed), str(tries)],
        capture_output=True,
        timeout=60,
        check=False,
    )
    if done.returncode and b"Illuminate/autoload.php" in done.stderr:
        require("Laravel", None, "php-laravel-framework")
    assert done.returncode == 0, done.stderr
    return done.stdout.decode("latin-1").split("\n")


@pytest.mark.parametrize(
    "target",
    [
        "/internals",
        "/my-internal/x",
        "/my-metrics",
        "/console/internal/x",
        "/console?next=/internal/x",
        "/console?path=../x",
        "/a..b/c",
        "/.well-known/acme-challenge/x",
    ],
)
async def test_what_only_looks_alike_is_phps(nginx: Nginx, php: Stub, target: str) -> None:
    assert await ask(nginx.port, target) == 200
    assert php.targets == [target]


async def test_a_webhooks_path_leads_nowhere_else(nginx: Nginx, sidecar: Stub, php: Stub) -> None:
    """Neither the sidecar nor, in its place, PHP is asked for a path that was not built here."""
    await sidecar.stop()
    for target in (
        "/webhook/..%2finternal%2fclaim",
        "/webhook/%2e%2e/internal/claim",
        "/webhook/x%2f..%2f..%2finternal",
        "/webhook//internal/claim",
        "//webhook/../internal/claim",
    ):
        assert await ask(nginx.port, target) in (*REFUSED, 200)
    assert not [target for target in php.targets if ".." in target or "%2e" in target]


async def test_the_sidecars_own_door_to_php(nginx: Nginx, sidecar: Stub, php: Stub) -> None:
    """Behind it are the internal calls and PHP's own webhook route, and nothing else."""
    for target in ("/internal/process-webhooks?x=%2F", "/whatsapp-webhook/a?hub.mode=subscribe"):
        assert await ask(nginx.internal_port, target) == 200
    assert php.targets == [
        "/internal/process-webhooks?x=%2F",
        "/whatsapp-webhook/a?hub.mode=subscribe",
    ]
    assert await ask(nginx.internal_port, "/login") == 404
    assert sidecar.asked == []
