"""How much room Redis has, so that new work is refused before work that has begun is harmed.

A Redis that has reached ``maxmemory`` refuses most writes, whoever's they are. So webhooks are
taken only up to a share of it, and the rest is left to the wake-ups, the ledger and the leases.
"""

import time
from collections.abc import Callable

import structlog

from sidecar.redis_client import Redis, ResponseError

log = structlog.get_logger()

#: Redis is asked so often at most, while there is room, and while it looks as if there were none.
LOOK_S = 1.0
LOOK_AGAIN_S = 0.1

#: What a webhook takes of Redis's memory, for each of its bytes. In between two looks only.
BYTES_PER_BYTE = 1.5


class Headroom:
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
            log.warning("redis_memory_unknown", reason=str(error))
            return
        most = int(memory.get("maxmemory", 0))
        self._limit = most * self._share if most else None
        # Redis does not count its own buffers against maxmemory either.
        self._used = int(memory["used_memory"]) - int(memory.get("mem_not_counted_for_evict", 0))
