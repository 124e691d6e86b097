"""Answers below the level of Starlette: fast ones, and ones that never come."""

import asyncio
import socket
import struct
from typing import Any

from starlette.types import Receive, Scope, Send

from simulator.server import TRANSPORT

#: Close with RST and drop what is not sent yet.
_RESET = struct.pack("ii", 1, 0)

_JSON = (b"content-type", b"application/json; charset=UTF-8")


async def read_body(receive: Receive) -> bytes | None:
    """Return the whole body, or None if the client has gone."""
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        body: bytes = message.get("body", b"")
        return body
    parts = []
    while message["type"] == "http.request":
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)
        message = await receive()
    return None


async def answer(
    send: Send, status: int, body: bytes, content_type: tuple[bytes, bytes] = _JSON
) -> None:
    headers = [content_type, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def reset(scope: Scope, receive: Receive) -> None:
    """Break the connection with a reset instead of an answer."""
    transport = transport_of(scope)
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    await close(transport, receive)


async def close(transport: asyncio.Transport, receive: Receive) -> None:
    """End the connection without an answer."""
    transport.abort()
    await _disconnected(receive)


async def is_still_there(receive: Receive, seconds: float | None) -> bool:
    """Wait, and tell whether the client waits still. None: until it does not."""
    try:
        async with asyncio.timeout(seconds):
            await _disconnected(receive)
    except TimeoutError:
        return True
    return False


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def authorization(scope: Scope) -> bytes | None:
    """Return the header of that name."""
    for name, value in scope["headers"]:
        if name == b"authorization":
            given: bytes = value
            return given
    return None


def transport_of(scope: Scope) -> asyncio.Transport:
    extensions: dict[str, Any] = scope.get("extensions") or {}
    transport: asyncio.Transport | None = extensions.get(TRANSPORT, {}).get("transport")
    if transport is None:
        raise RuntimeError(
            "faults of the connection need the simulator's own server: "
            "use simulator.server or python -m simulator"
        )
    return transport
