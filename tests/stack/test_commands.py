"""What the package adds to artisan, and the client that the admin's code uses."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from contracts.signing import Audience, SignatureRefused, Verifier
from simulator.stack.application import APPLICATION
from simulator.stack.installation import CONTRACTS
from simulator.stack.packages import program
from tests.contract.laravel import LaravelBackend
from tests.contract.under_test import Campaign, Vendor
from tests.stack.php_code import run_php

UNKNOWN = b'{"error": {"code": "campaign_unknown", "message": "there is no such campaign"}}'


@pytest.fixture
def sidecar() -> Iterator[HTTPServer]:
    """A sidecar that checks signatures, knows no campaign, and is in good health."""
    verifier = Verifier(Audience.SIDECAR, LaravelBackend.keys)

    def answer(request: Request) -> Response:
        if request.path == "/healthz":
            return Response('{"status": "ok", "checks": {}}', 200)
        target = request.environ["REQUEST_URI"]
        try:
            verifier.verify(request.method, target, dict(request.headers), request.get_data())
        except SignatureRefused as refused:
            body = f'{{"error": {{"code": "{refused.code}", "message": "{refused}"}}}}'
            return Response(body, 401)
        return Response(UNKNOWN, 404)

    with HTTPServer() as server:
        server.expect_request(re.compile(".*")).respond_with_handler(answer)
        yield server


def test_status_says_who_owns_what(
    backend: LaravelBackend, vendor: Vendor, campaign: Campaign
) -> None:
    other = backend.seed_vendor()
    done = backend.installation.application.artisan(
        "whatsapp-sidecar:status", WHATSAPP_SIDECAR_VENDORS=vendor.uid
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = {line.split("|")[1].strip(): line for line in done.stdout.splitlines() if "|" in line}
    cells = [cell.strip() for cell in lines[vendor.uid].split("|")]
    modes = ["sidecar", "sidecar", "php"]
    assert cells[3:8] == [*modes, str(len(campaign.row_uids)), "0"]
    assert [cell.strip() for cell in lines[other.uid].split("|")][3:6] == ["php"] * 3


def test_paused_campaigns_are_shown_and_go_on_without_the_sidecar(
    backend: LaravelBackend, vendor: Vendor
) -> None:
    paused, cancelled = (backend.seed_campaign(vendor, 2) for _ in range(2))
    for campaign, state in ((paused, "paused"), (cancelled, "cancelled")):
        kept = {"state": state, "reason": "wrong prices"}
        backend.change("campaigns", {"__data.sidecar": kept}, _uid=campaign.uid)
    run = backend.installation.application.artisan
    line = f"campaign {paused.uid} is paused: wrong prices; 2 queued"
    assert line in run("whatsapp-sidecar:status").stdout
    done = run("whatsapp-sidecar:resume", paused.uid)
    assert (done.returncode, done.stdout.strip()) == (0, f"{paused.uid} goes on"), done.stderr
    [row] = backend.rows("campaigns", _uid=paused.uid)
    assert row["__data"]["sidecar"]["state"] == "running"
    assert paused.uid not in run("whatsapp-sidecar:status").stdout
    done = run("whatsapp-sidecar:resume", cancelled.uid, "nothing")
    assert done.returncode == 1
    assert f"campaign '{cancelled.uid}' is cancelled: wrong prices" in done.stdout
    assert "no campaign 'nothing'" in done.stdout or "there is no vendor" in done.stdout


def test_check_makes_the_signed_round_trip(backend: LaravelBackend, sidecar: HTTPServer) -> None:
    done = backend.installation.application.artisan(
        "whatsapp-sidecar:check", WHATSAPP_SIDECAR_URL=sidecar.url_for("").rstrip("/")
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FAILED" not in done.stdout
    assert "signed round trip" in done.stdout
    assert re.search(r"^ok      database: (MariaDB|MySQL) \d+\.\d+", done.stdout, re.M)
    [broadcasts] = re.findall(r"^ok      broadcasts: (.*)", done.stdout, re.M)
    assert "events go to the connection 'null'" in broadcasts
    assert "for 'pusher' has no app_id, key and secret" in broadcasts


def test_check_names_the_reason_of_a_refusal(backend: LaravelBackend, sidecar: HTTPServer) -> None:
    done = backend.installation.application.artisan(
        "whatsapp-sidecar:check",
        WHATSAPP_SIDECAR_URL=sidecar.url_for("").rstrip("/"),
        WHATSAPP_SIDECAR_KEYS="first:not-the-sidecars-secret",
    )
    assert done.returncode == 1
    assert "signature_mismatch" in done.stdout


def test_check_says_that_nobody_answers(backend: LaravelBackend) -> None:
    done = backend.installation.application.artisan(
        "whatsapp-sidecar:check", WHATSAPP_SIDECAR_URL="http://127.0.0.1:9"
    )
    assert done.returncode == 1
    assert "does not answer" in done.stdout
    assert "WHATSAPP_SIDECAR_URL" in done.stdout


def test_check_names_a_routine_that_is_missing(backend: LaravelBackend) -> None:
    engine = "WhatsappSidecar\\Laravel\\Engine\\HostRoutineEngine"
    done = backend.installation.application.artisan(
        "whatsapp-sidecar:check", WHATSAPP_SIDECAR_ENGINE=engine
    )
    assert done.returncode == 1
    assert "WHATSAPP_SIDECAR_HOST_CLASS" in done.stdout


def test_check_names_a_word_that_there_is_not(backend: LaravelBackend) -> None:
    done = backend.installation.application.artisan(
        "whatsapp-sidecar:check", WHATSAPP_SIDECAR_CAMPAIGN_OPT_OUTS="none"
    )
    assert done.returncode == 1
    line = next(line for line in done.stdout.splitlines() if "campaign_opt_outs" in line)
    assert line.startswith("FAILED")
    assert "WHATSAPP_SIDECAR_CAMPAIGN_OPT_OUTS must be one of off, marketing, all" in line


@pytest.mark.parametrize(("setting", "there"), [("true", True), ("false", False)])
def test_the_webhook_route_can_be_left_out(
    backend: LaravelBackend, setting: str, there: bool
) -> None:
    done = backend.installation.application.artisan(
        "route:list", "--json", WHATSAPP_SIDECAR_FALLBACK_ROUTE=setting
    )
    paths = [route["uri"] for route in orjson.loads(done.stdout)]
    assert ("whatsapp-webhook/{vendorUid}" in paths) is there
    assert "internal/claim-messages" in paths


@pytest.mark.parametrize("what", ["config", "route"])
def test_settings_and_routes_can_be_cached(
    backend: LaravelBackend, tmp_path: Path, what: str
) -> None:
    caches = {f"APP_{name}_CACHE": str(tmp_path / f"{name}.php") for name in ("CONFIG", "ROUTES")}
    run = backend.installation.application.artisan
    done = run(f"{what}:cache", **caches)
    assert done.returncode == 0, done.stdout + done.stderr
    again = run("route:list", "--json", **caches)
    paths = [route["uri"] for route in orjson.loads(again.stdout)]
    assert "internal/claim-messages" in paths


def test_the_configuration_can_be_published(backend: LaravelBackend) -> None:
    code = """
        $provider = WhatsappSidecar\\Laravel\\SidecarServiceProvider::class;
        $tag = 'whatsapp-sidecar-config';
        return Illuminate\\Support\\ServiceProvider::pathsToPublish($provider, $tag);
    """
    [(source, target)] = run_php(backend.installation.application, code, web=False).items()
    package = Path(backend.installation.application.variables["SIDECAR_PACKAGE"])
    assert Path(source).resolve() == package.resolve() / "config" / "whatsapp-sidecar.php"
    assert Path(target) == APPLICATION / "config" / "whatsapp-sidecar.php"


def test_the_published_configuration_outlives_the_package() -> None:
    """Once the package is removed there are none of its classes, and the application reads on."""
    config = CONTRACTS / "laravel" / "config" / "whatsapp-sidecar.php"
    code = f"function env($name, $default = null) {{ return $default; }} require '{config}';"
    done = subprocess.run(
        [program("php"), "-r", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_the_cron_takes_what_is_its_own(backend: LaravelBackend, vendor: Vendor) -> None:
    mine = backend.seed_campaign(vendor, 2)
    run = backend.installation.application.artisan
    # Vendors of other tests may have been given modes of their own.
    nothing = run("campaign:process", "--rows=100000", WHATSAPP_SIDECAR_VENDORS="all")
    assert nothing.returncode == 0
    assert not set(nothing.stdout.split()) & set(mine.row_uids)
    others = run("campaign:process", "--rows=100000", WHATSAPP_SIDECAR_VENDORS=f" {vendor.uid} ,x")
    assert not set(others.stdout.split()) & set(mine.row_uids)
    everything = run("campaign:process", "--rows=100000", WHATSAPP_SIDECAR_VENDORS="none")
    assert set(mine.row_uids) <= set(everything.stdout.split())
