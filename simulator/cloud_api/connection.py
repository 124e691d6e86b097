"""A kept-alive connection to a webhook URL.

Written on the parser alone: a simulator beside what it tests may not cost more than it.
"""

import asyncio
from typing import Protocol, cast

import httptools


class Owner(Protocol):
    """Whoever uses a connection. After ``answered`` it can take the next request, if it is
    ``reusable``. ``failed``: the request got no whole answer; ``stale`` tells that the server had
    closed the connection before it can have read the request. ``closed`` comes last."""

    def answered(self, connection: "Connection", status: int, *, reusable: bool) -> None: ...
    def failed(self, connection: "Connection", *, stale: bool) -> None: ...
    def closed(self, connection: "Connection") -> None: ...


class Connection(asyncio.Protocol):
    def __init__(self, owner: Owner, loop: asyncio.AbstractEventLoop) -> None:
        self._owner = owner
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._timer: asyncio.TimerHandle | None = None
        self._busy = False
        self._answers = 0
        self._got_bytes = False
        self._timed_out = False
        self._headers_complete = False
        self._status: int | None = None
        self._keep_alive = False

    @property
    def is_open(self) -> bool:
        return self._transport is not None

    def send(self, request: bytes, timeout_s: float) -> None:
        """Write a request; the owner hears how it ended. One at a time."""
        if self._transport is None or self._busy:
            raise RuntimeError("the connection is not open, or a request is under way on it")
        self._busy = True
        self._got_bytes = False
        self._headers_complete = False
        self._timer = self._loop.call_later(timeout_s, self._time_out)
        self._transport.write(request)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # -- asyncio calls these --

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not derive from asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._got_bytes = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.close()
            return
        if self._status is not None:
            self._finish(self._status, reusable=self._keep_alive)

    def eof_received(self) -> None:
        # An answer without a length ends with the connection.
        if self._busy and self._headers_complete:
            self._finish(self._parser.get_status_code(), reusable=False)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._busy:
            self._end()
            stale = self._answers > 0 and not self._got_bytes and not self._timed_out
            self._owner.failed(self, stale=stale)
        self._owner.closed(self)

    # -- the parser calls these --

    def on_headers_complete(self) -> None:
        self._headers_complete = self._parser.get_status_code() >= 200

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status >= 200:
            self._status = status
            # Only here does the parser know.
            self._keep_alive = self._parser.should_keep_alive()

    def _finish(self, status: int, *, reusable: bool) -> None:
        self._status = None
        if not self._busy:
            self.close()
            return
        self._end()
        self._answers += 1
        if not reusable:
            self.close()
        self._owner.answered(self, status, reusable=reusable)

    def _end(self) -> None:
        self._busy = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _time_out(self) -> None:
        self._timed_out = True
        self.close()
