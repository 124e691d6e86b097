"""Drains a lane of the inbox.

One drain at a time holds the lane's lease. It repeats: take a batch with an equal share for every
vendor, split, coalesce, deliver, commit. A crash before the commit repeats the batch, and PHP
recognises what it has.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from sidecar.inbox.store import MAX_ENTRY_WEBHOOKS, drain_lease
from sidecar.redis.client import Redis
from sidecar.redis.lease import Lease, LeaseLost, Leases
from sidecar.redis.memory_guard import MemoryGuard
from sidecar.settings import Settings
from workers.inbox.batch import Batch
from workers.inbox.beside import MAX_DUE, Beside
from workers.inbox.commit import Commit
from workers.inbox.crash_loop import CrashLoop
from workers.inbox.delivery import Delivery, Verdicts
from workers.inbox.isolation import SharedLock
from workers.inbox.one_by_one import OneByOne
from workers.inbox.processor import Processor
from workers.inbox.reader import FairReader, LanePolicy
from workers.inbox.update import Update

log = structlog.get_logger()

#: How long a drain runs before it makes room for other work of the process.
MAX_RUN_S = 20.0

#: How often to look for fresh updates while waiting only for batches beside.
LOOK_AGAIN_S = 0.02


@dataclass(frozen=True, slots=True)
class Host:
    """The process that drains. ``stopping`` returns whether it is to end; its drains share
    ``lock``."""

    leases: Leases
    stopping: Callable[[], bool]
    lock: SharedLock = field(default_factory=SharedLock)


class Drain:
    """Drains one lane. Use it once."""

    def __init__(
        self,
        policy: LanePolicy,
        settings: Settings,
        redis: Redis,
        delivery: Delivery,
        processor: Processor,
        host: Host,
    ) -> None:
        self._policy = policy
        self._delivery = delivery
        self._processor = processor
        self._host = host
        guard = MemoryGuard(redis, settings.inbox_memory_share)
        self._reader = FairReader(redis, policy, guard)
        self._beside = Beside(policy, redis, guard, delivery, processor, host.lock)
        self._crash_loop = CrashLoop(
            redis,
            policy.lane,
            most=settings.crash_loop_threshold,
            units=policy.most + MAX_ENTRY_WEBHOOKS + MAX_DUE,
        )
        self._one_by_one = OneByOne(
            redis, policy, self._crash_loop, self._reader, processor, delivery
        )
        self._end = 0.0

    async def run(self) -> bool:
        """Drain until nothing is left to do now, or MAX_RUN_S is over. Return whether a worker must
        be woken for what is left."""
        async with self._host.leases.hold(drain_lease(self._policy.lane)) as lease:
            if lease is None:
                return False
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
        await self._crash_loop.begin(lease.token)
        try:
            while self._goes_on(lease):
                self._beside.clear_ended()
                if (pause_s := self._delivery.breaker.wait_s) > 0:
                    await asyncio.sleep(min(pause_s, 0.5))
                elif self._crash_loop.left:
                    async with self._host.lock.alone():
                        await self._one_by_one.step(lease)
                elif not await self._batch(lease) and (
                    self._is_over or not await self._anything_now()
                ):
                    if not self._beside:
                        break
                    await self._beside.wait(LOOK_AGAIN_S)
        finally:
            await self._beside.cancel()
        await self._crash_loop.end()

    def _goes_on(self, lease: Lease) -> bool:
        if self._host.stopping() or lease.lost.is_set():
            return False
        if self._is_over:
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
        taken = await self._reader.take(apart)
        batch = Batch(taken, await self._beside.start_due(lease))
        self._beside.start_fresh(lease, self._reader.passed_over)
        if not (batch or self._reader.empty):
            return False
        async with self._host.lock.together():
            return await self._processor.process(batch, self._deliver, lease, self._record)

    def _record(self, commit: Commit) -> None:
        self._reader.record_empty(commit)
        if not self._beside:  # those may still kill us
            self._crash_loop.clear(commit)

    async def _deliver(self, updates: list[Update]) -> Verdicts:
        policy = self._policy
        return await self._delivery.deliver(
            updates, batch_size=policy.batch_size, concurrency=policy.concurrency
        )
