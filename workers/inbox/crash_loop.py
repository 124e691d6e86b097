"""Detects drains that did not finish because the worker died.

A drain records that it begins, and clears the record with its first commit. So when the next one
begins, the records tell how often in a row workers have died (or failed unexpectedly) before a
commit. After a few times the lane's work is taken one by one: each unit is recorded before it is
started, and cleared in its commit. A unit that was started again and again and is still recorded is
what kills the workers.

This is written under the partition's lease.
"""

from typing import cast

import structlog

from contracts.jobs import Lane
from sidecar.redis import keys
from sidecar.redis.client import Redis, script
from workers.inbox.commit import Commit

log = structlog.get_logger()


class CrashLoop:
    """``most``: how often a drain, and then a unit, may be started without finishing. ``left``: how
    many units are still to be taken one by one. ``unit``: the one in progress, or that was when the
    worker died; None if there is none."""

    def __init__(self, redis: Redis, lane: Lane, *, most: int, units: int) -> None:
        self._redis = redis
        self._lane = lane
        self._key = ""
        self._begun = ""
        self._token = 0
        self._script = script(redis, "inbox/crashes")
        self._most = most
        self._units = units
        self._recorded = False
        self.left = 0
        self.unit: str | None = None

    async def begin(self, token: int, partition: int = 0) -> None:
        """Record that a drain of a partition begins, under its fencing token."""
        self._token = token
        self._key = keys.crashes(self._lane, partition)
        self._begun = keys.begun(self._lane, partition)
        times = await self._record("drain", token, self._most, self._units)
        self._recorded = True
        if times > self._most:
            log.error("drain.one_by_one", lane=self._lane, deaths=times - 1)

    async def begin_unit(self, unit: str) -> bool:
        """Record that a unit is started. Return whether it may be: False if it kills workers."""
        return await self._record("unit", unit) <= self._most

    async def _record(self, *arguments: str | int) -> int:
        times, left, unit = await self._script(keys=[self._key, self._begun], args=list(arguments))
        self.left = int(left)
        self.unit = cast(bytes, unit).decode() or None
        return int(times)

    def clear(self, commit: Commit) -> None:
        """Clear the records of this drain and of those before it, in its commit."""
        if self._recorded:
            commit.add_command("DEL", self._begun)
            self._recorded = False

    def clear_unit(self, commit: Commit, next_unit: str | None) -> None:
        """Clear a unit's record in its commit. ``next_unit`` must come next."""
        self.clear(commit)
        self.left -= 1
        self.unit = next_unit
        commit.add_command("HINCRBY", self._key, "left", -1)
        commit.add_command("HDEL", self._key, "tries", "unit")
        if next_unit is not None:
            commit.add_command("HSET", self._key, "unit", next_unit)

    async def forget(self) -> None:
        """Stop taking units one by one."""
        self.left, self.unit, self._recorded = 0, None, False
        await self._redis.delete(self._key, self._begun)

    async def end(self) -> None:
        """Clear this drain's record: it ends alive, perhaps without a commit or a lease."""
        if self._recorded:
            self._recorded = False
            await self._redis.srem(self._begun, self._token)
