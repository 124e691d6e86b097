"""``GET /{version}/{media_id}`` answers where a medium is, and a call of that address its bytes.

Both want the token of the number that the medium was sent to.
"""

import asyncio
from urllib.parse import parse_qs

import orjson
from starlette.types import Receive, Scope, Send

from simulator.asgi import answer, authorization, close, transport_of
from simulator.cloud_api.access import Access, gone
from simulator.cloud_api.media import Media, MediaLibrary
from simulator.cloud_api.media_fault import (
    MediaCall,
    MediaFaultKind,
    MediaFaults,
    MediaFaultSpec,
)
from simulator.cloud_api.refusal import Refusal

#: The path of Meta's addresses.
ADDRESS_PATH = "/whatsapp_business/attachments/"

_BYTE = bytes(value ^ 0xFF for value in range(256))


class MediaEndpoint:
    def __init__(self, library: MediaLibrary, faults: MediaFaults, access: Access) -> None:
        self._library = library
        self._faults = faults
        self._access = access

    @staticmethod
    def media_id(scope: Scope) -> str:
        """Return the id in the query of an address."""
        return _in_query(scope, "mid")

    async def address(self, scope: Scope, send: Send, media_id: str) -> None:
        """Answer with the address of a medium."""
        media = self._library.get(media_id)
        if media is None:
            refusal = gone(media_id)
            await answer(send, refusal.http_status, refusal.body())
            return
        if not await self._is_authorized(scope, send, media):
            return
        fault = self._faults.hit(MediaCall.ADDRESS, media_id)
        if fault is not None and fault.kind is MediaFaultKind.STATUS:
            await _answer_status(send, fault.status)
            return
        if fault is not None and fault.kind is MediaFaultKind.SLOW:
            await asyncio.sleep(fault.seconds)
        expired = fault is not None and fault.kind is MediaFaultKind.EXPIRED
        query = self._library.address_query(media, expired=expired)
        media.addresses += 1
        found = {
            "messaging_product": "whatsapp",
            "url": f"{scope['scheme']}://{_host(scope)}{ADDRESS_PATH}?{query}",
            "mime_type": media.mime_type,
            "sha256": media.sha256.hex(),
            "file_size": media.size,
            "id": media.id,
        }
        await answer(send, 200, orjson.dumps(found))

    async def content(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the bytes at an address."""
        given = [_in_query(scope, name) for name in ("mid", "ext", "hash")]
        media = self._library.at_address(*given)
        if media is None:
            await _answer_status(send, 404)
            return
        if not await self._is_authorized(scope, send, media):
            return
        fault = self._faults.hit(MediaCall.BYTES, media.id)
        if fault is not None and fault.kind is MediaFaultKind.STATUS:
            await _answer_status(send, fault.status)
            return
        headers = [
            (b"content-type", media.mime_type.encode()),
            (b"content-length", b"%d" % media.size),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await self._stream(scope, receive, send, media, fault)

    async def _stream(
        self, scope: Scope, receive: Receive, send: Send, media: Media, fault: MediaFaultSpec | None
    ) -> None:
        kind = fault.kind if fault is not None else None
        cut_at = media.size // 2 if kind is MediaFaultKind.CUT else None
        sent = 0
        for chunk in media.chunks():
            if cut_at is not None and sent + len(chunk) > cut_at:
                part = chunk[: cut_at - sent]
                await send({"type": "http.response.body", "body": part, "more_body": True})
                await close(transport_of(scope), receive)
                return
            if kind is MediaFaultKind.SLOW and fault is not None:
                await asyncio.sleep(fault.seconds * len(chunk) / media.size)
            body = chunk.translate(_BYTE) if kind is MediaFaultKind.WRONG_BYTES else chunk
            await send({"type": "http.response.body", "body": body, "more_body": True})
            sent += len(chunk)
        await send({"type": "http.response.body", "body": b""})
        media.downloads += 1

    async def _is_authorized(self, scope: Scope, send: Send, media: Media) -> bool:
        try:
            self._access.check(authorization(scope), media.number)
        except Refusal as refusal:
            await answer(send, refusal.http_status, refusal.body())
            return False
        return True


def _in_query(scope: Scope, name: str) -> str:
    query: str = scope["query_string"].decode("ascii", "replace")
    return parse_qs(query).get(name, [""])[0]


async def _answer_status(send: Send, status: int) -> None:
    await answer(send, status, b"", (b"content-type", b"text/html; charset=utf-8"))


def _host(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"host":
            host: bytes = value
            return host.decode("latin-1")
    return "{}:{}".format(*scope["server"])
