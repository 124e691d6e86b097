"""Closing a connection without an answer, which ASGI itself has no word for."""

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_DROP = "drop_connection"


class DroppableProtocol(HttpToolsProtocol):
    """Puts a function that closes the connection into the state of every request."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["state"][_DROP] = self.transport.close


async def drop_connection(request: Request) -> Response:
    """Close the connection. The response that is returned goes nowhere.

    Raises :class:`ConnectionAbortedError` under a server that cannot do it.
    """
    drop = getattr(request.state, _DROP, None)
    if drop is None:
        raise ConnectionAbortedError("this server cannot close a connection without an answer")
    drop()
    await wait_for_disconnect(request, 5.0)
    return Response(status_code=499)


async def wait_for_disconnect(request: Request, seconds: float) -> None:
    """Wait until the caller has gone, but no longer than ``seconds``."""
    try:
        async with asyncio.timeout(seconds):
            while (await request.receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return
