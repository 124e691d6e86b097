"""The application: messages and media, and the control endpoints beside them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from simulator.cloud_api.config import CloudApiConfig
from simulator.cloud_api.control import Control
from simulator.cloud_api.engine import Engine
from simulator.cloud_api.media_endpoint import ADDRESS_PATH, MediaEndpoint
from simulator.cloud_api.number_endpoint import NumberEndpoint
from simulator.cloud_api.outage import Call, Outage
from simulator.cloud_api.outage_conduct import OutageConduct
from simulator.cloud_api.refusal import Refusal
from simulator.cloud_api.send import SendEndpoint

_UNSUPPORTED = 100

#: The last part of a path that sends.
_SENDS = {"messages": Call.MESSAGES, "marketing_messages": Call.MARKETING_MESSAGES}


class CloudApi:
    """An ASGI application with a lifespan. Sends are taken before Starlette's routing."""

    def __init__(self, config: CloudApiConfig) -> None:
        self.engine = Engine(config)
        self._send = SendEndpoint(self.engine)
        self._media = MediaEndpoint(self.engine.media, self.engine.media_faults, self.engine.access)
        self._number = NumberEndpoint(self.engine.access, self.engine.blocks)
        self._conduct = OutageConduct(self.engine.ledger, self.engine.clock.now)
        control = Control(self.engine)
        self._other_routes: ASGIApp = Starlette(
            routes=[Mount("/_simulator", routes=control.routes())],
            exception_handlers={HTTPException: _refuse},
            lifespan=self._lifespan,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        called = self._called(scope) if scope["type"] == "http" else None
        if called is None:
            await self._other_routes(scope, receive, send)
            return
        call, object_id = called
        if self.engine.outages.active and (outage := self._outage(call, object_id)):

            async def endpoint(receive: Receive, send: Send) -> None:
                await self._answer(call, object_id, scope, receive, send)

            await self._conduct.meet(outage, call, endpoint, scope, receive, send)
            return
        await self._answer(call, object_id, scope, receive, send)

    def _called(self, scope: Scope) -> tuple[Call, str] | None:
        """Return what is called, and the id in the path; None where it is none of Meta's calls."""
        path = scope["path"]
        parts = path.split("/")
        if parts[1:2] == ["_simulator"]:
            return None
        if scope["method"] == "POST" and len(parts) == 4:
            call = _SENDS.get(parts[3])
            return None if call is None else (call, parts[2])
        if scope["method"] == "GET" and len(parts) == 3:
            is_media = self.engine.media.get(parts[2]) is not None
            return Call.MEDIA if is_media else Call.NUMBER, parts[2]
        if scope["method"] == "GET" and path == ADDRESS_PATH:
            return Call.MEDIA_BYTES, MediaEndpoint.media_id(scope)
        return None

    def _outage(self, call: Call, object_id: str) -> Outage | None:
        if call in (Call.MEDIA, Call.MEDIA_BYTES):
            media = self.engine.media.get(object_id)
            object_id = "" if media is None else media.number.phone_number_id
        return self.engine.outages.hit(call, object_id)

    async def _answer(
        self, call: Call, object_id: str, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if call in (Call.MESSAGES, Call.MARKETING_MESSAGES):
            marketing = call is Call.MARKETING_MESSAGES
            await self._send(scope, receive, send, object_id, marketing=marketing)
        elif call is Call.NUMBER:
            await self._number(scope, send, object_id)
        elif call is Call.MEDIA:
            await self._media.address(scope, send, object_id)
        else:
            await self._media.content(scope, receive, send)

    def let_go(self) -> None:
        """Drop the connections whose answers are held back, as the server is about to stop."""
        self._send.stop()
        self._conduct.stop()

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        self.engine.start()
        try:
            yield
        finally:
            await self.engine.stop()


def create_app(config: CloudApiConfig | None = None) -> CloudApi:
    """Make the simulated Cloud API. Resetting and hanging faults need
    :mod:`simulator.cloud_api.server`; everything else works under any ASGI server."""
    return CloudApi(config or CloudApiConfig())


async def _refuse(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    detail = error.detail if isinstance(error, HTTPException) else str(error)
    if request.url.path.startswith("/_simulator"):
        body = orjson.dumps({"error": detail})
        return Response(body, status, media_type="application/json")
    path = f"{request.method} {request.url.path}"
    refusal = Refusal(_UNSUPPORTED, f"Unsupported request: {path} is not simulated.")
    return Response(refusal.body(), refusal.http_status, media_type="application/json")
