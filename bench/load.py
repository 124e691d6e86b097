"""The load generator: keep-alive connections, each with one request under way, in one process.

At saturation a connection sends its next request when it has the answer. At a rate each request
has a moment at which it is due, and its latency counts from then, whether a connection was free or
not: a server that stands still for a second is charged for all that came in that second
(coordinated omission).
"""

import asyncio
import math
import re
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import cast

CONTENT_LENGTH = re.compile(rb"(?i)content-length: (\d+)")

#: How long answers to the last requests are waited for.
LAST_ANSWERS_S = 60.0
_OK = b"HTTP/1.1 200"


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest value that so many are not above (nearest rank). Raises ValueError for
    no values."""
    if not ordered:
        raise ValueError("no values")
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def latencies_ms(seconds: Iterable[float]) -> dict[str, float]:
    """Return ``p50_ms``, ``p99_ms`` and ``max_ms``; nothing for none."""
    ordered = sorted(seconds)
    if not ordered:
        return {}
    shares = {"p50_ms": 0.5, "p99_ms": 0.99, "max_ms": 1.0}
    return {name: round(percentile(ordered, at) * 1000, 2) for name, at in shares.items()}


class Connection(asyncio.Protocol):
    """One keep-alive connection."""

    def __init__(self, load: "Load") -> None:
        self.load = load
        self.request = b""
        self.due_at = 0.0
        self.answer = b""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def send(self, request: bytes, due_at: float) -> None:
        self.request, self.due_at = request, due_at
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self.answer or len(data) != self.load.usual_length:
            self.answer += data
            if not _is_whole(self.answer):
                return
            data, self.answer = self.answer, b""
            self.load.usual_length = len(data)
        self.load.answered(self, data.startswith(_OK))

    def connection_lost(self, error: Exception | None) -> None:
        self.load.lost(self)


def _is_whole(answer: bytes) -> bool:
    head, blank, body = answer.partition(b"\r\n\r\n")
    if length := CONTENT_LENGTH.search(head):
        return bool(blank) and len(body) >= int(length[1])
    return body.endswith(b"0\r\n\r\n")  # in chunks


class Load:
    """Sends prepared requests, one after the other and from the start again. ``latencies``: seconds
    from the moment that each answered request was due. ``again``: what is refused is sent again at
    once, as Meta does later, and counts when it is taken."""

    def __init__(self, requests: Sequence[bytes], again: bool = False) -> None:
        self.requests = requests
        self.again = again
        self.at = 0
        #: Of an answer that was whole: the next one of this length is whole too.
        self.usual_length = 0
        self.latencies: list[float] = []
        self.refused = 0
        self.idle: list[Connection] = []
        self._left: float = 0
        self._under_way = 0
        self._due: deque[float] = deque()
        self._quiet = asyncio.Event()

    async def at_saturation(self, seconds: float, most: float = math.inf) -> float:
        """Keep all connections busy, for so long or so many requests. Return the answers per
        second."""
        self.latencies, self._left = [], most
        started = time.perf_counter()
        while self.idle and self._left > 0:
            self._send(time.perf_counter())
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._last_answers()
        # Whatever is answered after the end would not be waited for by those who count.
        done, took = len(self.latencies), time.perf_counter() - started
        self._left = 0
        await self._last_answers()
        return done / took

    async def at_rate(self, per_s: float, seconds: float) -> float:
        """Send so many requests per second, evenly. Return how many were answered per second, of
        the time until the last answer."""
        self.latencies, self._left = [], 0
        started, count = time.perf_counter(), round(per_s * seconds)
        made = 0
        while made < count:
            now = time.perf_counter()
            while made < count and started + made / per_s <= now:
                self._due.append(started + made / per_s)
                made += 1
            while self._due and self.idle:
                self._send(self._due.popleft())
            await asyncio.sleep(0.001)
        await self._last_answers()
        return len(self.latencies) / max(seconds, time.perf_counter() - started)

    def answered(self, connection: Connection, accepted: bool) -> None:
        self.refused += not accepted
        if self.again and not accepted:
            connection.send(connection.request, connection.due_at)
            return
        now = time.perf_counter()
        self.latencies.append(now - connection.due_at)
        self._under_way -= 1
        self.idle.append(connection)
        if self._due:
            self._send(self._due.popleft())
        elif self._left > 0:
            self._send(now)
        elif not self._under_way:
            self._quiet.set()

    def lost(self, connection: Connection) -> None:
        """A connection was closed: what was under way on it has no answer."""
        if connection in self.idle:
            self.idle.remove(connection)
        elif self._under_way:
            self._under_way -= 1
            self.refused += 1
        if not self._under_way:
            self._quiet.set()

    def _send(self, due_at: float) -> None:
        self._left -= 1
        self._under_way += 1
        self.at = (self.at + 1) % len(self.requests)
        self.idle.pop().send(self.requests[self.at], due_at)

    async def _last_answers(self) -> None:
        if self._under_way or self._due:
            self._quiet.clear()
            async with asyncio.timeout(LAST_ANSWERS_S):
                await self._quiet.wait()


@asynccontextmanager
async def connected(
    port: int, requests: Sequence[bytes], connections: int, again: bool = False
) -> AsyncIterator[Load]:
    """Open so many connections to a loopback port. ``again``: see :class:`Load`."""
    load = Load(requests, again)
    loop = asyncio.get_running_loop()
    opened = [
        (await loop.create_connection(lambda: Connection(load), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    load.idle = list(opened)
    try:
        yield load
    finally:
        for connection in opened:
            connection.transport.close()
