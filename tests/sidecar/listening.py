"""The application behind its real HTTP server, in this process, and requests byte by byte."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import uvicorn

from contracts.cloud_api.webhook import SIGNATURE_HEADER, sign
from sidecar.http.serve import configure
from sidecar.settings import Settings
from tests import trust
from tests.eventually import eventually
from tests.sidecar.service import VENDOR


@dataclass(frozen=True)
class Listening:
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/webhook/{VENDOR}"

    async def raw(self, request: bytes) -> bytes:
        """Send these bytes, and return everything that comes until the connection is closed."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(request)
            await writer.drain()
            return await asyncio.wait_for(reader.read(), 20)
        finally:
            writer.close()


def post(
    body: bytes, *headers: str, version: str = "1.1", content: bytes | None = None, query: str = ""
) -> bytes:
    """Return the bytes of a POST, signed; ``content`` goes out in place of the body and its
    length. The connection is to be closed."""
    length = [f"Content-Length: {len(body)}"] if content is None else []
    signature = f"{SIGNATURE_HEADER}: {sign(trust.APP_SECRET.encode(), body)}"
    lines = [
        f"POST /webhook/{VENDOR}{query} HTTP/{version}",
        "Host: site.example.com",
        "Connection: close",
        signature,
        *length,
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body if content is None else content)


@asynccontextmanager
async def listening(settings: Settings, redis_url: str) -> AsyncIterator[Listening]:
    """Serve on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as open_socket:
        server = uvicorn.Server(configure(settings, redis_url))
        task = asyncio.create_task(server.serve(sockets=[open_socket]))
        await eventually(lambda: server.started or task.done())
        try:
            yield Listening(open_socket.getsockname()[1])
        finally:
            server.should_exit = True
            await task
