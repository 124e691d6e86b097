"""How much room Redis has, so that new work is refused before work that has begun is harmed.

A Redis that has reached ``maxmemory`` refuses most writes, whoever's they are. So webhooks are
taken only up to a share of it, and the rest is left to the wake-ups, the ledger and the leases.
"""

import asyncio
import time
from collections.abc import Callable

import structlog

from sidecar.redis import keys
from sidecar.redis.client import Redis, RedisUnavailable, ResponseError

log = structlog.get_logger()

#: Redis is asked so often at most, while there is room, and while it looks as if there were none.
LOOK_S = 1.0
LOOK_AGAIN_S = 0.1

#: What a webhook takes of Redis's memory, for each of its bytes. In between two looks only.
BYTES_PER_BYTE = 1.5

#: Vendors of which a process knows at most how much is stored.
MAX_VENDORS = 10_000


class MemoryGuard:
    """What room there is for webhooks, up to ``share`` of Redis's ``maxmemory``. With no
    ``maxmemory`` there is always room.

    Redis is asked at most once a second; in between, what was written is added up.
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
        """Return why webhooks of so many bytes cannot be taken now, or None. Raises what Redis
        raises when it is away."""
        age_s = self._clock() - self._looked_at
        if age_s >= LOOK_S or (self._lacks(size) and age_s >= LOOK_AGAIN_S):
            await self._look()
        if not self._lacks(size):
            return None
        return f"Redis is filled to {self._share:.0%} of its maxmemory"

    @property
    def limit(self) -> float | None:
        """How many bytes webhooks may fill; None: any, or Redis has not been asked yet."""
        return self._limit

    def taken(self, size: int) -> None:
        """Note that webhooks of so many bytes were written."""
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
    """Keeps what is stored of one vendor below ``share`` of what webhooks may fill, so that a
    vendor whose webhooks cannot be handed over has none of its own refused but nobody else's.

    What is stored is counted in Redis (``keys.STORED_BYTES``), and known from the last write.
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
        """Return why no more of the vendor's can be taken now, or None; then it counts as taken."""
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
        """Take what Redis has said of how many bytes are stored of vendors. Those that are far from
        their share are forgotten."""
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
