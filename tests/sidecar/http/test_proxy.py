"""Webhooks that PHP handles: what PHP gets, and what Meta gets, over real connections."""

import asyncio
import gzip
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import aiohttp
import pytest
from aiohttp import web

from contracts.cloud_api.webhook import SIGNATURE_HEADER, sign
from sidecar.http import proxy
from tests import trust
from tests.conftest import MakeSettings
from tests.eventually import eventually
from tests.sidecar.answering_php import Call, Php
from tests.sidecar.listening import Listening, listening, post
from tests.sidecar.service import VENDOR

ALL_BYTES = bytes(range(256))
LARGE = ALL_BYTES * (3 * 1024 * 1024 // 256)

MakeListening = Callable[..., Awaitable[Listening]]


@pytest.fixture
async def make_listening(
    make_settings: MakeSettings, redis_url: str, php: Php
) -> AsyncIterator[MakeListening]:
    """Start the application, behind its server, for a vendor whose webhooks PHP handles."""
    php.vendors[VENDOR]["modes"] = {"webhooks": "php"}
    async with AsyncExitStack() as stack:

        async def make(**overrides: object) -> Listening:
            settings = make_settings(**{"backend_url": php.url, **overrides})
            return await stack.enter_async_context(listening(settings, redis_url))

        yield make


@pytest.fixture
async def sidecar(make_listening: MakeListening) -> Listening:
    return await make_listening()


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        yield session


def signed(body: bytes) -> dict[str, str]:
    return {SIGNATURE_HEADER: sign(trust.APP_SECRET.encode(), body)}


def headers_of(call: Call) -> dict[str, str]:
    return {name.lower(): value for name, value in call.headers.items()}


def answers(status: int, text: str = "") -> Callable[..., Awaitable[web.Response]]:
    async def answer(request: web.Request, call: Call) -> web.Response:
        return web.Response(status=status, text=text)

    return answer


def sends(raw: bytes, *, reset: bool = False) -> Callable[..., Awaitable[web.Response]]:
    """Answer with these bytes, and close the connection."""

    async def answer(request: web.Request, call: Call) -> web.Response:
        assert request.transport is not None
        if reset:
            connection = request.transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.transport.write(raw)
        request.transport.close()
        return web.Response()

    return answer


# -- what PHP gets -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", ALL_BYTES, gzip.compress(b"{}"), LARGE],
    ids=["empty", "small", "all bytes", "gzip", "3 MB"],
)
async def test_the_body_is_the_same(sidecar: Listening, php: Php, body: bytes) -> None:
    answer = await sidecar.raw(post(body, "Content-Encoding: identity", "Content-Type: text/odd"))
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\ndone")
    [call] = php.webhooks
    assert call.body == body
    found = headers_of(call)
    assert found["content-length"] == str(len(body))
    assert found[SIGNATURE_HEADER.lower()] == signed(body)[SIGNATURE_HEADER]
    assert found["content-type"] == "text/odd"
    assert call.target == f"/whatsapp-webhook/{VENDOR}"


async def test_php_gets_plain_json_with_its_signature(sidecar: Listening, php: Php) -> None:
    """A routine that was written for Meta's webhooks knows no gzip."""
    answer = await sidecar.raw(post(gzip.compress(b'{"a": 1}'), "Content-Encoding: gzip"))
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    [call] = php.webhooks
    assert call.body == b'{"a": 1}'
    found = headers_of(call)
    assert "content-encoding" not in found
    assert found["content-length"] == "8"
    assert found[SIGNATURE_HEADER.lower()] == signed(b'{"a": 1}')[SIGNATURE_HEADER]


async def test_nothing_is_added_but_who_calls(sidecar: Listening, php: Php) -> None:
    answer = await sidecar.raw(post(b"{}", "X-Own: 1", query="?a=%2F&b=c"))
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    [call] = php.webhooks
    assert call.target == f"/whatsapp-webhook/{VENDOR}?a=%2F&b=c"
    assert headers_of(call) == {
        "host": "site.example.com",
        SIGNATURE_HEADER.lower(): sign(trust.APP_SECRET.encode(), b"{}"),
        "x-own": "1",
        "x-forwarded-for": "127.0.0.1",
        "x-forwarded-proto": "http",
        "x-forwarded-host": "site.example.com",
        "via": "1.1 whatsapp-sidecar",
        "content-length": "2",
    }


async def test_a_body_in_chunks_goes_on_with_its_length(sidecar: Listening, php: Php) -> None:
    chunks = b"3\r\n{  \r\n1;ext=1\r\n}\r\n0\r\nX-Trailer: 1\r\n\r\n"
    request = post(b"{  }", "Transfer-Encoding: chunked", "Trailer: X-Trailer", content=chunks)
    assert b"200 OK" in await sidecar.raw(request)
    [call] = php.webhooks
    assert call.body == b"{  }"
    assert headers_of(call)["content-length"] == "4"
    assert not {"transfer-encoding", "trailer"} & headers_of(call).keys()


async def test_a_client_that_waits_for_100(sidecar: Listening, php: Php) -> None:
    answer = await sidecar.raw(post(b"{}", "Expect: 100-continue"))
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
    [call] = php.webhooks
    assert "expect" not in headers_of(call)


async def test_a_client_of_http_1_0(sidecar: Listening, php: Php) -> None:
    head, _, body = (await sidecar.raw(post(b"{}", version="1.0"))).partition(b"\r\n\r\n")
    assert body == b"done"
    assert b"200 OK" in head
    assert b"content-length: 4" in head
    assert headers_of(php.webhooks[0])["via"] == "1.0 whatsapp-sidecar"


# -- what Meta gets ------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 201, 204, 302, 304, 400, 401, 403, 404, 422, 429])
async def test_phps_answer_is_passed_back(
    sidecar: Listening, php: Php, client: aiohttp.ClientSession, status: int
) -> None:
    body = b"" if status in (204, 304) else gzip.compress(b"what PHP says")
    headers = {"Location": "/login", "Content-Encoding": "gzip", "X-Own": "1"}

    async def response(request: web.Request, call: Call) -> web.Response:
        found = web.Response(status=status, body=body, headers=headers)
        found.headers["Connection"] = "x-b"
        found.headers["X-B"] = "of this connection"
        found.set_cookie("a", "1")
        found.set_cookie("b", "2")
        return found

    php.webhook = response
    async with client.post(
        sidecar.url, data=b"{}", headers=signed(b"{}"), allow_redirects=False
    ) as answer:
        assert answer.status == status
        assert await answer.read() == body
        assert answer.headers["X-Own"] == "1"
        assert answer.headers["Location"] == "/login"
        assert answer.headers["X-Sidecar-Proxied"] == "1"
        assert len(answer.headers.getall("Set-Cookie")) == 2
        assert "X-B" not in answer.headers
        assert len(answer.headers.getall("Date")) == 1
        assert ("Content-Length" in answer.headers) is (status not in (204, 304))


async def test_an_answer_of_an_old_server(
    sidecar: Listening, php: Php, client: aiohttp.ClientSession
) -> None:
    """Its body ends with the connection."""
    php.webhook = sends(b"HTTP/1.0 200 OK\r\nX-Own: 1\r\n\r\ndone")
    async with client.post(sidecar.url, data=b"{}", headers=signed(b"{}")) as answer:
        assert (answer.status, await answer.read()) == (200, b"done")
        assert answer.headers["Content-Length"] == "4"


async def test_an_answer_after_an_interim_one(
    sidecar: Listening, php: Php, client: aiohttp.ClientSession
) -> None:
    php.webhook = sends(
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    )
    async with client.post(sidecar.url, data=b"{}", headers=signed(b"{}")) as answer:
        assert (answer.status, await answer.read()) == (200, b"")
        assert "Link" not in answer.headers


@pytest.mark.parametrize("chunked", [False, True], ids=["of known length", "in chunks"])
async def test_a_huge_answer(
    sidecar: Listening, php: Php, client: aiohttp.ClientSession, chunked: bool
) -> None:
    async def answer(request: web.Request, call: Call) -> web.StreamResponse:
        response = web.StreamResponse()
        if chunked:
            response.enable_chunked_encoding()
        else:
            response.content_length = 4 * len(LARGE)
        await response.prepare(request)
        for _ in range(4):
            await response.write(LARGE)
        await response.write_eof()
        return response

    php.webhook = answer
    async with client.post(sidecar.url, data=b"{}", headers=signed(b"{}")) as found:
        assert await found.read() == LARGE * 4
        assert ("Content-Length" in found.headers) is not chunked
    whole = await sidecar.raw(post(b"{}", version="1.0"))
    if chunked:
        assert b" 200 OK" in whole, "it is kept: without chunks its end cannot be told"
        assert whole.endswith(b"done")
    else:
        assert whole.endswith(LARGE * 4)


@pytest.mark.parametrize(
    "begins", [b"Content-Length: 200000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n30d40\r\n"]
)
async def test_a_huge_answer_that_breaks_off(
    sidecar: Listening, php: Php, client: aiohttp.ClientSession, begins: bytes
) -> None:
    """It has begun, so it is too late for another one; but nobody takes it for whole."""
    php.webhook = sends(b"HTTP/1.1 200 OK\r\n" + begins + bytes(100_000))
    with pytest.raises(aiohttp.ClientPayloadError):
        async with client.post(sidecar.url, data=b"{}", headers=signed(b"{}")) as answer:
            await answer.read()
    php.webhook = None
    async with client.post(sidecar.url, data=b"{}", headers=signed(b"{}")) as answer:
        assert await answer.read() == b"done"


# -- connections ---------------------------------------------------------------------------------


def addresses(php: Php) -> Callable[[web.Request, Call], Awaitable[web.Response]]:
    """Answer with the address that the request comes from, which is another one for each
    connection."""

    async def answer(request: web.Request, call: Call) -> web.Response:
        assert request.transport is not None
        return web.Response(text=str(request.transport.get_extra_info("peername")[1]))

    return answer


async def test_connections_are_kept(
    sidecar: Listening, php: Php, client: aiohttp.ClientSession
) -> None:
    php.webhook = addresses(php)
    found = set()
    for _ in range(20):
        async with client.post(sidecar.url, data=b"{}", headers=signed(b"{}")) as answer:
            found.add(await answer.text())
    assert len(found) == 1


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
async def test_a_connection_that_php_closes_while_a_webhook_is_on_its_way(
    sidecar: Listening, php: Php, client: aiohttp.ClientSession, reset: bool
) -> None:
    """It goes out again on another one, and PHP's answer is what Meta gets."""
    seen: set[int] = set()

    async def answer(request: web.Request, call: Call) -> web.StreamResponse:
        assert request.transport is not None
        port = request.transport.get_extra_info("peername")[1]
        if port in seen:
            return await sends(b"", reset=reset)(request, call)
        seen.add(port)
        return web.Response(text="from PHP")

    php.webhook = answer
    for number in range(3):
        body = b"%d" % number
        async with client.post(sidecar.url, data=body, headers=signed(body)) as found:
            assert (found.status, await found.text()) == (200, "from PHP")
    assert [call.body for call in php.webhooks] == [b"0", b"1", b"1", b"2", b"2"]


async def test_one_that_php_always_closes_goes_out_once(
    sidecar: Listening, php: Php, client: aiohttp.ClientSession
) -> None:
    php.webhook = sends(b"")
    async with client.post(sidecar.url, data=b"{}", headers=signed(b"{}")) as answer:
        assert (answer.status, "X-Sidecar-Proxied" in answer.headers) == (200, False)
    assert len(php.webhooks) == 1


async def test_a_client_that_goes_away(sidecar: Listening, php: Php) -> None:
    """PHP gets the webhook whole, and is not broken off."""
    ended = asyncio.Event()
    gone = asyncio.Event()

    async def answer(request: web.Request, call: Call) -> web.Response:
        await gone.wait()
        await asyncio.sleep(0.1)
        assert request.transport is not None
        assert not request.transport.is_closing()
        ended.set()
        return web.Response(text="done")

    php.webhook = answer
    _, writer = await asyncio.open_connection("127.0.0.1", sidecar.port)
    writer.write(post(LARGE))
    await eventually(lambda: php.webhooks)
    writer.transport.abort()
    gone.set()
    await asyncio.wait_for(ended.wait(), 5)
    assert php.webhooks[0].body == LARGE


async def test_a_client_that_goes_away_before_all_is_said(sidecar: Listening, php: Php) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", sidecar.port)
    writer.write(post(LARGE)[:1_000_000])
    await writer.drain()
    writer.close()
    assert b"200 OK" in await sidecar.raw(post(b"{}"))
    assert [call.body for call in php.webhooks] == [b"{}"]


async def test_too_much_on_its_way(
    make_listening: MakeListening,
    php: Php,
    client: aiohttp.ClientSession,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """PHP hangs: what is beyond the bound is kept at once, and what waits is kept in the end."""
    monkeypatch.setattr(proxy, "OVERHEAD_BYTES", 400_000)
    sidecar = await make_listening(proxy_pending_limit_bytes=1024 * 1024, proxy_timeout_s=1.0)
    async with client.post(sidecar.url, data=b"{}", headers=signed(b"{}")) as answer:
        assert answer.headers["X-Sidecar-Proxied"] == "1"
    stuck = asyncio.Event()

    async def hang(request: web.Request, call: Call) -> web.Response:
        await stuck.wait()
        return web.Response(text="late")

    async def one() -> bool:
        async with client.post(sidecar.url, data=b"{}", headers=signed(b"{}")) as answer:
            assert answer.status == 200
            return "X-Sidecar-Proxied" in answer.headers

    php.webhook = hang
    assert await asyncio.gather(*(one() for _ in range(10))) == [False] * 10
    assert len(php.webhooks) == 1 + 2
    stuck.set()
    php.webhook = None
    assert await one(), "there is room again"


async def test_the_number_of_connections_is_bounded(
    make_listening: MakeListening, php: Php, client: aiohttp.ClientSession
) -> None:
    sidecar = await make_listening(proxy_concurrency=2)
    at_once = most = 0

    async def count(request: web.Request, call: Call) -> web.Response:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.01)
        at_once -= 1
        return web.Response(text="done")

    async def one() -> None:
        async with client.post(sidecar.url, data=b"{}", headers=signed(b"{}")) as answer:
            assert answer.headers["X-Sidecar-Proxied"] == "1"

    php.webhook = count
    await asyncio.gather(*(one() for _ in range(20)))
    assert most == 2
