"""The way to the Cloud API, with a server behind it that answers what it is asked."""

import asyncio
import gc
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from simulator.chaos.fault_proxy import FaultProxy
from simulator.ports import free_ports
from tests.eventually import eventually

WAIT_S = 10.0


class Server:
    """Answers each line with itself once :attr:`answering` is set."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []
        self.answering = asyncio.Event()
        self.answering.set()
        [self.port] = free_ports(1)
        self.gone = False

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                self.seen.append(line)
                await self.answering.wait()
                writer.write(line)
        except ConnectionError:
            pass
        finally:
            self.gone = True
            writer.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    listener = await asyncio.start_server(server.take, "127.0.0.1", server.port)
    yield server
    listener.close()


@pytest.fixture
def proxy(server: Server) -> Iterator[FaultProxy]:
    with FaultProxy(server.port) as proxy:
        yield proxy


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ask(self) -> bytes:
        self.writer.write(b"hello\n")
        return await self.answer()

    async def answer(self) -> bytes:
        return await asyncio.wait_for(self.reader.readline(), WAIT_S)


@asynccontextmanager
async def connected(proxy: FaultProxy) -> AsyncIterator[Client]:
    client = Client(*await asyncio.open_connection("127.0.0.1", proxy.port))
    try:
        yield client
    finally:
        client.writer.transport.abort()
        await asyncio.sleep(0)


async def test_open(proxy: FaultProxy, server: Server) -> None:
    async with connected(proxy) as client, connected(proxy) as other:
        for _ in range(3):
            assert await client.ask() == await other.ask() == b"hello\n"
    assert len(server.seen) == 6


async def test_closed_and_open_again(proxy: FaultProxy) -> None:
    async with connected(proxy) as client:
        await client.ask()
        proxy.close()
        assert await client.answer() == b""
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", proxy.port)
    proxy.open()
    async with connected(proxy) as client:
        assert await client.ask() == b"hello\n"


async def test_a_call_under_way_is_finished_when_the_way_is_closed(
    proxy: FaultProxy, server: Server
) -> None:
    server.answering.clear()
    async with connected(proxy) as client:
        client.writer.write(b"hello\n")
        await eventually(lambda: server.seen)
        proxy.close()
        server.answering.set()
        assert await client.answer() == b"hello\n"


async def test_cut(proxy: FaultProxy, server: Server) -> None:
    async with connected(proxy) as idle, connected(proxy) as waiting:
        await idle.ask()
        server.answering.clear()
        waiting.writer.write(b"hello\n")
        await eventually(lambda: len(server.seen) == 2)
        assert proxy.cut() == 1
        for client in (idle, waiting):
            with pytest.raises(ConnectionResetError):
                await client.answer()
        server.answering.set()
    async with connected(proxy) as client:
        assert await client.ask() == b"hello\n"


async def test_held_up(proxy: FaultProxy, server: Server) -> None:
    async with connected(proxy) as client, connected(proxy) as other:
        await client.ask()
        proxy.hold()
        client.writer.write(b"late\n")
        other.writer.write(b"late\n")
        await eventually(lambda: proxy.waiting == 2)
        assert server.seen == [b"hello\n"]
        assert proxy.release() == 2
        assert await client.answer() == await other.answer() == b"late\n"


async def test_a_request_is_delivered_although_its_caller_has_gone(
    proxy: FaultProxy, server: Server
) -> None:
    proxy.hold()
    async with connected(proxy) as client:
        client.writer.write(b"hello\n")
        await eventually(lambda: proxy.waiting == 1)
    proxy.release()
    await eventually(lambda: server.seen == [b"hello\n"])


async def test_nobody_behind_it() -> None:
    with FaultProxy(*free_ports(1)) as proxy:
        async with connected(proxy) as client:
            assert await client.answer() == b""


async def test_a_caller_that_goes_is_not_seen_before_its_request_is_answered(
    proxy: FaultProxy, server: Server
) -> None:
    server.answering.clear()
    async with connected(proxy) as client:
        client.writer.write(b"hello\n")
        await eventually(lambda: server.seen)
    assert not server.gone
    server.answering.set()
    await eventually(lambda: server.gone)


def test_who_comes_while_it_closes() -> None:
    """Sockets that are accepted in the same moment are not lost, which Python would warn of."""
    [nobody] = free_ports(1)
    with FaultProxy(nobody) as proxy:
        for _ in range(20):
            clients = [socket.socket() for _ in range(20)]
            for client in clients:
                client.setblocking(False)
                client.connect_ex(("127.0.0.1", proxy.port))
            proxy.close()
            proxy.open()
            for client in clients:
                client.close()
    gc.collect()
