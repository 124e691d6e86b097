"""Periodic cleanup, so that Redis does not fill with what nobody needs."""

import time
from typing import cast

import orjson
import structlog

from sidecar.clock import now_ms
from sidecar.ops.accounting import FLOWS
from sidecar.ops.dead_letters import DeadLetters
from sidecar.redis import keys
from sidecar.redis.client import Redis, script
from sidecar.redis.letter_bounds import Bounds

log = structlog.get_logger()

#: Maximum vendors with counters of their own. Beyond that, idle vendors share theirs: anybody can
#: make up vendors while signatures are only reported and PHP is unavailable.
MAX_VENDORS = 20_000
#: Their common name. No vendor's uid has a parenthesis.
OTHERS = "(others)"
#: Vendors in one call to Redis, and calls in a row.
CHUNK = 500
MAX_CHUNKS = 20
#: Dead letters grow old by the day.
TRIM_S = 60.0


class Housekeeping:
    """Called periodically by the holder of the reconciler's lease."""

    def __init__(self, redis: Redis, bounds: Bounds) -> None:
        self._redis = redis
        self._bounds = bounds
        self._letters = DeadLetters(redis)
        self._merge = script(redis, "ops/merge_counters")
        self._trim_at = 0.0

    async def run(self, vendors: int | None = None) -> None:
        """Do what is due. ``vendors``: how many have counters, if that is known."""
        if vendors is None or vendors > MAX_VENDORS:
            await self.merge_counters()
        if time.monotonic() >= self._trim_at:
            self._trim_at = time.monotonic() + TRIM_S
            while await self._letters.adopt():
                pass
            if dropped := await self._letters.trim(self._bounds, now_ms()):
                log.warning("dead_letters.deleted", letters=dropped)

    async def merge_counters(self) -> int:
        """Merge the counters of idle vendors if there are too many. Return how many."""
        merged = 0
        for _ in range(MAX_CHUNKS):
            too_many = int(await self._redis.scard(keys.VENDORS)) - MAX_VENDORS
            if too_many <= 0:
                break
            some = cast("list[bytes]", await self._redis.srandmember(keys.VENDORS, CHUNK))
            vendors = [vendor for one in some if (vendor := one.decode()) != OTHERS]
            names = [keys.VENDORS, keys.counters(OTHERS), *map(keys.counters, vendors)]
            words: list[str | bytes] = [
                OTHERS,
                orjson.dumps([flow.counters for flow in FLOWS]),
                *vendors,
            ]
            merged += int(await self._merge(keys=names, args=words))
        return merged
