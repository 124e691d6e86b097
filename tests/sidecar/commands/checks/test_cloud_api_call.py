"""One question to the Cloud API, and what its answer, or the want of one, means."""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import aiohttp.connector
import orjson
import pytest
from aiohttp import web

from sidecar.commands.checks import cloud_api_call
from sidecar.commands.checks.cloud_api_call import CloudApiCalls, Finding, judge
from sidecar.commands.checks.line import Level
from tests.nginx.certificates import Authority

VERSION = "v26.0"
TOKEN = "EAAG-secret"


def refusal(code: int | None, status: int = 400, **more: Any) -> Finding:
    error = {"message": f"Malformed access token {TOKEN}", "code": code, **more}
    return judge(status, orjson.dumps({"error": error}), True, VERSION)


async def ask(url: str, token: str | None = TOKEN, number: str = "110") -> Finding:
    async with CloudApiCalls(url, VERSION) as calls:
        return await calls.ask(number, token)


# -- what it answers --


@pytest.mark.parametrize(
    ("code", "more", "says", "do"),
    [
        (190, {"error_subcode": 463}, "token is refused (code 190, subcode 463: it has", "enter"),
        (190, {}, "the access token is refused (code 190)", "enter a new one in PHP"),
        (0, {"status": 401}, "the access token is refused (code 0)", "enter a new one in PHP"),
        (100, {"error_subcode": 33}, "Meta has no such number, or", "compare the phone number id"),
        (33, {}, "Meta has no such number, or", "compare the phone number id"),
        (10, {"status": 403}, "lacks a permission (code 10)", "whatsapp_business_messaging"),
        (200, {"status": 403}, "lacks a permission (code 200)", "whatsapp_business_messaging"),
        (131031, {"status": 403}, "account locked (code 131031)", "WhatsApp Manager"),
        (100, {}, "invalid parameter (code 100)", "WhatsApp Manager"),
    ],
)
def test_what_is_wrong_with_one_number(code: int, more: dict[str, Any], says: str, do: str) -> None:
    status = more.pop("status", 400)
    found = refusal(code, status, **more)
    assert (found.level, found.reached, found.everybody) == (Level.FAIL, True, False)
    assert says in found.detail
    assert do in (found.do or "")
    assert TOKEN not in found.detail, "Meta's own words may hold the token"


@pytest.mark.parametrize("code", [4, 80007, 613, 130429])
def test_a_limit_of_calls_is_no_fault(code: int) -> None:
    found = refusal(code)
    assert (found.level, found.enough) == (Level.WARN, code in (4, 613))


@pytest.mark.parametrize(
    ("code", "status"), [(2, 503), (131000, 500), (131016, 503), (1, 500), (None, 500)]
)
def test_a_fault_of_metas_is_everybodys(code: int | None, status: int) -> None:
    found = refusal(code, status, is_transient=True)
    assert (found.level, found.everybody) == (Level.FAIL, True)
    assert f"HTTP {status}" in found.detail
    assert "goes on by itself" in (found.do or "")


@pytest.mark.parametrize("code", [2635, 2500])
def test_a_version_that_is_not_served(code: int) -> None:
    found = refusal(code)
    assert (found.level, found.everybody) == (Level.FAIL, True)
    assert "version v26.0 is not served" in found.detail
    assert "cloud_api_version" in (found.do or "")


@pytest.mark.parametrize(
    ("status", "content"),
    [
        *((502, b"<html>Bad Gateway</html>"), (200, b"<html>"), (200, b""), (407, b"")),
        *((302, b"{}"), (200, b"[]"), (200, b"{}"), (200, b'{"error": "no"}')),
    ],
)
def test_something_else_answers(status: int, content: bytes) -> None:
    found = judge(status, content, True, VERSION)
    assert (found.level, found.reached) == (Level.FAIL, False)
    assert f"HTTP {status}" in found.detail
    assert "proxy" in found.detail


def test_without_a_token_a_refusal_is_an_answer() -> None:
    body = orjson.dumps({"error": {"code": 104, "message": "An access token is required"}})
    assert judge(400, body, False, VERSION).level is Level.OK
    assert judge(502, b"<html>", False, VERSION).level is Level.FAIL


@pytest.mark.parametrize("word", ["BLOCKED", "LIMITED"])
def test_a_number_that_meta_blocks(word: str) -> None:
    entities = [
        {"entity_type": "PHONE_NUMBER", "id": "110", "can_send_message": "AVAILABLE"},
        {
            "entity_type": "WABA",
            "can_send_message": word,
            "errors": [{"error_code": 141006, "error_description": "no payment method"}],
        },
    ]
    health = {"can_send_message": word, "entities": entities}
    found = judge(200, orjson.dumps({"id": "110", "health_status": health}), True, VERSION)
    assert found.level is (Level.FAIL if word == "BLOCKED" else Level.WARN)
    assert ", because of its account (code 141006)" in found.detail


ODD_ENTITIES: list[Any] = [
    *(None, [1], {}, [{"errors": 3}]),
    [{"can_send_message": "LIMITED", "entity_type": {}, "errors": 3}],
    [{"can_send_message": "LIMITED", "errors": [1, {"error_code": "x"}]}],
]
ODD_HEALTH: list[Any] = [
    *(None, [], {}, "x", {"can_send_message": "AVAILABLE"}),
    *({"can_send_message": "LIMITED", "entities": entities} for entities in ODD_ENTITIES),
]


@pytest.mark.parametrize("health", ODD_HEALTH)
def test_a_health_of_any_shape(health: object) -> None:
    found = judge(200, orjson.dumps({"id": "110", "health_status": health}), True, VERSION)
    assert found.level in (Level.OK, Level.WARN)


# -- how it is asked --

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(handler: Handler, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def well(request: web.Request) -> web.Response:
    assert request.headers["Authorization"] == f"Bearer {TOKEN}"
    return web.json_response({"id": request.path.rpartition("/")[2]})


async def test_a_number_that_answers() -> None:
    async with serving(well) as port:
        found = await ask(f"http://127.0.0.1:{port}")
    assert (found.level, found.reached) == (Level.OK, True)
    assert found.took_s > 0


async def test_an_id_is_no_path() -> None:
    asked: list[str] = []

    async def note(request: web.Request) -> web.Response:
        asked.append(request.raw_path)
        return web.json_response({"id": "1"})

    async with serving(note) as port:
        await ask(f"http://127.0.0.1:{port}", number="../me?x=1&")
    assert asked == ["/v26.0/..%2Fme%3Fx%3D1%26?fields=id,health_status"]


async def test_a_token_that_must_not_see_the_health_can_send() -> None:
    async def health_is_refused(request: web.Request) -> web.Response:
        if "health_status" in request.query["fields"]:
            return web.json_response({"error": {"code": 100, "message": "no field"}}, status=400)
        return web.json_response({"id": "110"})

    async with serving(health_is_refused) as port:
        assert (await ask(f"http://127.0.0.1:{port}")).level is Level.OK


async def test_a_number_that_meta_blocks_is_asked_about_once() -> None:
    """That it answers at all makes it no better."""

    async def blocked(request: web.Request) -> web.Response:
        health = {"health_status": {"can_send_message": "BLOCKED", "entities": []}}
        asked = "health_status" in request.query["fields"]
        return web.json_response({"id": "110", **(health if asked else {})})

    async with serving(blocked) as port:
        assert (await ask(f"http://127.0.0.1:{port}")).level is Level.FAIL


async def test_meta_answers_by_another_version() -> None:
    async def newer(request: web.Request) -> web.Response:
        return web.json_response({"id": "110"}, headers={"facebook-api-version": "v27.0"})

    async with serving(newer) as port:
        found = await ask(f"http://127.0.0.1:{port}")
    assert (found.level, found.everybody) == (Level.WARN, True)
    assert "v26.0 was asked for, and Meta answers as v27.0" in found.detail


async def test_a_token_that_no_header_holds() -> None:
    found = await ask("http://127.0.0.1:9", token="a\nb")
    assert (found.level, found.reached) == (Level.FAIL, True)
    assert "line break" in found.detail


# -- nobody answers --


async def test_the_name_does_not_resolve() -> None:
    found = await ask("http://cloud-api.invalid")
    assert (found.level, found.everybody) == (Level.FAIL, True)
    assert "the name cloud-api.invalid does not resolve" in found.detail
    assert "name server" in (found.do or "")


async def test_nobody_listens() -> None:
    found = await ask("http://127.0.0.1:9")
    assert "127.0.0.1 refuses the connection at port 9" in found.detail
    assert "cloud_api_url" in (found.do or "")


async def test_it_is_read_and_never_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud_api_call, "ANSWER_TIMEOUT_S", 0.2)

    async def hang(request: web.Request) -> web.Response:
        await asyncio.sleep(60)
        raise AssertionError("nobody waits so long")

    async with serving(hang) as port:
        found = await ask(f"http://127.0.0.1:{port}")
    assert (found.reached, "no answer within" in found.detail) == (False, True)


async def test_the_connection_breaks() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.transport.abort()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        found = await ask(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert (found.reached, "the connection broke" in found.detail) == (False, True)


async def test_no_tls_is_spoken_there() -> None:
    async with serving(well) as port:
        found = await ask(f"https://127.0.0.1:{port}")
    assert found.detail.startswith("TLS with 127.0.0.1 failed (")
    assert "cloud_api_url" in (found.do or "")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "authority")


def expired(folder: Path) -> tuple[Path, Path]:
    """Return a certificate that was valid until yesterday, and its key."""
    certificate, key, request = (folder / f"expired.{part}" for part in ("pem", "key", "csr"))
    new = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    for command in (
        [*new, "-subj", "/CN=localhost", "-keyout", key, "-out", request],
        ["x509", "-req", "-in", request, "-signkey", key, "-days", "-1", "-out", certificate],
    ):
        subprocess.run(["openssl", *map(str, command)], check=True, capture_output=True)
    return certificate, key


@pytest.mark.parametrize(
    ("kind", "says", "do"),
    [
        ("untrusted", "is not trusted here", "ca-certificates"),
        ("expired", "has expired", "clock"),
        ("other host", "is for another host", "cloud_api_url"),
    ],
)
async def test_certificates(
    authority: Authority,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    says: str,
    do: str,
) -> None:
    trusted = ssl.create_default_context()
    if kind == "expired":
        certificate, key = expired(tmp_path)
        trusted.load_verify_locations(certificate)
    else:
        certificate, key = authority.issue(kind.replace(" ", "-"), "/CN=elsewhere.example")
        if kind == "other host":
            trusted.load_verify_locations(authority.certificate)
    monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", trusted)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    async with serving(well, context) as port:
        found = await ask(f"https://localhost:{port}")
    assert (found.level, found.everybody) == (Level.FAIL, True)
    assert found.detail.startswith(f"the certificate of localhost {says} (")
    assert do in (found.do or "")
