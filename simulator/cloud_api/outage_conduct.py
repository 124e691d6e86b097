"""What a call meets with during an outage."""

import asyncio
from collections.abc import Awaitable, Callable

import orjson
from starlette.types import Message, Receive, Scope, Send

from simulator.asgi import answer, is_still_there, read_body, reset, transport_of
from simulator.cloud_api.ledger import Ledger
from simulator.cloud_api.outage import Call, Outage, OutageShape
from simulator.cloud_api.refusal import Refusal

#: Answers a call as if there were no outage.
Endpoint = Callable[[Receive, Send], Awaitable[None]]

_HTML = (b"content-type", b"text/html; charset=utf-8")
_PAGE = b"<!DOCTYPE html><html><head><title>Error</title></head><body>%b</body></html>"
_ANSWERS = {
    OutageShape.HTML_502: (502, _PAGE % b"<h1>502 Bad Gateway</h1>"),
    OutageShape.EMPTY_502: (502, b""),
    OutageShape.HTML_200: (200, _PAGE % b"<h1>Sorry, something went wrong.</h1>"),
    OutageShape.EMPTY_200: (200, b""),
    OutageShape.HTTP_503: (503, b""),
}
_SENDS = frozenset({Call.MESSAGES, Call.MARKETING_MESSAGES})
_UNAVAILABLE = 2
_UNKNOWN = 131000


class OutageConduct:
    """Carries out outages, and notes in ``ledger`` which sends they hit (``outage_{shape}``)."""

    def __init__(self, ledger: Ledger, now: Callable[[], float]) -> None:
        self._ledger = ledger
        self._now = now
        #: Connections whose answer is held back.
        self._held_back: set[asyncio.Transport] = set()

    def stop(self) -> None:
        """Drop the connections that wait for an answer."""
        for transport in list(self._held_back):
            transport.abort()

    async def meet(
        self,
        outage: Outage,
        call: Call,
        endpoint: Endpoint,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        shape = outage.spec.shape_when_down
        if shape is OutageShape.RESET:
            self._note(outage, call, b"")
            await reset(scope, receive)
            return
        body = await read_body(receive)
        if body is None:
            return
        self._note(outage, call, body)
        if shape is OutageShape.SLOW and call not in _SENDS:
            if await self._waits(outage.spec.answer_after_s, scope, receive):
                await endpoint(receive, send)
            return
        real: list[Message] = []
        if shape is OutageShape.SLOW or (outage.spec.accepted and call in _SENDS):
            await endpoint(_again(body, receive), _into(real))
        if shape is not OutageShape.SLOW:
            await self._answer_wrongly(shape, call, scope, receive, send)
        elif await self._waits(outage.spec.answer_after_s, scope, receive):
            for part in real:
                await send(part)

    async def _answer_wrongly(
        self, shape: OutageShape, call: Call, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if shape is OutageShape.RESET_AFTER_READ:
            await reset(scope, receive)
        elif shape is OutageShape.BLACK_HOLE:
            await self._waits(None, scope, receive)
        elif shape is OutageShape.ERROR_131000:
            await answer(send, 500, _refusal(call).body())
        else:
            await answer(send, *_ANSWERS[shape], _HTML)

    async def _waits(self, seconds: float | None, scope: Scope, receive: Receive) -> bool:
        """Hold the answer back; tell whether the client waits still. None: for ever."""
        transport = transport_of(scope)
        self._held_back.add(transport)
        try:
            return await is_still_there(receive, seconds)
        finally:
            self._held_back.discard(transport)

    def _note(self, outage: Outage, call: Call, body: bytes) -> None:
        if call not in _SENDS:
            return
        callback_data, to = _asked(body)
        self._ledger.meet(f"outage_{outage.spec.shape}", callback_data, self._now(), to)


def _refusal(call: Call) -> Refusal:
    if call in _SENDS:
        details = "Message failed to send because there was an unknown error to your phone number."
        return Refusal(_UNKNOWN, details)
    return Refusal(
        _UNAVAILABLE, "An unexpected error has occurred. Please retry your request later."
    )


def _asked(body: bytes) -> tuple[str | None, str | None]:
    """Read the callback data and the recipient of a send, as far as there are any."""
    try:
        asked = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None, None
    if not isinstance(asked, dict):
        return None, None
    callback_data, to = asked.get("biz_opaque_callback_data"), asked.get("to")
    return (
        callback_data if isinstance(callback_data, str) else None,
        to if isinstance(to, str) else None,
    )


def _again(body: bytes, receive: Receive) -> Receive:
    """Return a ``receive`` that gives ``body`` once more."""
    first: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def once_more() -> Message:
        return first.pop() if first else await receive()

    return once_more


def _into(parts: list[Message]) -> Send:
    async def keep(part: Message) -> None:
        parts.append(dict(part))

    return keep
