"""``sidecar check``: a line for each thing, and what to do about it."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import redis
from click.testing import CliRunner
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from contracts import backend as contract
from contracts.signing import Audience, SignatureRefused, Verifier
from sidecar import logs
from sidecar.commands.main import main
from simulator.redis_server import RedisServer
from tests import trust

NOBODY = "00000000-0000-0000-0000-000000000000"
#: Where it is asked about nobody's number, without a token.
CLOUD_API = "/v26.0/0"
KEYS = f"{trust.KEY_ID}:{trust.SIGNING_SECRET}"


class Run:
    """``lines`` are those of a run by what they are about: OK, WARN or FAIL, and the detail."""

    def __init__(self, code: int, output: str) -> None:
        self.code = code
        self.output = output
        self.lines: dict[str, tuple[str, str]] = {}
        for line in output.splitlines():
            verdict, _, rest = line.partition(" ")
            what, _, detail = rest.strip().partition(": ")
            self.lines[what] = (verdict, detail)

    def verdicts(self) -> dict[str, str]:
        return {what: verdict for what, (verdict, _) in self.lines.items()}


Check = Callable[..., Run]


@pytest.fixture
def check(own_environment: None, monkeypatch: pytest.MonkeyPatch) -> Check:
    """Run the command with these settings."""
    monkeypatch.setattr(logs, "configure", lambda *arguments: None)

    def run(*arguments: str, **settings: str) -> Run:
        settings = {"cloud_api_url": "http://127.0.0.1:9", **settings}
        environment = {f"SIDECAR_{name.upper()}": value for name, value in settings.items()}
        result = CliRunner().invoke(main, ["check", *arguments], env=environment)
        assert result.stderr == ""
        return Run(result.exit_code, result.stdout)

    return run


@pytest.fixture
def php(httpserver: HTTPServer) -> HTTPServer:
    """A PHP side that checks the signature and knows no vendor, and a Cloud API beside it."""

    def handle(request: Request) -> Response:
        try:
            Verifier(Audience.BACKEND, {trust.KEY_ID: trust.SIGNING_SECRET.encode()}).verify(
                "POST", request.environ["REQUEST_URI"], dict(request.headers), request.get_data()
            )
        except SignatureRefused as error:
            detail = contract.ErrorDetail(code=error.code, message=str(error))
            answer = contract.ErrorAnswer(error=detail).model_dump_json()
            return Response(answer, 401, content_type="application/json")
        answer = contract.VendorConfigAnswer(vendors=[], unknown=[NOBODY]).model_dump_json()
        return Response(answer, content_type="application/json")

    httpserver.expect_request(contract.VENDOR_CONFIG).respond_with_handler(handle)
    httpserver.expect_request(contract.MODES).respond_with_json({"version": 1, "vendors": []})
    httpserver.expect_request(CLOUD_API).respond_with_json({"error": {"code": 104}}, 400)
    return httpserver


def settings_of(php: HTTPServer, redis_url: str, **others: str) -> Mapping[str, str]:
    return {
        "backend_url": php.url_for(""),
        "cloud_api_url": php.url_for(""),
        "redis_url": redis_url,
        "signing_keys": KEYS,
        "app_secrets": trust.APP_SECRET,
        **others,
    }


def test_all_is_well(check: Check, php: HTTPServer, redis_url: str) -> None:
    run = check(**settings_of(php, redis_url))
    assert run.code == 0, run.output
    assert run.verdicts() == {"cloud api numbers": "WARN"} | dict.fromkeys(
        [
            "settings",
            "redis",
            "dramatiq's database",
            "redis access",
            "redis appendonly",
            "redis appendfsync",
            "redis maxmemory-policy",
            "backend",
            "signature",
            "cloud api",
        ],
        "OK",
    )
    assert trust.SIGNING_SECRET not in run.output
    assert trust.APP_SECRET not in run.output


def test_as_a_process(
    own_environment: None, tmp_path: Path, php: HTTPServer, redis_url: str
) -> None:
    settings = settings_of(php, redis_url)
    for backend_url, code in ((settings["backend_url"], 0), ("http://127.0.0.1:9", 1)):
        environment = {f"SIDECAR_{name.upper()}": value for name, value in settings.items()}
        run = subprocess.run(
            [sys.executable, "-m", "sidecar.commands.main", "check"],
            env={**os.environ, **environment, "SIDECAR_BACKEND_URL": backend_url},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert run.returncode == code, run.stdout
        assert run.stderr == ""
        assert run.stdout.startswith("OK    settings: ")


def test_a_managed_redis_that_refuses_config(check: Check, php: HTTPServer, redis_url: str) -> None:
    """That is no fault of its; what could not be seen is named."""
    with redis.Redis.from_url(redis_url) as client:
        client.acl_setuser(
            "managed", enabled=True, passwords=["+a"], keys=["*"], categories=["+@all", "-@admin"]
        )
        try:
            run = check(**settings_of(php, redis_url.replace("redis://", "redis://managed:a@")))
        finally:
            client.acl_deluser("managed")
    assert run.code == 0, run.output
    assert run.lines["redis"][0] == "OK"
    for what in ("access", "appendonly", "appendfsync", "maxmemory-policy"):
        level, detail = run.lines[f"redis {what}"]
        assert (level, "refuses CONFIG" in detail) == ("WARN", True)


def test_a_redis_that_anybody_may_use(check: Check, php: HTTPServer, redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        before = client.config_get("bind", "protected-mode")
        client.config_set("bind", "0.0.0.0")
        client.config_set("protected-mode", "no")
        try:
            run = check(**settings_of(php, redis_url))
        finally:
            for name, value in before.items():
                client.config_set(name, value)
    assert run.code == 0, run.output
    level, detail = run.lines["redis access"]
    assert (level, "needs no password at 0.0.0.0" in detail) == ("WARN", True)


def test_the_embedded_valkey_is_well(check: Check, php: HTTPServer, tmp_path: Path) -> None:
    settings = dict(settings_of(php, ""))
    run = check(**settings)
    assert run.code == 0, run.output
    assert run.lines["redis appendfsync"] == ("OK", "always")
    assert (tmp_path / "var" / "appendonlydir").is_dir()
    assert not (tmp_path / "var" / "valkey.sock").exists()


def test_an_embedded_valkey_that_does_not_start(check: Check, php: HTTPServer) -> None:
    run = check(**settings_of(php, "", data_dir="x" * 120))
    assert run.code == 1
    assert "unix socket path too long" in run.lines["redis"][1]


def test_a_wrong_setting(check: Check) -> None:
    run = check(backend_url="php", signing_keys=KEYS)
    assert run.code == 2
    assert run.output == (
        "FAIL  settings: setting backend_url (SIDECAR_BACKEND_URL) is wrong: "
        "it is not an http:// or https:// address\n"
    )


def test_nothing_is_there(check: Check) -> None:
    run = check(
        backend_url="http://127.0.0.1:9",
        redis_url="redis://127.0.0.1:9/0",
        signing_keys=KEYS,
        app_secrets=trust.APP_SECRET,
    )
    assert run.code == 1
    assert run.verdicts() == {"settings": "OK"} | dict.fromkeys(
        ["redis", "dramatiq's database", "backend", "cloud api"], "FAIL"
    )
    assert "check cloud_api_url" in run.lines["cloud api"][1]
    assert "check that it runs, and that redis_url is right" in run.lines["redis"][1]
    assert "check that backend_url is right, and that PHP runs" in run.lines["backend"][1]


def test_a_key_that_php_does_not_know(check: Check, php: HTTPServer, redis_url: str) -> None:
    for keys, reason in (
        ("other:0123456789abcdef", "key_unknown"),
        (f"{trust.KEY_ID}:0123456789abcdef", "signature_mismatch"),
    ):
        run = check(**settings_of(php, redis_url, signing_keys=keys))
        assert run.code == 1
        verdict, detail = run.lines["signature"]
        assert verdict == "FAIL"
        assert detail.startswith(f"PHP refused the call: {reason}: ")
        assert "0123456789abcdef" not in run.output


def test_what_is_odd_but_no_error(check: Check, httpserver: HTTPServer, redis_url: str) -> None:
    httpserver.expect_request(contract.VENDOR_CONFIG).respond_with_json({"vendors": []})
    httpserver.expect_request(contract.MODES).respond_with_json({"version": 1, "vendors": []})
    httpserver.expect_request(CLOUD_API).respond_with_json({"error": {"code": 104}}, 400)
    run = check(**settings_of(httpserver, redis_url, app_secrets=""))
    assert run.code == 0
    assert run.lines["app secrets"][0] == "WARN"
    assert run.lines["contract"] == (
        "WARN",
        "PHP did not report a vendor that does not exist as unknown",
    )


@pytest.fixture
def forgetful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis as it comes from the shelf."""
    with RedisServer(tmp_path_factory.mktemp("forgetful")) as server:
        with redis.Redis.from_url(server.url) as client:
            client.config_set("appendonly", "no")
            client.config_set("appendfsync", "everysec")
            client.config_set("maxmemory-policy", "allkeys-lru")
        yield server.url


def test_a_redis_that_forgets(check: Check, php: HTTPServer, forgetful: str) -> None:
    run = check(**settings_of(php, forgetful))
    assert run.code == 1
    assert run.lines["redis"][0] == "OK"
    for name, found, wanted in (
        ("appendonly", "no", "yes"),
        ("appendfsync", "everysec", "always"),
        ("maxmemory-policy", "allkeys-lru", "noeviction"),
    ):
        verdict, detail = run.lines[f"redis {name}"]
        assert verdict == "FAIL"
        assert detail.startswith(f"is {found}: ")
        assert detail.endswith(f"; set it to {wanted}")


def test_dramatiq_has_a_database_of_its_own(check: Check, php: HTTPServer, redis_url: str) -> None:
    run = check(**settings_of(php, redis_url.removesuffix("/0") + "/15"))
    assert run.code == 1
    assert run.lines["redis"][0] == "OK"
    verdict, detail = run.lines["dramatiq's database"]
    assert (verdict, "index" in detail, "dramatiq_redis_url" in detail) == ("FAIL", True, True)


def test_the_cloud_api_is_away(check: Check, php: HTTPServer, redis_url: str) -> None:
    run = check(**settings_of(php, redis_url, cloud_api_url="http://cloud-api.invalid"))
    assert run.code == 1
    verdict, detail = run.lines["cloud api"]
    assert (verdict, "cloud-api.invalid does not resolve" in detail) == ("FAIL", True)
    assert [what for what, verdict in run.verdicts().items() if verdict == "FAIL"] == ["cloud api"]


def test_a_vendors_number(check: Check, php: HTTPServer, redis_url: str) -> None:
    """No webhook of the vendor's is tried, for which a public address would be needed."""
    config = {"vendor_uid": "a", "access_token": "secret", "current_phone_number_id": "110"}
    php.expect_oneshot_request(contract.VENDOR_CONFIG).respond_with_json(
        {"vendors": [], "unknown": [NOBODY]}
    )
    php.expect_oneshot_request(contract.VENDOR_CONFIG).respond_with_json({"vendors": [config]})
    php.expect_request("/v26.0/110").respond_with_json({"error": {"code": 190}}, 401)
    run = check("--vendor", "a", **settings_of(php, redis_url))
    assert run.code == 1
    verdict, detail = run.lines["number 110 of vendor a"]
    assert (verdict, "the access token is refused (code 190)" in detail) == ("FAIL", True)
    assert "secret" not in run.output
