"""Calls to URLs that tenants choose: what they reach, and what they never reach."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from structlog.testing import capture_logs

from sidecar.effects.outbound import (
    Outbound,
    OutboundFailed,
    OutboundRefused,
    Reply,
    SystemResolver,
)
from tests.target import Hit, Target, never, target

TIMEOUT_S = 5.0


@dataclass
class Names(AbstractResolver):
    """Resolves as it is told; the n-th time to the n-th list of addresses, then to the last."""

    names: dict[str, list[list[str]]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked.append(host)
        answers = self.names.get(host)
        if answers is None:
            raise OSError("no such name")
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=0,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        """There is nothing to close."""


@pytest.fixture
async def local() -> AsyncIterator[Target]:
    async with target() as one:
        yield one


@asynccontextmanager
async def outbound(*allow: str, names: AbstractResolver | None = None) -> AsyncIterator[Outbound]:
    one = Outbound(allow, resolver=names)
    try:
        yield one
    finally:
        await one.close()


async def post(one: Outbound, url: str, limit_bytes: int = 1000) -> Reply:
    return await one.post(url, b"{}", {}, timeout_s=TIMEOUT_S, limit_bytes=limit_bytes)


async def refused(url: str, *allow: str, names: AbstractResolver | None = None) -> str:
    """Return why a URL is refused."""
    async with outbound(*allow, names=names) as one:
        with pytest.raises(OutboundRefused) as caught:
            await post(one, url)
    return str(caught.value)


# -- what is never reached --


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "2130706433",
        "127.1",
        "0177.0.0.1",
        "017700000001",
        "0x7f.0.0.1",
        "0x7f.1",
        "0x7f000001",
        "0",
        "0.0.0.0",
        "[::]",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[fe80::1]",
        "169.254.169.254",
        "10.0.0.1",
        "１２７.０.０.１",
        "localhost",
        "LOCALHOST",
    ],
)
async def test_an_address_that_is_not_public(local: Target, host: str) -> None:
    reason = await refused(f"http://{host}:{local.port}/hook?key=secret")
    assert "secret" not in reason
    assert local.hits == []


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "fd00::1"],
)
async def test_a_name_that_resolves_to_what_is_not_public(local: Target, address: str) -> None:
    names = Names({"hooks.example": [[address]]})
    reason = await refused(f"http://hooks.example:{local.port}/", names=names)
    assert "hooks.example" in reason
    assert address in reason
    assert "outbound_allow" in reason
    assert local.hits == []


async def test_a_name_with_several_addresses_none_of_which_is_public(local: Target) -> None:
    names = Names({"hooks.example": [["127.0.0.1", "10.0.0.1", "::1"]]})
    await refused(f"http://hooks.example:{local.port}/", names=names)
    assert local.hits == []


async def test_a_name_that_resolves_to_something_else_the_second_time(local: Target) -> None:
    """The first answer is public, but nothing listens there for us; the next is ours."""
    names = Names({"hooks.example": [["192.88.98.1"], ["127.0.0.1"]]})
    resolved = await names.resolve("hooks.example")
    assert resolved[0]["host"] == "192.88.98.1", "what a check beforehand would have seen"
    reason = await refused(f"http://hooks.example:{local.port}/", names=names)
    assert "127.0.0.1" in reason
    assert local.hits == []


async def test_of_several_addresses_only_those_that_may_be_called_are(local: Target) -> None:
    names = Names({"hooks.example": [["10.0.0.1", "127.0.0.1"]]})
    async with outbound("127.0.0.1", names=names) as one:
        reply = await post(one, f"http://hooks.example:{local.port}/")
    assert reply.status == 200


async def test_where_one_address_may_be_called_and_does_not_answer_it_is_a_failure() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        names = Names({"hooks.example": [["127.0.0.1", "10.0.0.1"]]})
        async with outbound("127.0.0.1", names=names) as one:
            with pytest.raises(OutboundFailed):
                await post(one, f"http://hooks.example:{closed.getsockname()[1]}/")


async def test_a_redirect_is_not_followed(local: Target) -> None:
    async with target() as inner:
        location = f"{inner.url}/"
        local.answer = lambda _hit: web.Response(status=307, headers={"Location": location})
        names = Names({"hooks.example": [["127.0.0.1"]]})
        async with outbound("hooks.example", names=names) as one:
            reply = await post(one, f"http://hooks.example:{local.port}/")
        assert reply.status == 307
        assert inner.hits == []


async def test_proxies_of_the_environment_are_not_used(
    local: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{local.port}")
    names = Names({"hooks.example": [["10.0.0.1"]]})
    await refused("http://hooks.example/", names=names)
    assert local.hits == []


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.example",
        "/path",
        "ftp://hooks.example/",
        "file:///etc/passwd",
        "unix:///run/redis.sock",
        "http://",
        "http:///path",
        "http://:80/",
        "http://hooks.example:99999/",
        "http://hooks.example:x/",
        "http://[::1/",
        "http://user@hooks.example/",
        "http://user:password@hooks.example/",
        "http://:password@hooks.example/",
    ],
)
async def test_what_is_no_url_that_may_be_called(url: str) -> None:
    names = Names({"hooks.example": [["192.88.98.1"]]})
    assert "password@" not in await refused(url, names=names)
    assert names.asked == []


# -- what is allowed --


async def test_an_address_that_the_setting_names(local: Target) -> None:
    local.answer = lambda _hit: web.Response(text="hello")
    async with outbound("127.0.0.0/8") as one:
        reply = await post(one, f"{local.url}/hook?key=secret")
        assert (reply.status, reply.body, reply.cut) == (200, b"hello", False)
        with pytest.raises(OutboundRefused):
            await post(one, f"http://[::1]:{local.port}/")
    [hit] = local.hits
    assert (hit.path, hit.query) == ("/hook", {"key": "secret"})
    assert hit.headers["Content-Type"] == "application/json"


async def test_ipv6(local: Target) -> None:
    async with target("::1") as six, outbound("::1") as one:
        assert (await post(one, f"{six.url}/")).status == 200
        with pytest.raises(OutboundRefused, match=r"127\.0\.0\.1"):
            await post(one, f"{local.url}/")


async def test_a_name_that_the_setting_names(local: Target) -> None:
    async with outbound("localhost") as one:
        assert (await post(one, f"http://localhost:{local.port}/")).status == 200
        assert (await post(one, f"http://LocalHost:{local.port}/")).status == 200
        with pytest.raises(OutboundRefused):
            await post(one, f"{local.url}/")


async def test_a_connection_to_an_allowed_name_is_not_used_for_the_address(local: Target) -> None:
    names = Names({"in.example": [["127.0.0.1"]], "out.example": [["127.0.0.1"]]})
    async with outbound("in.example", names=names) as one:
        await post(one, f"http://in.example:{local.port}/")
        for url in (f"http://out.example:{local.port}/", f"{local.url}/"):
            with pytest.raises(OutboundRefused):
                await post(one, url)
    assert len(local.hits) == 1


# -- answers --


async def test_a_body_is_read_up_to_the_limit(local: Target) -> None:
    async with outbound("127.0.0.1") as one:
        for size, cut in ((1000, False), (1001, True), (5_000_000, True)):
            content = b"x" * size
            local.then(lambda _hit, content=content: web.Response(body=content))
            reply = await post(one, f"{local.url}/")
            assert (len(reply.body), reply.cut) == (1000, cut)
        local.answer = lambda _hit: web.Response(body=b"x")
        reply = await post(one, f"{local.url}/", limit_bytes=0)
        assert (reply.status, reply.body) == (200, b"")


async def test_a_body_that_nobody_wants(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read a little, so that the connection can be used again, and fails nothing."""
    monkeypatch.setattr("sidecar.effects.outbound.DRAIN_S", 0.1)
    bodies = [b"", b"hello", b"hello", b"hello"]
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        with suppress(asyncio.IncompleteReadError):
            while await reader.readuntil(b"{}"):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
                await asyncio.sleep(0.02)
                writer.write(bodies.pop(0))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, outbound("127.0.0.1") as one:
        for _ in range(4):
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
            assert (await post(one, url, limit_bytes=0)).status == 200
    assert connections == 2, "a new one after the body that never came"


async def test_a_body_that_unpacks_to_more_than_the_limit(local: Target) -> None:
    def answer(_hit: Hit) -> web.Response:
        response = web.Response(body=b"0" * 50_000_000)
        response.enable_compression(web.ContentCoding.gzip)
        return response

    local.answer = answer
    async with outbound("127.0.0.1") as one:
        reply = await post(one, f"{local.url}/")
    assert (len(reply.body), reply.cut) == (1000, True)


async def test_retry_after(local: Target) -> None:
    local.answer = lambda _hit: web.Response(status=429, headers={"Retry-After": "7"})
    async with outbound("127.0.0.1") as one:
        reply = await post(one, f"{local.url}/")
    assert (reply.status, reply.retry_after) == (429, "7")


# -- no answer --


async def test_an_answer_that_takes_too_long(local: Target) -> None:
    local.answer = never
    async with outbound("127.0.0.1") as one:
        with pytest.raises(OutboundFailed, match="did not answer within") as caught:
            await one.post(f"{local.url}/?k=secret", b"", {}, timeout_s=0.2)
    assert caught.value.how == "timed_out"
    assert "secret" not in str(caught.value)


async def test_nobody_listens() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        async with outbound("127.0.0.1") as one:
            with pytest.raises(OutboundFailed, match="cannot connect") as caught:
                await post(one, f"http://127.0.0.1:{port}/?k=secret")
    assert caught.value.how == "no_connection"
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("host", ["nobody.invalid", "a" * 64 + ".example", "x" * 300])
async def test_a_name_that_is_not_known(host: str) -> None:
    async with outbound() as one:
        with pytest.raises((OutboundFailed, OutboundRefused)):
            await post(one, f"http://{host}/")


async def test_a_connection_that_breaks() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 nonsense secret\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server, outbound("127.0.0.1") as one:
        with pytest.raises(OutboundFailed) as caught, capture_logs() as logs:
            await post(one, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    assert caught.value.how == "broke"
    assert "secret" not in str(caught.value)
    assert logs == []


async def test_it_can_be_used_again_after_it_was_closed(local: Target) -> None:
    async with outbound("127.0.0.1") as one:
        url = f"{local.url}/"
        await post(one, url)
        await one.close()
        assert (await post(one, url)).status == 200


async def test_the_system_resolver_finds_this_machine() -> None:
    resolver = SystemResolver()
    found = await resolver.resolve("localhost", 80)
    await resolver.close()
    assert {one["host"] for one in found} <= {"127.0.0.1", "::1"}
    assert found
