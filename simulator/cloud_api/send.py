"""``POST /{version}/{phone_number_id}/messages`` and ``marketing_messages``: the hot path."""

import asyncio
from json.encoder import encode_basestring_ascii

from starlette.types import Receive, Scope, Send

from simulator.asgi import (
    answer,
    authorization,
    close,
    is_still_there,
    read_body,
    reset,
    transport_of,
)
from simulator.cloud_api.engine import Accepted, Engine
from simulator.cloud_api.fault import Fault, FaultKind
from simulator.cloud_api.garbage import GARBAGE, WAMID
from simulator.cloud_api.number import Number
from simulator.cloud_api.recipient import magic_of
from simulator.cloud_api.refusal import Refusal
from simulator.cloud_api.request import ReadReceipt, SendRequest, read_request

_JSON = (b"content-type", b"application/json; charset=UTF-8")
_HTML = (b"content-type", b"text/html; charset=utf-8")
_HTML_500 = b"<!DOCTYPE html><html><body><h1>Sorry, something went wrong.</h1></body></html>"

_THROUGHPUT = 130429
_SENDER = 131021


class SendEndpoint:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        #: Connections whose answer is being held back.
        self._held_back: set[asyncio.Transport] = set()

    def stop(self) -> None:
        """Drop the connections that are waiting for an answer on purpose."""
        for transport in list(self._held_back):
            transport.abort()

    async def __call__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        phone_number_id: str,
        *,
        marketing: bool = False,
    ) -> None:
        faults = self._engine.faults
        if faults.active and (fault := faults.before_read(phone_number_id)):
            self._meet(fault.spec.kind.value, None)
            await reset(scope, receive)
            return
        body = await read_body(receive)
        if body is None:
            return
        fault = None
        callback_data = to = None
        try:
            number = self._engine.access.number(authorization(scope), phone_number_id)
            request = read_request(body, marketing=marketing)
            if isinstance(request, ReadReceipt):
                await answer(send, 200, b'{"success":true}')
                return
            callback_data, to = request.callback_data, request.address
            if faults.active:
                fault = faults.after_read(phone_number_id, request.digits or request.address)
                if fault is not None and await self._refused_by(fault, callback_data, send):
                    return
            accepted = self._accept(number, request)
        except Refusal as refusal:
            self._engine.ledger.refuse(refusal.code)
            self._meet(str(refusal.code), callback_data, to)
            await answer(send, refusal.http_status, refusal.body())
            return
        if accepted.early is not None:
            await asyncio.wait([accepted.early], timeout=self._engine.config.early_wait_ms / 1000)
        if fault is not None and fault.spec.garbage is not None:
            await self._answer_garbage(fault, accepted, send)
            return
        if fault is not None and not await self._answered_in_spite_of(fault, scope, receive):
            return
        await answer(send, 200, _answer_body(accepted))

    def _accept(self, number: Number, request: SendRequest) -> Accepted:
        if request.digits == number.display_phone_number:
            raise Refusal(_SENDER)
        return self._engine.accept(number, request, magic_of(request.digits or request.address))

    def _meet(self, what: str, callback_data: str | None, to: str | None = None) -> None:
        engine = self._engine
        engine.ledger.meet(what, callback_data, engine.clock.now(), to)

    async def _refused_by(self, fault: Fault, callback_data: str | None, send: Send) -> bool:
        """Carry out a fault that keeps the message from being accepted."""
        kind = fault.spec.kind
        if kind is FaultKind.ERROR:
            raise Refusal(fault.spec.code or 0)
        if kind is FaultKind.THROTTLE:
            raise Refusal(_THROUGHPUT)
        self._meet(kind.value, callback_data)
        if (garbage := GARBAGE.get(fault.spec.garbage or "")) and garbage.status >= 400:
            await answer(send, garbage.status, garbage.body)
            return True
        if kind is FaultKind.HTTP_503:
            await answer(send, 503, b"")
            return True
        if kind is FaultKind.HTTP_500:
            await answer(send, 500, b"")
            return True
        if kind is FaultKind.HTML_500:
            await answer(send, 500, _HTML_500, _HTML)
            return True
        return False

    async def _answer_garbage(self, fault: Fault, accepted: Accepted, send: Send) -> None:
        garbage = GARBAGE[fault.spec.garbage or ""]
        if not garbage.trickles:
            wamid = accepted.message.wamid.encode()
            await answer(send, garbage.status, garbage.body.replace(WAMID, wamid))
            return
        headers = [_JSON, (b"content-length", b"%d" % len(garbage.body))]
        await send({"type": "http.response.start", "status": garbage.status, "headers": headers})
        end = len(garbage.body) - 1
        for at in range(end + 1):
            part = {"body": garbage.body[at : at + 1], "more_body": at < end}
            await send({"type": "http.response.body", **part})
            await asyncio.sleep(fault.seconds / len(garbage.body))

    async def _answered_in_spite_of(self, fault: Fault, scope: Scope, receive: Receive) -> bool:
        """Carry out a fault of an accepted message; tell whether it is answered after all."""
        if fault.spec.kind is FaultKind.RESET_AFTER_ACCEPT:
            await reset(scope, receive)
            return False
        transport = transport_of(scope)
        self._held_back.add(transport)
        try:
            if not await is_still_there(receive, fault.seconds):
                return False
        finally:
            self._held_back.discard(transport)
        if fault.spec.kind is FaultKind.SLOW:
            return True
        await close(transport, receive)
        return False


def _answer_body(accepted: Accepted) -> bytes:
    message = accepted.message
    if message.wa_id is not None:
        found = f'"wa_id":"{message.wa_id}"'
    else:
        found = f'"user_id":"{message.user_id}"'
    held = ',"message_status":"held_for_quality_assessment"' if accepted.held else ""
    return (
        f'{{"messaging_product":"whatsapp","contacts":[{{"input":'
        f"{encode_basestring_ascii(message.to)},{found}}}],"
        f'"messages":[{{"id":"{message.wamid}"{held}}}]}}'
    ).encode("ascii")
