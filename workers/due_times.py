"""Corrects due times when a clock is set back: what waits for seconds must not wait for a day."""

import time
from collections.abc import Callable
from typing import cast

import structlog

from contracts.effects import EffectKind
from contracts.jobs import Lane
from sidecar.redis import keys
from sidecar.redis.client import Members, Redis, script

log = structlog.get_logger()

#: A clock that is set back by less than this changes nothing.
LEAST_S = 2.0

#: Sorted sets in one call.
CHUNK = 100


class DueTimes:
    """Checks whether this machine's clock has been set back since the last check, and moves due
    times back by as much. What it moves too far is tried early, which does no harm."""

    def __init__(
        self,
        redis: Redis,
        *,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis = redis
        self._earlier = script(redis, "redis/earlier")
        self._wall = wall
        self._monotonic = monotonic
        self._offset = wall() - monotonic()

    async def look(self) -> None:
        offset = self._wall() - self._monotonic()
        back_s = self._offset - offset
        if back_s >= LEAST_S:
            moved = await self._move(round(back_s * 1000))
            log.warning("clock.set_back", by_s=round(back_s), moved=moved)
        self._offset = offset

    async def _move(self, by_ms: int) -> int:
        names = [keys.deferred(lane) for lane in Lane]
        for kind in EffectKind:
            vendors = cast(Members, await self._redis.smembers(keys.outbox(kind)))
            names += [keys.outbox_of(kind, vendor.decode()) for vendor in vendors]
        moved = 0
        for start in range(0, len(names), CHUNK):
            moved += int(await self._earlier(keys=names[start : start + CHUNK], args=[by_ms]))
        return moved
