"""Reading the bodies of webhooks, up to a limit, whether they are compressed or not.

Meta compresses none today. A proxy in front may, so gzip is taken; PHP and the workers never see
it.
"""

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from starlette.types import Receive

#: Names of gzip in Content-Encoding (RFC 9110, 8.4.1.3), and of nothing.
_GZIP = (b"gzip", b"x-gzip")
_PLAIN = (b"", b"identity")

#: Has zlib read a gzip header and trailer.
_GZIP_WBITS = 16 + zlib.MAX_WBITS

#: Memory for decoded bodies of all requests together, besides those that are being decoded.
MAX_HELD_BYTES = 64 * 1024 * 1024
_AT_ONCE = 4

Header = tuple[bytes, bytes]


class BodyRefused(Exception):
    """The body is refused with this status and reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


async def read_body(receive: Receive, limit: int) -> bytes:
    """Return the body as it came, or raise :class:`BodyRefused`."""
    chunks, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise BodyRefused(400, "body_broken_off")  # nobody reads it, and nothing is kept
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > limit:
            raise BodyRefused(413, "body_too_large")
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def encoding_of(headers: Iterable[Header]) -> bytes:
    """Return the content's encoding; several are separated by commas."""
    found = [value.strip().lower() for name, value in headers if name == b"content-encoding"]
    return b",".join(found)


class Decoder:
    """Undoes bodies' encodings. ``limit`` is that of one body, ``most`` that of all which are held
    at the same time: a small body may come to the whole limit. Belongs to one event loop."""

    def __init__(self, limit: int, most: int = MAX_HELD_BYTES) -> None:
        self._limit = limit
        self._most = most
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._held = 0

    @asynccontextmanager
    async def decoded(self, body: bytes, encoding: bytes) -> AsyncIterator[bytes]:
        """Hold the body without its encoding. Raises :class:`BodyRefused`."""
        if encoding in _PLAIN:
            yield body
            return
        if encoding not in _GZIP:
            raise BodyRefused(415, "encoding_unsupported")
        async with self._turns:
            plain = await asyncio.to_thread(_gunzip, body, self._limit)
        if self._held and self._held + len(plain) > self._most:
            raise BodyRefused(503, "decoding_busy")
        self._held += len(plain)
        try:
            yield plain
        finally:
            self._held -= len(plain)


def _gunzip(body: bytes, limit: int) -> bytes:
    """Never makes more than ``limit`` bytes and one of it."""
    stream = zlib.decompressobj(_GZIP_WBITS)
    try:
        plain = stream.decompress(body, limit + 1)
    except zlib.error:
        raise BodyRefused(400, "gzip_broken") from None
    if len(plain) > limit:
        raise BodyRefused(413, "body_too_large")
    if not stream.eof or stream.unused_data:
        raise BodyRefused(400, "gzip_broken")
    return plain
