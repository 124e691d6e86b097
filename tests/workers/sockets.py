"""A server on a real socket that answers, or breaks, as it is told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import orjson

from workers.sending.cloud_api import Attempt, CloudApi

ACCEPTED = orjson.dumps(
    {
        "messaging_product": "whatsapp",
        "contacts": [{"input": "+999", "wa_id": "999"}],
        "messages": [{"id": "wamid.1", "message_status": "accepted"}],
    }
)

#: What becomes of a connection.
Behaviour = Callable[["Connection"], Awaitable[None]]


@dataclass
class Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    server: "Misbehaving"

    async def read_request(self) -> bytes:
        """Read one request whole, and note it as received."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        [length] = [
            int(line.partition(b":")[2])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length:")
        ]
        body = await self.reader.readexactly(length)
        self.server.received.append(body)
        return body

    async def write(self, content: bytes) -> None:
        self.writer.write(content)
        await self.writer.drain()

    async def answer(
        self, status: int, body: bytes, headers: str = "Content-Type: application/json"
    ) -> None:
        await self.write(
            f"HTTP/1.1 {status} x\r\n{headers}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )

    def reset(self) -> None:
        """Close it so that the other side sees a reset."""
        self.writer.transport.abort()


@dataclass
class Misbehaving:
    """``received`` are the bodies of the requests that arrived whole. With several behaviours
    the n-th connection has the n-th, and further ones the last."""

    behaviours: list[Behaviour]
    url: str = ""
    connections: int = 0
    received: list[bytes] = field(default_factory=list)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behaviour = self.behaviours[min(self.connections, len(self.behaviours) - 1)]
        self.connections += 1
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await behaviour(Connection(reader, writer, self))
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
        finally:
            writer.transport.abort()


@asynccontextmanager
async def misbehaving(*behaviours: Behaviour) -> AsyncIterator[Misbehaving]:
    one = Misbehaving(list(behaviours))
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        await one.handle(reader, writer)

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    one.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield one
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # what was aborted is closed in the next turn of the loop


async def send(api: CloudApi, body: bytes = b"{}") -> Attempt:
    """Send a message, of which nobody reads the body."""
    return await api.send("110", "token", body)
