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
from simulator.cloud_api.refusal import Refusal
from simulator.cloud_api.send import SendEndpoint

_UNSUPPORTED = 100


class CloudApi:
    """An ASGI application with a lifespan. Sends are taken before Starlette's routing."""

    def __init__(self, config: CloudApiConfig) -> None:
        self.engine = Engine(config)
        self._send = SendEndpoint(self.engine)
        self._media = MediaEndpoint(self.engine.media, self.engine.media_faults)
        control = Control(self.engine)
        self._other_routes: ASGIApp = Starlette(
            routes=[Mount("/_simulator", routes=control.routes())],
            exception_handlers={HTTPException: _refuse},
            lifespan=self._lifespan,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            parts = scope["path"].split("/")
            if len(parts) == 4 and parts[3] == "messages" and parts[1] != "_simulator":
                await self._send(scope, receive, send, parts[2])
                return
        if scope["type"] == "http" and scope["method"] == "GET":
            parts = scope["path"].split("/")
            if len(parts) == 3 and parts[1] != "_simulator":
                await self._media.address(scope, send, parts[2])
                return
            if scope["path"] == ADDRESS_PATH:
                await self._media.content(scope, receive, send)
                return
        await self._other_routes(scope, receive, send)

    def let_go(self) -> None:
        """Drop the connections whose answers are held back, as the server is about to stop."""
        self._send.stop()

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
