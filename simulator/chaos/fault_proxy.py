"""The way from the workers to the Cloud API, which can be closed, cut and held up."""

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable, Coroutine
from contextlib import suppress
from threading import Thread
from typing import Any, Self, TypeVar

from simulator.ports import free_ports

#: Close with RST, and drop what is not sent yet.
_RESET = struct.pack("ii", 1, 0)
_CHUNK = 256 * 1024
#: A request whose caller has gone is still answered within this time.
_LINGER_S = 5.0

Answer = TypeVar("Answer")


class FaultProxy:
    """A TCP proxy on a loopback port, on a thread of its own. Use as a context manager.

    ``target`` is the port that connections go on to; answers take ``latency_s`` longer. With
    ``tls`` it ends TLS with that certificate, from the next :meth:`open` on.
    """

    def __init__(self, target: int, *, latency_s: float = 0.0) -> None:
        [self.port] = free_ports(1)
        self.tls: ssl.SSLContext | None = None
        self._target = target
        self._latency_s = latency_s
        #: Requests that have come since :meth:`hold`.
        self.waiting = 0
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="fault proxy", daemon=True)
        self._connections: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._free = asyncio.Event()
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._listen())
        self._loop.call_soon_threadsafe(self._free.set)
        return self

    def __exit__(self, *error: object) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def close(self) -> None:
        """Take no connections any more, and end those on which nobody waits for an answer."""
        self._do(self._close())

    def open(self) -> None:
        """Take connections again."""
        self._do(self._listen())

    def cut(self) -> int:
        """Reset all connections. Return on how many of them somebody waited for an answer."""
        return self._do(self._cut())

    def hold(self) -> None:
        """Let nothing through in either direction, until :meth:`release`."""
        self._do(self._hold())

    def release(self) -> int:
        """Let everything through, also what has waited. Return how many requests have."""
        return self._do(self._release())

    def _do(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._taken, "127.0.0.1", self.port, ssl=self.tls)

    async def _close(self) -> None:
        if (server := self._server) is not None:
            self._server = None
            # asyncio loses sockets that it accepts in the turn in which their server is closed.
            for listening in server.sockets:
                self._loop.remove_reader(listening.fileno())
            await asyncio.sleep(0)
            server.close()
        for connection in list(self._connections):
            if connection.idle.is_set():
                connection.close()

    async def _cut(self) -> int:
        connections = list(self._connections)
        for connection in connections:
            connection.reset()
        return sum(not connection.idle.is_set() for connection in connections)

    async def _hold(self) -> None:
        self.waiting = 0
        self._free.clear()

    async def _release(self) -> int:
        self._free.set()
        return self.waiting

    async def _end(self) -> None:
        self._free.set()
        await self._close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # Sockets are closed in the next turn of the loop.
        await asyncio.sleep(0.01)

    async def _taken(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            await self._carry(reader, writer)
        except (OSError, asyncio.CancelledError):
            # The Cloud API is not there; or this is the end.
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._target)
        connection = _Connection(writer, back)
        self._connections.add(connection)
        try:
            await asyncio.gather(
                self._carry_requests(reader, back, connection),
                self._carry_answers(there, writer, connection),
            )
        finally:
            self._connections.discard(connection)
            connection.close()

    async def _carry_requests(
        self, reader: asyncio.StreamReader, back: asyncio.StreamWriter, connection: "_Connection"
    ) -> None:
        def asked() -> None:
            connection.idle.clear()
            self.waiting += not self._free.is_set()

        await self._pump(reader, back, asked)
        # A server that sees its caller go at once may not even begin with the request.
        with suppress(TimeoutError):
            await asyncio.wait_for(connection.idle.wait(), _LINGER_S)
        back.close()

    async def _carry_answers(
        self, there: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: "_Connection"
    ) -> None:
        await self._pump(there, writer, connection.idle.set, self._latency_s)
        connection.idle.set()
        writer.close()

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        on_data: Callable[[], object],
        latency_s: float = 0.0,
    ) -> None:
        with suppress(OSError):  # one side has reset it
            while data := await reader.read(_CHUNK):
                await asyncio.sleep(latency_s)
                on_data()
                await self._free.wait()
                writer.write(data)
                await writer.drain()


class _Connection:
    """Both halves of a connection; ``idle`` while nobody waits for an answer."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self._halves = (client, server)
        self.idle = asyncio.Event()
        self.idle.set()

    def close(self) -> None:
        for half in self._halves:
            half.close()

    def reset(self) -> None:
        for half in self._halves:
            if half.is_closing():
                continue
            connection = half.get_extra_info("socket")
            if connection is not None and connection.fileno() >= 0:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            half.transport.abort()
