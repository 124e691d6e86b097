"""How much memory Redis has left, so that new work is refused before begun work is harmed.

Redis at ``maxmemory`` refuses most writes, whoever makes them. So webhooks are accepted only up to
a share of it; the rest is for wake-ups, the ledger and leases.
"""

import asyncio
import time
from collections.abc import Callable

import structlog

from sidecar.redis import keys
from sidecar.redis.client import Redis, RedisUnavailable, ResponseError

log = structlog.get_logger()

#: How often Redis is asked at most: while there is room, and while there seems to be none.
LOOK_S = 1.0
LOOK_AGAIN_S = 0.1

#: Memory that a webhook takes per byte. An estimate, used between two looks.
BYTES_PER_BYTE = 1.5

#: Maximum vendors whose stored bytes a process remembers.
MAX_VENDORS = 10_000


class MemoryGuard:
    """Tracks the room for webhooks, up to ``share`` of Redis's ``maxmemory``. Without a
    ``maxmemory`` there is always room.

    Redis is asked at most once a second; in between, writes are added up.
    """

    def __init__(
        self, redis: Redis, share: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._redis = redis
        self._share = share
        self._clock = clock
        self._looked_at = -LOOK_S
        self._limit: float | None = None
        self._used = 0.0
        self._may_ask = True

    async def refusal(self, size: int) -> str | None:
        """Return why webhooks of this size cannot be accepted now, or None. Raises
        ``RedisUnavailable``."""
        age_s = self._clock() - self._looked_at
        if age_s >= LOOK_S or (self._lacks(size) and age_s >= LOOK_AGAIN_S):
            await self._look()
        if not self._lacks(size):
            return None
        return f"Redis is filled to {self._share:.0%} of its maxmemory"

    @property
    def limit(self) -> float | None:
        """Return how many bytes webhooks may fill; None: no limit, or not known yet."""
        return self._limit

    def taken(self, size: int) -> None:
        """Record that webhooks of this size were written."""
        self._used += size * BYTES_PER_BYTE

    def _lacks(self, size: int) -> bool:
        return self._limit is not None and self._used + size * BYTES_PER_BYTE > self._limit

    async def _look(self) -> None:
        self._looked_at = self._clock()
        if not self._may_ask:
            return
        try:
            memory = await self._redis.info("memory")
        except ResponseError as error:
            self._may_ask = False
            log.warning("redis.memory_unknown", reason=str(error))
            return
        most = int(memory.get("maxmemory", 0))
        self._limit = most * self._share if most else None
        # Redis does not count its own buffers against maxmemory either.
        self._used = int(memory["used_memory"]) - int(memory.get("mem_not_counted_for_evict", 0))


class VendorShare:
    """Keeps each vendor's stored bytes below ``share`` of what webhooks may fill: a vendor whose
    webhooks cannot be delivered loses its own new ones, and nobody else's are refused.

    The bytes are counted in Redis (``keys.STORED_BYTES``), and known from the last write.
    """

    def __init__(
        self,
        redis: Redis,
        room: MemoryGuard,
        share: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis = redis
        self._room = room
        self._share = share
        self._clock = clock
        self._stored: dict[str, int] = {}
        self._looks: dict[str, tuple[float, asyncio.Task[None]]] = {}

    def take(self, vendor_uid: str, size: int) -> str | None:
        """Return why the vendor's webhook cannot be accepted now, or None and count it."""
        limit = self._room.limit
        if limit is None:
            return None
        if len(self._stored) > MAX_VENDORS:
            self._stored.clear()  # the next writes tell again
        used = self._stored.get(vendor_uid, 0) + size
        if used <= limit * self._share:
            self._stored[vendor_uid] = used
            return None
        self._look_again(vendor_uid)
        return f"what is stored of vendor {vendor_uid} fills {self._share:.0%} of the inbox"

    def stored(self, sizes: dict[str, int]) -> None:
        """Update vendors' stored bytes from Redis's answer. Vendors far below their share are
        forgotten."""
        limit = self._room.limit
        if limit is None:
            self._stored.clear()
            return
        for vendor_uid, size in sizes.items():
            self._stored[vendor_uid] = size
            if size < limit * self._share / 4:
                del self._stored[vendor_uid]

    def _look_again(self, vendor_uid: str) -> None:
        now = self._clock()
        at, _ = self._looks.get(vendor_uid, (-LOOK_AGAIN_S, None))
        if now - at >= LOOK_AGAIN_S:
            self._looks = {v: look for v, look in self._looks.items() if now - look[0] < LOOK_S}
            self._looks[vendor_uid] = now, asyncio.create_task(self._look(vendor_uid))

    async def _look(self, vendor_uid: str) -> None:
        try:
            found = await self._redis.hget(keys.counters(vendor_uid), keys.STORED_BYTES)
        except RedisUnavailable:
            return  # the next write says so
        self.stored({vendor_uid: int(found or 0)})
