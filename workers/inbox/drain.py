"""Draining a lane of the inbox.

One drain at a time holds the lane's lease. Each turn takes what is there, up to a batch and with
an equal share for every vendor, takes it apart, drops what PHP has already, hands the rest over,
and records the outcome at once. A crash anywhere before that repeats the turn, and PHP recognises
what it has.

What PHP has refused before, and everything of vendors on whose updates it hangs, goes beside that,
each vendor in turns of its own: none of it may hold up what is fresh.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

import structlog

from contracts.jobs import Lane
from sidecar.clock import now_ms
from sidecar.inbox import MAX_ENTRY_WEBHOOKS, Entry, InboxReader, drain_lease
from sidecar.lease import Lease, Leases
from sidecar.redis_client import Redis
from sidecar.settings import Settings
from workers.inbox.batch import Deliver, Turn
from workers.inbox.commit import LeaseLost, Settlement
from workers.inbox.crash_loop import Crashes
from workers.inbox.delivery import Delivery, Verdicts
from workers.inbox.effects import TurnEffects
from workers.inbox.poison import PoisonSearch
from workers.inbox.reader import Intake, LanePolicy
from workers.inbox.retries import Deferred
from workers.inbox.shared_lock import SharedLock
from workers.inbox.side_turns import SideTurns
from workers.inbox.split import split_entry
from workers.inbox.update import Item
from workers.signals import Signals

log = structlog.get_logger()

#: How long one drain goes on before it makes room for other work of the process.
QUANTUM_S = 20.0

#: Most order keys of what waits that are looked at in one turn.
DUE_LIMIT = 200

#: When what waits is looked at again whose vendor's turn is still under way.
BUSY_MS = 2000

#: While there is nothing to do but to wait for the turns beside, this is how often it is looked for
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
        effects: TurnEffects,
        stopping: Callable[[], bool],
        lock: SharedLock | None = None,
        signals: Signals | None = None,
    ) -> None:
        self._policy = policy
        self._lane = policy.lane
        self._statuses = policy.lane is Lane.STATUSES
        self._settings = settings
        self._redis = redis
        self._leases = leases
        self._delivery = delivery
        self._effects = effects
        self._stopping = stopping
        self._lock = lock or SharedLock()
        self._signals = signals
        self._reader = InboxReader(redis)
        self._intake = Intake(self._reader, policy)
        self._deferred = Deferred(redis, policy.lane)
        self._beside = SideTurns()
        self._crashes = Crashes(
            redis,
            policy.lane,
            most=settings.drain_most_deaths,
            units=policy.batch_size * policy.concurrency + MAX_ENTRY_WEBHOOKS + DUE_LIMIT,
        )
        self._end = 0.0

    async def run(self) -> bool:
        """Drain until there is nothing left to do now, or the quantum is over. Return whether
        something is left that somebody has to be woken for."""
        async with self._leases.hold(drain_lease(self._lane)) as lease:
            if lease is None:
                return False
            try:
                await self._drain(lease)
            except LeaseLost:
                log.warning("drain_lost_its_lease", lane=self._lane)
                return False
        # After the lease is free: whoever put something in before that did not ring.
        return not self._stopping() and await self._anything_now()

    async def _drain(self, lease: Lease) -> None:
        self._end = time.monotonic() + QUANTUM_S
        await self._crashes.begin()
        try:
            while self._goes_on(lease):
                self._beside.clear_ended()
                if self._delivery.breaker.wait_s > 0:
                    await asyncio.sleep(min(self._delivery.breaker.wait_s, 0.5))
                elif self._crashes.left:
                    await self._poison_search(lease).step()
                elif not await self._turn(lease) and (
                    self._is_over or not await self._anything_now()
                ):
                    if not self._beside:
                        break
                    await self._beside.wait(LOOK_AGAIN_S)
        finally:
            await self._beside.cancel()
        await self._crashes.end()

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
        apart = self._delivery.apart.vendors()
        if await self._intake.waiting({v for v in apart if not self._may_start_beside(v)}):
            return True
        return await self._deferred.how_many_due(now_ms()) > len(self._beside.order_keys)

    # -- turns with what is fresh --

    async def _turn(self, lease: Lease) -> bool:
        """Handle the next batch, and have what must not go with it handled beside. Return whether
        anything was settled."""
        entries = await self._intake.take(self._delivery.apart.vendors())
        waited = await self._due(lease)
        for vendor_uid in random.sample(self._intake.passed_over, len(self._intake.passed_over)):
            self._start_beside(lease, vendor_uid, {})
        empty = self._intake.empty
        if not (entries or waited or empty):
            return False

        def close(settlement: Settlement) -> None:
            _delete(entries, empty, settlement)
            if not self._beside:  # those may still kill us
                self._crashes.settled(settlement)

        async with self._lock.together():
            turn = self._make_turn(lease, self._deliver)
            return await turn.make(_split(entries), waited, close)

    async def _due(self, lease: Lease) -> dict[str, list[Item]]:
        """Return what has waited and may go with what is fresh; have the rest handled beside."""
        due = await self._deferred.due(
            now_ms(),
            limit=DUE_LIMIT,
            whole=self._statuses,
            under_way=self._beside.order_keys,
        )
        apart = self._delivery.apart.vendors()
        mine: dict[str, list[Item]] = {}
        others: dict[str, dict[str, list[Item]]] = {}
        for order_key, items in due.items():
            vendor_uid = items[0].vendor_uid
            if vendor_uid in apart or any(item.attempts for item in items):
                others.setdefault(vendor_uid, {})[order_key] = items
            else:
                mine[order_key] = items
        left: list[str] = []
        for vendor_uid, waited in others.items():
            if not self._start_beside(lease, vendor_uid, waited):
                left += waited
        await self._deferred.postpone(left, now_ms() + BUSY_MS)
        return mine

    def _make_turn(self, lease: Lease, deliver: Deliver) -> Turn:
        return Turn(
            self._lane, self._settings, self._redis, lease, deliver, self._effects, self._signals
        )

    def _deliver(self, items: list[Item]) -> Awaitable[Verdicts]:
        policy = self._policy
        return self._delivery.deliver(
            items, batch_size=policy.batch_size, concurrency=policy.concurrency
        )

    # -- turns beside --

    def _may_start_beside(self, vendor_uid: str) -> bool:
        return (
            self._beside.has_room_for(vendor_uid) and self._delivery.apart.wait_s(vendor_uid) == 0
        )

    def _start_beside(self, lease: Lease, vendor_uid: str, due: dict[str, list[Item]]) -> bool:
        """Begin a turn with what is due of one vendor. Return False if that cannot be now."""
        if self._is_over or not self._may_start_beside(vendor_uid):
            return False
        self._beside.start(vendor_uid, self._turn_beside(lease, vendor_uid, due), set(due))
        return True

    async def _turn_beside(self, lease: Lease, vendor_uid: str, due: dict[str, list[Item]]) -> None:
        """Handle what PHP has refused before; then the rest, if the vendor is apart."""
        apart = vendor_uid in self._delivery.apart.vendors()
        refused = {k: items for k, items in due.items() if any(i.attempts for i in items)}
        waited = {k: items for k, items in due.items() if k not in refused}
        turn = self._make_turn_of(lease, vendor_uid)
        if refused:
            async with self._lock.together():
                await turn.make([], refused, lambda _settlement: None)
        intake = Intake(self._reader, self._policy)
        entries = await intake.take_of(vendor_uid) if apart else []
        if not (entries or waited or intake.empty):
            return
        async with self._lock.together():
            settled = await turn.make(
                _split(entries), waited, lambda s: _delete(entries, intake.empty, s)
            )
        if settled and apart:
            self._delivery.apart.acquit(vendor_uid)

    def _make_turn_of(self, lease: Lease, vendor_uid: str) -> Turn:
        return self._make_turn(
            lease,
            lambda items: self._delivery.deliver_apart(
                vendor_uid, items, batch_size=self._policy.batch_size
            ),
        )

    def _poison_search(self, lease: Lease) -> PoisonSearch:
        return PoisonSearch(
            self._lane,
            self._crashes,
            self._reader,
            self._deferred,
            self._lock,
            lambda vendor_uid: self._make_turn_of(lease, vendor_uid),
            lambda: Settlement(self._redis, self._lane, lease),
        )


def _split(entries: list[Entry]) -> list[Item]:
    return [item for entry in entries for item in split_entry(entry)]


def _delete(entries: list[Entry], empty: list[str], settlement: Settlement) -> None:
    """Have entries leave the inbox, and vendors that have nothing leave the index."""
    by_vendor: dict[str, list[Entry]] = {vendor_uid: [] for vendor_uid in empty}
    for entry in entries:
        by_vendor.setdefault(entry.vendor_uid, []).append(entry)
    for vendor_uid, mine in by_vendor.items():
        webhooks = sum(len(entry.webhooks) for entry in mine)
        settlement.delete_entries(vendor_uid, [entry.id for entry in mine], webhooks)
