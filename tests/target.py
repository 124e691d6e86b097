"""A server on a loopback address that answers as it is told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web


@dataclass(frozen=True)
class Hit:
    """A request that has arrived whole."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


#: Answers a request; an int is the status of an empty answer, "drop" closes the connection.
Answer = Callable[[Hit], Awaitable[web.Response | int | str] | web.Response | int | str]


@dataclass
class Target:
    """``hits`` are the requests that came, ``connections`` those that they came over, and
    ``under_way`` is how many are not answered yet."""

    host: str
    port: int = 0
    hits: list[Hit] = field(default_factory=list)
    answer: Answer = field(default=lambda _hit: 200)
    connections: list[asyncio.BaseTransport | None] = field(default_factory=list, repr=False)
    in_flight: int = 0
    max_in_flight: int = 0

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def then(self, *answers: Any) -> None:
        """Give these answers, one after the other, the last one for ever. An answer as the
        requests' own, or the value that it returns."""
        left = list(answers)

        def answer(hit: Hit) -> Any:
            one = left.pop(0) if len(left) > 1 else left[0]
            return one(hit) if callable(one) else one

        self.answer = answer

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        hit = Hit(request.path, dict(request.query), dict(request.headers), await request.read())
        self.hits.append(hit)
        if request.transport not in self.connections:
            self.connections.append(request.transport)
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        try:
            given = self.answer(hit)
            if isinstance(given, Awaitable):
                given = await given
        finally:
            self.in_flight -= 1
        if isinstance(given, web.Response):
            return given
        if isinstance(given, str):
            if request.transport is not None:
                request.transport.close()
            return web.Response()
        return web.Response(status=given)


def json(value: Any, status: int = 200, **headers: str) -> Callable[[Hit], web.Response]:
    """Return an answer with a JSON body. In a header's name _ stands for -."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    content = orjson.dumps(value)

    def answer(_hit: Hit) -> web.Response:
        return web.Response(
            status=status, body=content, content_type="application/json", headers=named
        )

    return answer


async def never(_hit: Hit) -> int:
    """Do not answer."""
    await asyncio.sleep(3600)
    return 200


@asynccontextmanager
async def target(host: str = "127.0.0.1") -> AsyncIterator[Target]:
    one = Target(f"[{host}]" if ":" in host else host)
    runner = web.ServerRunner(
        web.Server(one.handle, handler_cancellation=True), shutdown_timeout=0.1
    )
    await runner.setup()
    site = web.TCPSite(runner, host, 0)
    await site.start()
    one.port = runner.addresses[0][1]
    try:
        yield one
    finally:
        await runner.cleanup()
