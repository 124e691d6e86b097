"""An HTTP server that records what it is asked, and answers as it is told."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from aiohttp import web
from multidict import CIMultiDictProxy


@dataclass(frozen=True, slots=True)
class Asked:
    """One request. ``target`` is path and query as they went over the wire."""

    method: str
    target: str
    headers: CIMultiDictProxy[str]
    body: bytes
    #: The caller's address, which differs with each connection.
    peer: tuple[str, int]


Answer = Callable[[web.BaseRequest], Awaitable[web.Response]]


def status(code: int, text: str = "") -> Answer:
    """Answer with this."""

    async def answer(request: web.BaseRequest) -> web.Response:
        return web.Response(status=code, text=text)

    return answer


async def drop(request: web.BaseRequest) -> web.Response:
    """Close the connection without an answer."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def hang(request: web.BaseRequest) -> web.Response:
    """Give no answer; it ends when the caller gives up."""
    await asyncio.sleep(60)
    return web.Response()


@dataclass
class Stub:
    """Runs on a free port while it is entered."""

    answer: Answer = field(default_factory=lambda: status(200, "done"))
    asked: list[Asked] = field(default_factory=list)
    port: int = 0
    _runner: web.ServerRunner | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def targets(self) -> list[str]:
        return [asked.target for asked in self.asked]

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen; after :meth:`stop`, on the same port."""
        self._runner = web.ServerRunner(
            web.Server(self._handle, handler_cancellation=True),
            keepalive_timeout=75,
            shutdown_timeout=0.1,
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        body = await request.content.read()
        peer = request.transport.get_extra_info("peername")
        self.asked.append(Asked(request.method, request.raw_path, request.headers, body, peer))
        return await self.answer(request)
