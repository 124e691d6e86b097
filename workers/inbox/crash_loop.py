"""What is known of drains that did not come to their end, because the worker died.

A drain notes that it begins, and strikes the note off with the first thing that it settles. So what
stands there when the next one begins tells how often in a row a worker has died (or failed in a way
that nobody thought of) before anything was settled. After a few times the lane's work is taken one
by one: each unit is noted before it is begun and struck off in its commit. One that was begun
again and again and is still there is what kills the workers.

This is written under the lane's lease.
"""

from typing import cast

import structlog

from contracts.jobs import Lane
from sidecar.redis import keys
from sidecar.redis.client import Redis, script
from workers.inbox.commit import Commit

log = structlog.get_logger()


class CrashLoop:
    """``most``: so many times a drain, and then a unit, may be begun and not come to its end.
    ``left``: how many units are still to be taken one by one. ``unit``: the one that is under way,
    or was when the worker died; None if there is none."""

    def __init__(self, redis: Redis, lane: Lane, *, most: int, units: int) -> None:
        self._redis = redis
        self._lane = lane
        self._key = keys.crashes(lane)
        self._begun = keys.begun(lane)
        self._token = 0
        self._script = script(redis, "inbox/crashes")
        self._most = most
        self._units = units
        self._recorded = False
        self.left = 0
        self.unit: str | None = None

    async def begin(self, token: int) -> None:
        """Note that a drain begins, under its fencing token."""
        self._token = token
        times = await self._record("drain", token, self._most, self._units)
        self._recorded = True
        if times > self._most:
            log.error("drain.one_by_one", lane=self._lane, deaths=times - 1)

    async def begin_unit(self, unit: str) -> bool:
        """Note that a unit is begun. Return whether it may be: False if it kills the workers."""
        return await self._record("unit", unit) <= self._most

    async def _record(self, *arguments: str | int) -> int:
        times, left, unit = await self._script(keys=[self._key, self._begun], args=list(arguments))
        self.left = int(left)
        self.unit = cast(bytes, unit).decode() or None
        return int(times)

    def clear(self, commit: Commit) -> None:
        """Strike the drain off, and those before it, together with what it settles."""
        if self._recorded:
            commit.add_command("DEL", self._begun)
            self._recorded = False

    def clear_unit(self, commit: Commit, next_unit: str | None) -> None:
        """Strike a unit off. ``next_unit``: the one that has to come next."""
        self.clear(commit)
        self.left -= 1
        self.unit = next_unit
        commit.add_command("HINCRBY", self._key, "left", -1)
        commit.add_command("HDEL", self._key, "tries", "unit")
        if next_unit is not None:
            commit.add_command("HSET", self._key, "unit", next_unit)

    async def forget(self) -> None:
        """Take nothing one by one any more."""
        self.left, self.unit, self._recorded = 0, None, False
        await self._redis.delete(self._key, self._begun)

    async def end(self) -> None:
        """The drain ends alive. It may have settled nothing, and may have lost its lease."""
        if self._recorded:
            self._recorded = False
            await self._redis.srem(self._begun, self._token)
