"""Draining a lane of the inbox.

One drain at a time holds the lane's lease. Each turn takes what is there, up to a batch and with
an equal share for every vendor, takes it apart, drops what PHP has already, hands the rest over,
and records the outcome at once. A crash anywhere before that repeats the turn, and PHP recognises
what it has.
"""

import asyncio
import time
from collections.abc import Callable

import structlog

from contracts.jobs import Lane
from sidecar import keys
from sidecar.inbox import Entry, InboxReader, drain_lease
from sidecar.lease import Lease, Leases
from sidecar.redis_client import Redis
from sidecar.settings import Settings
from workers.clock import now_ms
from workers.deferred import Deferred
from workers.delivery import UNTRIED, Delivery, Fate, Verdict, Verdicts
from workers.fold import Folded, fold
from workers.intake import Intake, LanePolicy
from workers.item import Item
from workers.ledger import LedgerView
from workers.seen import Seen
from workers.settlement import LeaseLost, Settlement
from workers.split import split_entry

log = structlog.get_logger()

#: How long one drain goes on before it makes room for other work of the process.
QUANTUM_S = 20.0

#: A status whose send is not recorded yet waits for it for at most so long. Then PHP gets it all
#: the same, and finds the send by its callback data.
EARLY_LONGEST_MS = 60_000

#: An update that failed while PHP may have been ill is tried again after at most so long: when PHP
#: is well again, a customer's message need not wait for the end of a long pause.
ILL_LONGEST_MS = 10_000


class Drain:
    """Drains one lane. ``stopping`` tells that the process wants to end."""

    def __init__(
        self,
        policy: LanePolicy,
        settings: Settings,
        redis: Redis,
        leases: Leases,
        delivery: Delivery,
        stopping: Callable[[], bool],
    ) -> None:
        self._policy = policy
        self._lane = policy.lane
        self._statuses = policy.lane is Lane.STATUSES
        self._settings = settings
        self._redis = redis
        self._leases = leases
        self._delivery = delivery
        self._stopping = stopping
        self._intake = Intake(InboxReader(redis), policy)
        self._deferred = Deferred(redis, policy.lane)
        self._seen = Seen(redis, settings.duplicate_window_s)
        self._ledger = LedgerView(redis)
        self._backend_ok_at = 0

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
        end = time.monotonic() + QUANTUM_S
        while time.monotonic() < end and not self._stopping() and not lease.lost.is_set():
            if self._delivery.breaker.wait_s > 0:
                await asyncio.sleep(min(self._delivery.breaker.wait_s, 0.5))
            elif not await self._turn(lease) and not await self._anything_now():
                return

    async def _anything_now(self) -> bool:
        if self._delivery.breaker.wait_s > 0:
            return False  # the reconciler comes back to it
        return await self._intake.waiting() or await self._deferred.any_due(now_ms())

    # -- one turn --

    async def _turn(self, lease: Lease) -> bool:
        """Handle the next batch. Return whether anything was settled.

        What has waited without being refused goes with what is fresh; what PHP has refused
        before goes apart from it, so that it harms no other request.
        """
        entries = await self._intake.take()
        due = await self._deferred.due(now_ms(), limit=200, whole=self._statuses)
        refused = {key: items for key, items in due.items() if any(i.attempts for i in items)}
        waited = {key: items for key, items in due.items() if key not in refused}
        settled = False
        if refused:
            self._backend_ok_at = int(await self._redis.get(keys.BACKEND_OK) or 0)
            settled = await self._handle(lease, [], refused)
        if entries or waited or self._intake.empty:
            settled = await self._handle(lease, entries, waited) or settled
        return settled

    async def _handle(
        self, lease: Lease, entries: list[Entry], waited: dict[str, list[Item]]
    ) -> bool:
        """Hand over updates out of the inbox and such that have waited, and settle them. Return
        False if PHP could not be asked for any of them; then all stays where it is."""
        settlement = Settlement(self._redis, self._lane, lease)
        fresh = [item for entry in entries for item in split_entry(entry)]
        folded = fold([item for items in waited.values() for item in items] + fresh)
        ready, behind, early = await self._sift(folded, set(waited), settlement)
        verdicts = await self._deliver(ready)
        if ready and all(verdicts[item.id].fate is Fate.UNTRIED for item in ready):
            return False
        for item in fresh:
            settlement.count(item.vendor_uid, "updates")
        for item in folded.duplicates:
            settlement.count(item.vendor_uid, "duplicates")
        for item in folded.lower:
            settlement.count(item.vendor_uid, "folded")
        now = now_ms()
        for order_key, items in waited.items():
            settlement.take_deferred(order_key, len(items), next_due_at=now)
        for item in behind:
            settlement.defer(item, now)
        for item in early:
            item.reason = "its send is not recorded yet"
            self._wait(item, now + max(self._policy.wait_ms, 50), waited, settlement)
        for item in ready:
            self._record(item, verdicts[item.id], waited, settlement)
        self._delete(entries, settlement)
        await settlement.commit()
        return True

    def _delete(self, entries: list[Entry], settlement: Settlement) -> None:
        by_vendor: dict[str, list[Entry]] = {}
        for entry in entries:
            by_vendor.setdefault(entry.vendor_uid, []).append(entry)
        for vendor_uid in self._intake.empty:
            by_vendor.setdefault(vendor_uid, [])  # so that it leaves the index
        for vendor_uid, mine in by_vendor.items():
            webhooks = sum(len(entry.webhooks) for entry in mine)
            settlement.delete_entries(vendor_uid, [entry.id for entry in mine], webhooks)

    # -- what PHP should get --

    async def _sift(
        self, folded: Folded, waited: set[str], settlement: Settlement
    ) -> tuple[list[Item], list[Item], list[Item]]:
        """Return the items that PHP should get now, those that have to wait behind an earlier
        one of the same contact, and those whose send is not recorded yet. The rest are
        duplicates."""
        held = await self._deferred.held(folded.items)
        seen = set() if self._statuses else await self._seen.which(folded.items)
        early = await self._ledger.unsettled(folded.items) if self._statuses else set()
        if self._statuses:
            held -= waited  # all of their statuses are here, folded
        ready: list[Item] = []
        behind: list[Item] = []
        too_early: list[Item] = []
        now = now_ms()
        first_of = {item.order_key: item.id for item in reversed(folded.items)}
        for item in folded.items:
            is_waited = item.order_key in waited and first_of[item.order_key] == item.id
            if item.id in seen:
                settlement.count(item.vendor_uid, "duplicates")
            elif item.order_key in held and not is_waited:
                behind.append(item)
            elif item.id in early and now - item.received_at < EARLY_LONGEST_MS:
                too_early.append(item)
            else:
                ready.append(item)
        return ready, behind, too_early

    async def _deliver(self, items: list[Item]) -> Verdicts:
        """Hand items over. Of one contact's messages the next goes only when PHP has taken the
        one before; otherwise it waits behind it, untried."""
        verdicts: Verdicts = {}
        stuck: set[str] = set()
        waves = [items] if self._statuses else _waves(items)
        for wave in waves:
            free = [item for item in wave if item.order_key not in stuck]
            verdicts.update({i.id: UNTRIED for i in wave if i.order_key in stuck})
            verdicts.update(
                await self._delivery.deliver(
                    free,
                    batch_size=self._policy.batch_size,
                    concurrency=self._policy.concurrency,
                )
            )
            stuck.update(
                item.order_key
                for item in wave
                if verdicts[item.id].fate in (Fate.RETRY, Fate.UNTRIED)
            )
        return verdicts

    # -- outcomes --

    def _wait(
        self, item: Item, due_at: int, waited: dict[str, list[Item]], settlement: Settlement
    ) -> None:
        if item.order_key in waited:
            settlement.put_back(item, due_at)
        else:
            settlement.defer(item, due_at)

    def _record(
        self,
        item: Item,
        verdict: Verdict,
        waited: dict[str, list[Item]],
        settlement: Settlement,
    ) -> None:
        now = now_ms()
        if verdict.answered:
            settlement.note_backend_worked(now)
        if verdict.fate in (Fate.DONE, Fate.IGNORED):
            settlement.count(item.vendor_uid, verdict.fate.value)
            if key := self._seen.key(item):
                settlement.remember(key, self._settings.duplicate_window_s)
            return
        if verdict.fate is Fate.UNTRIED:
            self._wait(item, now + 1000, waited, settlement)
            return
        item.attempts += 1
        item.reason = verdict.reason
        item.first_failed_at = item.first_failed_at or now
        php_is_well = verdict.answered or self._backend_ok_at > item.first_failed_at
        if item.attempts >= self._settings.update_max_attempts and php_is_well:
            log.error(
                "update_given_up",
                vendor=item.vendor_uid,
                update=item.id,
                wamid=item.wamid,
                attempts=item.attempts,
                reason=item.reason,
            )
            settlement.bury(item, now)
        else:
            pause_ms = self._pause_ms(item, verdict)
            if not php_is_well:
                pause_ms = min(pause_ms, ILL_LONGEST_MS)
            self._wait(item, now + pause_ms, waited, settlement)

    def _pause_ms(self, item: Item, verdict: Verdict) -> int:
        """PHP may ask for a longer pause than the doubling one, and not for a shorter one: the
        attempts together are to last longer than PHP waits for a message it does not know."""
        doubled: int = self._settings.update_retry_first_ms * 2 ** min(item.attempts - 1, 30)
        pause_ms = max(doubled, verdict.retry_after_ms or 0)
        return min(pause_ms, self._settings.update_retry_longest_ms)


def _waves(items: list[Item]) -> list[list[Item]]:
    """Return the items so that each wave has at most one of every order key."""
    waves: list[list[Item]] = []
    places: dict[str, int] = {}
    for item in items:
        place = places.get(item.order_key, 0)
        places[item.order_key] = place + 1
        if place == len(waves):
            waves.append([])
        waves[place].append(item)
    return waves
