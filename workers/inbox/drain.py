"""Drains a lane of the inbox, or a partition of it.

One drain at a time holds its lease. It repeats: take a batch with an equal share for every vendor,
split, coalesce, deliver, commit. A crash before the commit repeats the batch, and PHP recognises
what it has. While it is behind, the next batch is read when PHP works on the last one, and the lane
is divided among the workers there are.
"""

import asyncio
import time
from collections.abc import Callable, Set
from dataclasses import dataclass, field
from typing import Any, cast

import structlog

from contracts.jobs import Lane
from sidecar.inbox.partitions import Partition
from sidecar.inbox.store import MAX_ENTRY_WEBHOOKS
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.redis.lease import Lease, LeaseLost, Leases
from sidecar.redis.memory_guard import MemoryGuard
from sidecar.settings import Settings
from workers.inbox.batch import Batch
from workers.inbox.beside import MAX_DUE, Beside
from workers.inbox.commit import Commit
from workers.inbox.crash_loop import CrashLoop
from workers.inbox.delivery import Delivery, Fate, Verdicts
from workers.inbox.isolation import SharedLock
from workers.inbox.one_by_one import OneByOne
from workers.inbox.partitions import Partitions
from workers.inbox.processor import Processor
from workers.inbox.read_ahead import Look, ReadAhead
from workers.inbox.reader import FairReader, LanePolicy
from workers.inbox.retries import Retries
from workers.inbox.update import Update

log = structlog.get_logger()

#: How long a drain runs before it makes room for other work of the process.
MAX_RUN_S = 20.0

#: How often to look for fresh updates while waiting only for batches beside.
LOOK_AGAIN_S = 0.02

#: How long a drain that has nothing left waits for more. To begin anew takes a wake-up, a lease and
#: some round trips, which a customer's message has to wait for.
LINGER_S = 0.5

#: How long the first drain of several waits for more, for as long as the others have something.
OTHERS_S = 0.05


@dataclass(frozen=True, slots=True)
class Host:
    """The process that drains. ``stopping`` returns whether it is to end, and ``wake`` has somebody
    drain a lane; its drains share ``lock``. One that has nothing left waits for ``linger_s``."""

    leases: Leases
    stopping: Callable[[], bool]
    wake: Callable[[Lane], None] = lambda lane: None
    linger_s: float = 0.0
    lock: SharedLock = field(default_factory=SharedLock)


class Drain:
    """Drains one lane, or a partition of it. Use it once."""

    def __init__(
        self,
        policy: LanePolicy,
        settings: Settings,
        redis: Redis,
        delivery: Delivery,
        processor: Processor,
        host: Host,
    ) -> None:
        lane = policy.lane
        self._policy = policy
        self._redis = redis
        self._delivery = delivery
        self._processor = processor
        self._host = host
        self._partition = Partition()
        self._partitions = Partitions(redis, host.leases, lane, lambda: host.wake(lane))
        guard = MemoryGuard(redis, settings.inbox_memory_share)
        self._reader = FairReader(redis, policy, guard, self._partition)
        self._ahead = ReadAhead(self._reader, policy.most // 2)
        retries = Retries(redis, lane, self._partition)
        self._beside = Beside(policy, self._reader, retries, delivery, processor, host.lock)
        self._crash_loop = CrashLoop(
            redis,
            lane,
            most=settings.crash_loop_threshold,
            units=2 * policy.most + MAX_ENTRY_WEBHOOKS + MAX_DUE,
        )
        self._one_by_one = OneByOne(
            policy, self._crash_loop, self._reader, retries, processor, delivery
        )
        self._end = 0.0

    async def run(self) -> bool:
        """Drain until nothing is left to do now, or MAX_RUN_S is over. Return whether a worker must
        be woken for what is left."""
        async with self._partitions.hold() as held:
            if held is None:
                return False
            mine, lease = held
            self._partition.become(*mine.words)
            try:
                await self._drain(lease)
            except LeaseLost:
                log.warning("drain.lease_lost", lane=self._policy.lane)
                await self._crash_loop.end()
                return False
            finally:
                self._reader.forget()
        # After the lease is free: what was put in before that sent no wake-up.
        return not self._host.stopping() and await self._anything_now()

    async def _drain(self, lease: Lease) -> None:
        self._end = time.monotonic() + MAX_RUN_S
        await self._crash_loop.begin(lease.token, self._partition.index)
        try:
            while self._goes_on(lease):
                await self._partitions.look(self._partition, lease)
                self._beside.clear_ended()
                if (pause_s := self._delivery.breaker.wait_s) > 0:
                    await asyncio.sleep(min(pause_s, 0.5))
                elif self._crash_loop.left:
                    async with self._host.lock.alone():
                        await self._one_by_one.step(lease)
                elif await self._batch(lease):
                    if self._ahead.vendors > 1 and not self._beside:
                        await self._divide(lease)
                elif self._is_over or not await self._anything_now():
                    if self._beside:
                        await self._beside.wait(LOOK_AGAIN_S)
                    elif await self._partitions.look(self._partition, lease, now=True):
                        continue
                    elif self._is_over or not await self._rung():
                        break
        finally:
            await self._ahead.forget()
            await self._beside.cancel()
        await self._crash_loop.end()

    async def _rung(self) -> bool:
        """Wait a little for more. Return whether something has come."""
        if self._partition.index or not self._host.linger_s:
            return False
        if self._partition.count > 1:
            await asyncio.sleep(OTHERS_S)  # the bell rings for the others as well
            return True
        bell = keys.bell(self._policy.lane)
        return await cast(Any, self._redis).blpop([bell], self._host.linger_s) is not None

    async def _divide(self, lease: Lease) -> None:
        """Divide the lane, which is behind, while nothing is in flight."""
        if await self._partitions.divide(self._partition, lease):
            await self._ahead.forget()

    def _goes_on(self, lease: Lease) -> bool:
        if self._host.stopping() or lease.lost.is_set():
            return False
        if self._is_over or self._partitions.is_stuck:
            self._beside.close()
            return bool(self._beside)
        return True

    @property
    def _is_over(self) -> bool:
        return time.monotonic() >= self._end

    async def _anything_now(self) -> bool:
        if self._delivery.breaker.wait_s > 0:
            return False  # the reconciler comes back to it
        if await self._reader.waiting(self._beside.blocked()):
            return True
        return await self._beside.anything_due()

    async def _batch(self, lease: Lease) -> bool:
        """Process the next batch, and start batches beside for what must not go with it. Return
        whether anything was committed."""
        apart = self._delivery.isolated.vendors() | self._beside.reading
        look = await self._ahead.next(apart)
        batch = Batch(look.taken, await self._beside.start_due(lease))
        self._beside.start_fresh(lease, look.passed_over)
        if not (batch or look.empty):
            return False
        async with self._host.lock.together():
            return await self._process(batch, look, apart, lease)

    async def _process(self, batch: Batch, look: Look, apart: Set[str], lease: Lease) -> bool:
        complete = True

        async def deliver(updates: list[Update]) -> Verdicts:
            nonlocal complete
            self._ahead.start(apart)
            verdicts = await self._delivery.deliver(
                updates, batch_size=self._policy.batch_size, concurrency=self._policy.concurrency
            )
            complete = all(one.fate is not Fate.UNTRIED for one in verdicts.values())
            return verdicts

        def record(commit: Commit) -> None:
            commit.remove_empty(look.empty)
            if not self._beside:  # those may still kill us
                self._crash_loop.clear(commit)

        committed = await self._processor.process(batch, deliver, lease, record)
        if committed and complete:
            await self._ahead.committed()
        else:
            await self._ahead.forget()
        return committed
