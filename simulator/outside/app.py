"""The application that every simulated server outside is made of."""

import asyncio
import math
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeVar

import orjson
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from simulator.asgi import close, is_still_there, reset, transport_of
from simulator.outside.faults import Fault, FaultKind, Faults
from simulator.outside.traffic import Traffic
from simulator.server import serving

_HANG_S = 3600.0
_REDIRECT = 307

Kept = TypeVar("Kept")


class Gone(Exception):
    """The client has closed the connection."""


class Outside(ABC, Generic[Kept]):
    """An ASGI application. ``requests`` are those that took effect, the oldest first."""

    #: Paths of the API, which answer POST.
    paths: Sequence[str]

    def __init__(self) -> None:
        self.url = ""
        self.faults = Faults()
        self.traffic = Traffic()
        self.requests: list[Kept] = []
        self._held: set[asyncio.Transport] = set()
        self._app = Starlette(
            routes=[
                Route("/_simulator/report", self._report, methods=["GET"]),
                Route("/_simulator/requests", self._list, methods=["GET"]),
                Route("/_simulator/faults", self._faults, methods=["GET", "POST", "DELETE"]),
                *(Route(path, self._respond, methods=["POST"]) for path in self.paths),
            ]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    def let_go(self) -> None:
        for transport in list(self._held):
            transport.abort()

    @abstractmethod
    async def handle(self, request: Request, body: bytes) -> Response:
        """Answer a request that no fault strikes."""

    @abstractmethod
    def kept_as_json(self, kept: Kept) -> Any:
        """Return one of ``requests`` as the control endpoint shows it."""

    def error(self, status: int) -> bytes:
        """Return the body of an answer with this status, when a fault asks for it."""
        return orjson.dumps({"error": {"message": f"simulated {status}", "code": status}})

    def empty(self) -> bytes:
        """Return the body of an answer that has nothing in it."""
        return b""

    async def wait(self, request: Request, seconds: float) -> None:
        """Wait before the answer. Raises :class:`Gone` if the client does not."""
        if seconds <= 0:
            return
        transport = transport_of(request.scope)
        self._held.add(transport)
        try:
            if not await is_still_there(request.receive, seconds):
                raise Gone
        finally:
            self._held.discard(transport)

    async def _respond(self, request: Request) -> Response:
        body = await request.body()
        with self.traffic.request():
            try:
                response = await self._with_faults(request, body)
            except Gone:
                response = None
        self.traffic.answers[str(response.status_code) if response else "none"] += 1
        return response or Response()

    async def _with_faults(self, request: Request, body: bytes) -> Response | None:
        fault = self.faults.strike(body)
        if fault is None:
            return await self.handle(request, body)
        self.traffic.faults[fault.kind.value] += 1
        if fault.handled:
            await self.handle(request, body)
        if fault.kind is FaultKind.SLOW:
            await self.wait(request, fault.seconds or 0.0)
            return await self.handle(request, body)
        if fault.kind in (FaultKind.HANG, FaultKind.RESET):
            await self._break(request, fault)
            return None
        return self._faulty(fault)

    async def _break(self, request: Request, fault: Fault) -> None:
        if fault.kind is FaultKind.RESET:
            await reset(request.scope, request.receive)
            return
        await self.wait(request, _HANG_S if fault.seconds is None else fault.seconds)
        await close(transport_of(request.scope), request.receive)

    def _faulty(self, fault: Fault) -> Response:
        if fault.kind is FaultKind.BROKEN:
            return json_answer(b'{"id": "broken", "choi')
        if fault.kind is FaultKind.EMPTY:
            return json_answer(self.empty())
        if fault.kind is FaultKind.REDIRECT:
            assert fault.location is not None
            return Response(
                status_code=fault.status or _REDIRECT, headers={"location": fault.location}
            )
        assert fault.status is not None
        headers = {} if fault.retry_after is None else {"retry-after": fault.retry_after}
        return Response(self.error(fault.status), fault.status, headers, "application/json")

    # -- control --

    def report(self) -> dict[str, Any]:
        return self.traffic.as_json()

    async def _report(self, _request: Request) -> Response:
        return json_answer(orjson.dumps(self.report()))

    async def _list(self, _request: Request) -> Response:
        return json_answer(orjson.dumps([self.kept_as_json(kept) for kept in self.requests]))

    async def _faults(self, request: Request) -> Response:
        if request.method == "DELETE":
            self.faults.clear()
        if request.method == "POST":
            try:
                self.faults.set(Fault.model_validate_json(await request.body()))
            except ValidationError as error:
                return json_answer(orjson.dumps({"error": {"message": str(error)}}), 400)
        return json_answer(orjson.dumps({"faults": self.faults.as_json()}))


def json_answer(body: bytes, status: int = 200) -> Response:
    return Response(body, status, media_type="application/json")


def read_object(body: bytes) -> dict[str, Any] | None:
    """Return the object that the body is, if it is one."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def as_range(seconds: float | tuple[float, float]) -> tuple[float, float]:
    """Return least and most, from one number or from both."""
    least, most = seconds if isinstance(seconds, tuple) else (seconds, seconds)
    if not 0 <= least <= most < math.inf:
        raise ValueError(f"a delay goes from least to most seconds, not from {least} to {most}")
    return least, most


App = TypeVar("App", bound=Outside[Any])


@asynccontextmanager
async def running(app: App, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[App]:
    """Serve it while the context is open, and set its ``url``. Port 0: any free one."""
    async with serving(app, host, port) as (url, _server):
        app.url = url
        yield app
