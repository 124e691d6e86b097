"""Draining a lane of the inbox.

One drain at a time holds the lane's lease. Again and again it takes a batch of what is there, with
an equal share for every vendor: read, split, coalesce, deliver, commit. A crash anywhere before the
commit repeats the batch, and PHP recognises what it has.

What PHP has refused before, and everything of vendors on whose updates it fails or hangs, goes
beside that, each vendor in batches of its own: none of it may hold up what is fresh.
"""

import asyncio
import random
import time
from collections.abc import Callable

import structlog

from sidecar.clock import now_ms
from sidecar.inbox.store import MAX_ENTRY_WEBHOOKS, drain_lease
from sidecar.redis.client import Redis
from sidecar.redis.lease import Lease, Leases
from sidecar.redis.letter_bounds import Bounds
from sidecar.redis.memory_guard import MemoryGuard
from sidecar.settings import Settings
from workers.inbox.batch import Batch, Deliver, Handling
from workers.inbox.commit import Commit, LeaseLost
from workers.inbox.crash_loop import CrashLoop
from workers.inbox.delivery import Delivery, Verdicts
from workers.inbox.effects import UpdateEffects
from workers.inbox.isolation import IsolatedBatches, SharedLock, Why
from workers.inbox.one_by_one import OneByOne
from workers.inbox.reader import FairReader, LanePolicy
from workers.inbox.retries import Retries
from workers.inbox.status_errors import StatusErrors
from workers.inbox.update import Update

log = structlog.get_logger()

#: How long one drain goes on before it makes room for other work of the process.
MAX_RUN_S = 20.0

#: Most order keys of what waits that are looked at for one batch.
MAX_DUE = 200

#: When what waits is looked at again whose vendor's batch is still under way.
BUSY_MS = 2000

#: While there is nothing to do but to wait for isolated batches, this is how often it is looked for
#: something fresh.
LOOK_AGAIN_S = 0.02


class Drain:
    """Drains one lane. ``stopping`` tells that the process wants to end; ``lock`` is shared by the
    drains of the same process. ``signals`` takes what statuses tell of more than their message."""

    def __init__(
        self,
        policy: LanePolicy,
        settings: Settings,
        redis: Redis,
        leases: Leases,
        delivery: Delivery,
        effects: UpdateEffects,
        stopping: Callable[[], bool],
        lock: SharedLock | None = None,
        status_errors: StatusErrors | None = None,
    ) -> None:
        self._policy = policy
        self._lane = policy.lane
        self._redis = redis
        self._leases = leases
        self._delivery = delivery
        self._isolated = delivery.isolated
        self._effects = effects
        self._stopping = stopping
        self._lock = lock or SharedLock()
        self._status_errors = status_errors
        self._room = MemoryGuard(redis, settings.inbox_memory_share)
        self._reader = FairReader(redis, policy, self._room)
        self._retries = Retries(redis, policy.lane)
        self._handling = Handling(policy.lane, settings, redis)
        self._beside = IsolatedBatches()
        self._crash_loop = CrashLoop(
            redis,
            policy.lane,
            most=settings.crash_loop_threshold,
            units=policy.most + MAX_ENTRY_WEBHOOKS + MAX_DUE,
        )
        self._bounds = Bounds.of(settings)
        self._end = 0.0

    async def run(self) -> bool:
        """Drain until there is nothing left to do now, or it has taken long enough. Return whether
        something is left that somebody has to be woken for."""
        async with self._leases.hold(drain_lease(self._lane)) as lease:
            if lease is None:
                return False
            try:
                await self._drain(lease)
            except LeaseLost:
                log.warning("drain.lease_lost", lane=self._lane)
                await self._crash_loop.end()
                return False
            finally:
                self._reader.forget()
        # After the lease is free: whoever put something in before that did not ring.
        return not self._stopping() and await self._anything_now()

    async def _drain(self, lease: Lease) -> None:
        self._end = time.monotonic() + MAX_RUN_S
        await self._crash_loop.begin(lease.token)
        try:
            while self._goes_on(lease):
                self._beside.clear_ended()
                if self._delivery.breaker.wait_s > 0:
                    await asyncio.sleep(min(self._delivery.breaker.wait_s, 0.5))
                elif self._crash_loop.left:
                    await self._one_by_one(lease).step(self._lock)
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
        if self._stopping() or lease.lost.is_set():
            return False
        return bool(self._beside) or not self._is_over

    @property
    def _is_over(self) -> bool:
        return time.monotonic() >= self._end

    async def _anything_now(self) -> bool:
        if self._delivery.breaker.wait_s > 0:
            return False  # the reconciler comes back to it
        isolated = self._isolated.vendors()
        if await self._reader.waiting({v for v in isolated if not self._may_start_beside(v)}):
            return True
        return await self._retries.how_many_due(now_ms()) > len(self._beside.order_keys)

    # -- batches of what is fresh --

    async def _batch(self, lease: Lease) -> bool:
        """Handle the next batch, and have what must not go with it handled beside. Return whether
        anything was settled."""
        taken = await self._reader.take(self._isolated.vendors())
        batch = Batch(taken, await self._due(lease))
        passed_over = self._reader.passed_over
        for vendor_uid in random.sample(passed_over, len(passed_over)):
            self._start_beside(lease, vendor_uid, {})
        empty = self._reader.empty
        if not (batch or empty):
            return False

        def close(commit: Commit) -> None:
            _forget(empty, commit)
            if not self._beside:  # those may still kill us
                self._crash_loop.clear(commit)

        async with self._lock.together():
            return await self._handle(lease, batch, self._deliver, close)

    async def _due(self, lease: Lease) -> dict[str, list[Update]]:
        """Return what has waited and may go with what is fresh; have the rest handled beside."""
        due = await self._retries.due(now_ms(), limit=MAX_DUE, under_way=self._beside.order_keys)
        isolated = self._isolated.vendors()
        mine: dict[str, list[Update]] = {}
        others: dict[str, dict[str, list[Update]]] = {}
        for order_key, updates in due.items():
            vendor_uid = updates[0].vendor_uid
            if vendor_uid in isolated or any(update.attempts for update in updates):
                others.setdefault(vendor_uid, {})[order_key] = updates
            else:
                mine[order_key] = updates
        left: list[str] = []
        for vendor_uid, waited in others.items():
            if not self._start_beside(lease, vendor_uid, waited):
                left += waited
        await self._retries.postpone(left, now_ms() + BUSY_MS)
        return mine

    async def _handle(
        self,
        lease: Lease,
        batch: Batch,
        deliver: Deliver,
        close: Callable[[Commit], None],
    ) -> bool:
        """Hand a batch over and record what became of it; ``close`` adds to the record. Return
        False if PHP could not be asked for any of it; then all stays where it is. Raises
        :class:`~workers.inbox.commit.LeaseLost`."""
        handled = await self._handling.handle(batch, deliver)
        handled = handled.without(handled.untouched)
        if batch and not handled.batch:
            return False
        commit = Commit(self._redis, self._lane, lease, self._bounds)
        self._handling.record(handled, commit)
        collected = (
            self._status_errors.collect(handled.tried, handled.verdicts)
            if self._status_errors
            else None
        )
        if collected:
            collected.add_to(commit)
        close(commit)
        # Before the updates are settled: whoever dies in between is told the same effects again,
        # and the outbox knows them.
        put = await self._effects.put(handled.tried, handled.verdicts)
        await commit.commit()
        self._effects.wake(put)
        if self._status_errors and collected:
            await self._status_errors.apply(collected)
        return True

    async def _deliver(self, updates: list[Update]) -> Verdicts:
        policy = self._policy
        return await self._delivery.deliver(
            updates, batch_size=policy.batch_size, concurrency=policy.concurrency
        )

    # -- batches of isolated vendors --

    def _may_start_beside(self, vendor_uid: str) -> bool:
        hangs = self._isolated.why(vendor_uid) is Why.HANGS
        return (
            self._beside.has_room_for(vendor_uid, hangs=hangs)
            and self._isolated.wait_s(vendor_uid) == 0
        )

    def _start_beside(self, lease: Lease, vendor_uid: str, due: dict[str, list[Update]]) -> bool:
        """Begin a batch with what is due of one vendor. Return False if that cannot be now."""
        if self._is_over or not self._may_start_beside(vendor_uid):
            return False
        hangs = self._isolated.why(vendor_uid) is Why.HANGS
        batch = self._batch_beside(lease, vendor_uid, due)
        self._beside.start(vendor_uid, batch, set(due), hangs=hangs)
        return True

    async def _batch_beside(
        self, lease: Lease, vendor_uid: str, due: dict[str, list[Update]]
    ) -> None:
        """Handle what is fresh, if the vendor is isolated; and what PHP has refused before."""
        isolated = vendor_uid in self._isolated.vendors()
        refused = {k: some for k, some in due.items() if any(one.attempts for one in some)}
        waited = {k: some for k, some in due.items() if k not in refused}
        if isolated:
            reader = FairReader(self._redis, self._policy, self._room)
            taken = await reader.take_of(vendor_uid)
            reader.forget()
            if taken or waited or reader.empty:
                await self._handle_isolated(
                    lease, vendor_uid, Batch(taken, waited), lambda c: _forget(reader.empty, c)
                )
        elif waited:
            refused |= waited
        if refused:
            await self._handle_isolated(
                lease, vendor_uid, Batch(waited=refused), lambda _commit: None
            )

    async def _handle_isolated(
        self, lease: Lease, vendor_uid: str, batch: Batch, close: Callable[[Commit], None]
    ) -> bool:
        async with self._lock.together():
            return await self._handle(lease, batch, self._deliver_alone(vendor_uid), close)

    def _deliver_alone(self, vendor_uid: str) -> Deliver:
        async def deliver(updates: list[Update]) -> Verdicts:
            return await self._delivery.deliver_isolated(
                vendor_uid, updates, batch_size=self._policy.batch_size
            )

        return deliver

    def _one_by_one(self, lease: Lease) -> OneByOne:
        async def handle(vendor_uid: str, batch: Batch, close: Callable[[Commit], None]) -> bool:
            return await self._handle(lease, batch, self._deliver_alone(vendor_uid), close)

        return OneByOne(
            self._lane,
            self._crash_loop,
            self._reader,
            self._retries,
            handle,
            lambda: Commit(self._redis, self._lane, lease, self._bounds),
        )


def _forget(empty: list[str], commit: Commit) -> None:
    """Have vendors that have nothing leave the index."""
    for vendor_uid in empty:
        commit.delete_entries(vendor_uid, [])
