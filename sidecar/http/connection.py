"""Connections of ``sidecar serve``: uvicorn's, closed if the client is too slow or too large.

nginx forwards complete requests only, so no honest caller is cut off. uvicorn alone would wait for
the rest of a request, and hold what it has of it, for as long as the client likes.
"""

import asyncio
import resource

from sidecar.http.direct import DirectProtocol, Taker, nothing
from sidecar.logs import LogOnce

#: Time limit for a request, from its first byte to its last.
REQUEST_S = 15.0

#: Maximum size and number of header fields; Meta's and PHP's need a tenth of it.
MAX_HEAD_BYTES = 32 * 1024
MAX_FIELDS = 100

#: Maximum bytes held for all incomplete requests together.
MAX_UNFINISHED_BYTES = 64 * 1024 * 1024

#: Maximum connections, if the process may have twice as many files open.
MAX_CONNECTIONS = 4096


def make_connection_class(
    *,
    request_s: float = REQUEST_S,
    max_unfinished_bytes: int = MAX_UNFINISHED_BYTES,
    max_connections: int = MAX_CONNECTIONS,
    taker: Taker = nothing,
) -> type[DirectProtocol]:
    """Return the protocol of one server's connections, which share these limits. ``taker`` may take
    requests before the application gets them."""
    most_files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    slow = _Slow(max_unfinished_bytes, min(max_connections, most_files // 2))

    class Connection(_Connection):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self.slow, self.request_s, self.taker = slow, request_s, taker
            self.wait()
            slow.make_room(len(self.connections))

    return Connection


class _Slow:
    """A server's connections that wait for the rest of a request, the longest waiting first. If
    they hold too much, these are closed first: clients that send at once are not kept out."""

    def __init__(self, max_bytes: int, max_connections: int) -> None:
        self._max_bytes = max_bytes
        self._max_connections = max_connections
        self._bytes: dict[_Connection, int] = {}
        self._total = 0
        self.outage = LogOnce("connection.cut_off")

    def hold(self, connection: "_Connection", size: int) -> None:
        self._total += size - self._bytes.get(connection, 0)
        self._bytes[connection] = size
        while self._total > self._max_bytes:
            self._cut_off("unfinished requests hold too much memory")

    def drop(self, connection: "_Connection") -> None:
        self._total -= self._bytes.pop(connection, 0)

    def make_room(self, connections: int) -> None:
        if connections > self._max_connections:
            self._cut_off("there are too many connections")

    def _cut_off(self, reason: str) -> None:
        next(iter(self._bytes)).cut_off(reason)


class _Connection(DirectProtocol):
    slow: _Slow
    request_s: float
    _timer: asyncio.TimerHandle | None = None
    _ended: object = ()  # the scope of the last request that was complete
    _size = 0

    def wait(self) -> None:
        """Start to wait for the next request, or for the rest of one."""
        self._timer = self.loop.call_later(self.request_s, self.cut_off, "a request took too long")
        self.slow.hold(self, self._size)

    def cut_off(self, reason: str) -> None:
        self._end_wait()
        self.slow.outage.failed(reason)
        self.transport.abort()

    def _end_wait(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self.slow.drop(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_wait()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._ended is self.scope:
            self._size = 0
            return
        self._size += len(data)
        # uvicorn makes a scope when a request begins, and a cycle when it has its head.
        has_head = self.cycle is not None and self.cycle.scope is self.scope
        if self.transport.is_closing():
            self._end_wait()
        elif not has_head and (self._size > MAX_HEAD_BYTES or len(self.headers) > MAX_FIELDS):
            self.cut_off("the head of a request is too long")
        elif self._timer is None:
            self.wait()
        else:
            # What comes after the answer is thrown away.
            is_answered = has_head and self.cycle.response_complete
            self.slow.hold(self, 0 if is_answered else self._size)

    def on_message_complete(self) -> None:
        self._ended = self.scope
        self._end_wait()
        super().on_message_complete()
