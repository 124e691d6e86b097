"""Records webhooks that PHP handles, so that what the sidecar would have done with them can be
compared with what PHP did (workers/shadow/work.py).

Recording must not slow a webhook down, so it waits for nothing: webhooks that arrive faster than
Redis takes them, or faster than they are compared, are dropped and counted.
"""

import asyncio
import re
from collections import deque
from datetime import UTC, datetime

from contracts.modes import Mode, Modes
from sidecar.clock import now_ms
from sidecar.logs import LogOnce
from sidecar.metrics import METRICS, SHADOW_WEBHOOKS
from sidecar.redis import keys
from sidecar.redis.client import AnyRedisError, Redis, reason_of, script
from sidecar.redis.memory_guard import MemoryGuard

#: Webhooks and bytes that wait for Redis in this process; half of the bytes go with one write.
BUFFER_WEBHOOKS = 2000
BUFFER_BYTES = 4 * 1024 * 1024
WRITE_WEBHOOKS = 200

#: Webhooks and bytes of one vendor that wait in Redis to be compared.
STREAM_WEBHOOKS = 10_000
STREAM_BYTES = 16 * 1024 * 1024

#: Share of the room for webhooks that shadow may use: webhooks that the sidecar handles come first.
MEMORY_SHARE = 0.5

#: How long results are kept, in days and in seconds.
KEEP_DAYS = 14
KEEP_S = KEEP_DAYS * 86_400


def day_of(at_ms: int) -> str:
    """Return the day in UTC, as it stands in keys."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).date().isoformat()


_MESSAGES = re.compile(rb'"messages"\s*:')


def is_compared(modes: Modes, body: bytes) -> bool:
    """Return whether a webhook is compared: by what PHP does with it, or, whoever handles it, by
    the bots that answer its messages."""
    if modes.webhooks is Mode.SHADOW:
        return True
    return modes.bots is Mode.SHADOW and _MESSAGES.search(body) is not None


class ShadowRecorder:
    """Records webhooks. ``memory_share`` is how far webhooks may fill Redis
    (``inbox_memory_share``); of that, these take half."""

    def __init__(self, redis: Redis, *, memory_share: float = 1.0) -> None:
        self._record = script(redis, "shadow/record")
        self._room = MemoryGuard(redis, memory_share * MEMORY_SHARE)
        self._waiting: deque[tuple[str, int, bytes]] = deque()
        self._size = 0
        self._dropped: dict[str, int] = {}
        self._writer: asyncio.Task[None] | None = None
        self._outage = LogOnce("shadow.not_recorded")

    def record(self, vendor_uid: str, body: bytes, received_at: int) -> None:
        """Record a webhook of a vendor in shadow; ``received_at`` is in unix ms. Returns at once
        and raises nothing; what cannot be kept is dropped and counted. Call it on the event loop.
        """
        if len(self._waiting) >= BUFFER_WEBHOOKS or self._size + len(body) > BUFFER_BYTES:
            self._drop({vendor_uid: 1})
            return
        self._waiting.append((vendor_uid, received_at, body))
        self._size += len(body)
        if self._writer is None:
            self._writer = asyncio.get_running_loop().create_task(self._write_all(), name="shadow")

    async def close(self) -> None:
        """Wait until every recorded webhook is written or dropped."""
        while self._writer is not None:
            await self._writer

    def _drop(self, counts: dict[str, int]) -> None:
        for vendor_uid, count in counts.items():
            self._dropped[vendor_uid] = self._dropped.get(vendor_uid, 0) + count
            METRICS.counter(SHADOW_WEBHOOKS, "dropped").add(count)

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                by_vendor, size = self._take()
                try:
                    await self._write(by_vendor, size)
                finally:
                    # Only now: what is being written is in memory as well.
                    self._size -= size
                    self._drop({vendor: len(pairs) // 2 for vendor, pairs in by_vendor.items()})
        finally:
            self._writer = None

    def _take(self) -> tuple[dict[str, list[int | bytes]], int]:
        """Return what goes with the next write, by vendor, and its bytes."""
        found: dict[str, list[int | bytes]] = {}
        size = 0
        for _ in range(min(WRITE_WEBHOOKS, len(self._waiting))):
            if size + len(self._waiting[0][2]) > BUFFER_BYTES // 2 and size:
                break
            vendor_uid, received_at, body = self._waiting.popleft()
            found.setdefault(vendor_uid, []).extend((received_at, body))
            size += len(body)
        return found, size

    async def _write(self, by_vendor: dict[str, list[int | bytes]], size: int) -> None:
        """Write, and take out of ``by_vendor`` what Redis has taken or counted."""
        try:
            if refusal := await self._room.refusal(size):
                self._outage.failed(refusal)
                return
            for vendor_uid in list(by_vendor):
                await self._write_vendor(vendor_uid, by_vendor[vendor_uid])
                del by_vendor[vendor_uid]
        except AnyRedisError as error:
            self._outage.failed(reason_of(error))
            return
        self._room.taken(size)
        self._outage.worked()

    async def _write_vendor(self, vendor_uid: str, pairs: list[int | bytes]) -> None:
        now, dropped = now_ms(), self._dropped.get(vendor_uid, 0)
        recorded = await self._record(
            keys=[
                keys.shadow(vendor_uid),
                keys.shadow_bytes(vendor_uid),
                keys.SHADOWED,
                keys.parity(vendor_uid),
                keys.parity_day(vendor_uid, day_of(now)),
            ],
            args=[vendor_uid, STREAM_WEBHOOKS, STREAM_BYTES, now, KEEP_S, dropped, *pairs],
        )
        METRICS.counter(SHADOW_WEBHOOKS, "recorded").add(recorded)
        METRICS.counter(SHADOW_WEBHOOKS, "dropped").add(len(pairs) // 2 - recorded)
        left = self._dropped.pop(vendor_uid, 0) - dropped
        if left:
            self._dropped[vendor_uid] = left
