"""Divides a lane that is behind among several workers, and puts it together again.

The drain of the first partition decides. It divides the lane while it has nothing in flight, and
puts it together once no other partition is drained. A drain that has lost its lease without knowing
commits nothing. Each looks after the others, so that none is left without a drain.
"""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

import structlog

from contracts.jobs import Lane, drain
from sidecar.inbox.partitions import (
    MAX_PARTITIONS,
    Partition,
    best_salt,
    division,
    drain_lease,
)
from sidecar.ops.processes import read_processes
from sidecar.redis import keys
from sidecar.redis.client import Redis, script
from sidecar.redis.lease import Fenced, Lease, LeaseLost, Leases

log = structlog.get_logger()

#: How often a drain looks after the others, and how often the first one divides at most.
LOOK_S = 1.0
DIVIDE_S = 5.0

#: A drain ends if another partition was free at so many looks in a row: whoever might take it has
#: one already. Then the lane is put together, or divided anew.
PATIENCE = 3


#: What look_at_partitions.lua answers otherwise.
_LOST, _ONE = -1, -2


class Partitions:
    """A lane's partitions, for one process; ``wake`` has another drain begin."""

    def __init__(
        self, redis: Redis, leases: Leases, lane: Lane, wake: Callable[[], None] = lambda: None
    ) -> None:
        self._redis = redis
        self._leases = leases
        self._lane = lane
        self._wake = wake
        self._fenced = Fenced(redis)
        self._look_at_all = script(redis, "inbox/look_at_partitions")
        self._look_at = 0.0
        self._divide_at = 0.0
        self._free_looks = 0

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[tuple[Partition, Lease] | None]:
        """Hold a partition that nobody drains inside the block, or yield None if there is none. A
        process drains one of a lane's: a second one would only take turns with it."""
        count, _ = await self._division()
        names = [drain_lease(self._lane, index) for index in range(count)]
        if self._leases.held.isdisjoint(names):
            for index, name in enumerate(names):
                async with self._leases.hold(name) as lease:
                    if lease is None:
                        continue
                    # From now on only this drain may change it, or nobody.
                    yield await self._begin(index, lease)
                    return
        yield None

    async def _begin(self, index: int, lease: Lease) -> tuple[Partition, Lease] | None:
        count, salt = await self._division()
        mine = Partition(index, count, salt)
        if index == 0 and count > 1:
            with suppress(LeaseLost):
                await self._keep(mine, lease)
        return (mine, lease) if index < count else None

    async def _division(self) -> tuple[int, int]:
        """Return how many partitions there are, and how vendors are spread over them."""
        found = await self._redis.get(keys.partitions(self._lane))
        return division(cast("bytes | None", found))

    async def _keep(self, mine: Partition, lease: Lease) -> None:
        """Keep the division, with the token of the first one's drain: while anybody else holds the
        lane, which knows of no partitions then, the others commit nothing (``commit.lua``)."""
        division = f"{mine.count} {mine.salt} {lease.token}"
        await self._fenced.run(lease, ("SET", keys.partitions(self._lane), division))

    async def divide(self, partition: Partition, lease: Lease) -> bool:
        """Divide the lane among the workers there are. Nothing of it may be in flight. Return
        whether that was done. Raises :class:`~sidecar.redis.lease.LeaseLost`."""
        now = time.monotonic()
        if partition.count > 1 or now < self._divide_at:
            return False
        self._divide_at = now + DIVIDE_S
        count = min(await self._workers(), MAX_PARTITIONS)
        if count < 2:
            return False
        found = await cast(Any, self._redis).hgetall(keys.waiting(self._lane))
        salt = best_salt({vendor.decode(): int(number) for vendor, number in found.items()}, count)
        divided = Partition(0, count, salt)
        await self._keep(divided, lease)
        partition.become(*divided.words)
        self._look_at = now + LOOK_S
        log.info("lane.divided", lane=self._lane, partitions=count)
        self._wake()
        return True

    async def _workers(self) -> int:
        """Return how many processes drain this lane; 0 if one of them knows of no partitions, while
        workers are replaced by those of another version."""
        queue = drain(self._lane).queue
        alive = [one for one in await read_processes(self._redis) if one.alive]
        workers = [one for one in alive if queue in one.queues and not one.php_away]
        return len(workers) if all(one.partitioned for one in workers) else 0

    @property
    def is_stuck(self) -> bool:
        """Return whether another partition has been free for long."""
        return self._free_looks >= PATIENCE

    async def look(self, partition: Partition, lease: Lease, *, now: bool = False) -> bool:
        """Every second, have others drained that nobody drains. The first drain puts the lane
        together if nobody drains any of them; also ``now``, because it has nothing else to do.
        Return whether that was done. Raises :class:`~sidecar.redis.lease.LeaseLost`."""
        is_time = time.monotonic() >= self._look_at
        if partition.count == 1 or not (is_time or (now and partition.index == 0)):
            return False
        names = [keys.partitions(self._lane)]
        for index in range(partition.count):
            names.append(keys.lease(drain_lease(self._lane, index)))
            names += [keys.crashes(self._lane, index), keys.begun(self._lane, index)]
        free = int(await self._look_at_all(keys=names, args=[partition.index, lease.token]))
        if free == _LOST:
            raise LeaseLost(lease.name)
        if free == _ONE:
            partition.become(0, 1, 0)
            log.info("lane.put_together", lane=self._lane)
            return True
        if is_time:
            self._look_at = time.monotonic() + LOOK_S
            self._free_looks = self._free_looks + 1 if free and partition.index else 0
            if free:
                self._wake()
        return False
