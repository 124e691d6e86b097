"""Draining a lane of the inbox.

One drain at a time holds the lane's lease. Each turn takes what is there, up to a batch and with
an equal share for every vendor, takes it apart, drops what PHP has already, hands the rest over,
and records the outcome at once. A crash anywhere before that repeats the turn, and PHP recognises
what it has.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from contracts.jobs import Lane
from sidecar import keys
from sidecar.inbox import Entry, InboxReader, drain_lease
from sidecar.lease import Lease, Leases
from sidecar.redis_client import Redis
from sidecar.settings import Settings
from workers.deferred import Deferred
from workers.delivery import UNTRIED, Delivery, Fate, Verdict, Verdicts
from workers.fold import fold
from workers.item import Item
from workers.ledger import LedgerView
from workers.seen import Seen
from workers.settlement import LeaseLost, Settlement
from workers.split import split_entry

log = structlog.get_logger()

#: How long one drain goes on before it makes room for other work of the process.
QUANTUM_S = 20.0

#: A status whose send is not recorded yet waits this long before it is looked at again, and at
#: most so long in all: then PHP gets it, and finds the send by its callback data.
EARLY_PAUSE_MS = 250
EARLY_LONGEST_MS = 60_000


@dataclass(frozen=True, slots=True)
class LanePolicy:
    """How a lane is drained. ``wait_ms``: how long the oldest webhook may wait for others."""

    lane: Lane
    wait_ms: int
    batch_size: int
    concurrency: int

    @classmethod
    def of(cls, lane: Lane, settings: Settings) -> "LanePolicy":
        if lane is Lane.STATUSES:
            return cls(lane, settings.status_wait_ms, settings.status_batch_size, 1)
        return cls(lane, 0, settings.message_batch_size, settings.message_concurrency)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


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
        self._settings = settings
        self._redis = redis
        self._leases = leases
        self._delivery = delivery
        self._stopping = stopping
        self._inbox = InboxReader(redis)
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
                continue
            worked = await self._turn_deferred(lease)
            worked = await self._turn_fresh(lease) or worked
            if not worked and not await self._anything_now():
                return

    async def _anything_now(self) -> bool:
        if self._delivery.breaker.wait_s > 0:
            return False  # the reconciler comes back to it
        return bool(await self._inbox.vendors(self._lane)) or await self._deferred.any_due(now_ms())

    # -- what comes from the inbox --

    async def _turn_fresh(self, lease: Lease) -> bool:
        entries = await self._take()
        if not entries:
            return False
        items = [item for entry in entries for item in split_entry(entry)]
        settlement = Settlement(self._redis, self._lane, lease)
        for item in items:
            settlement.count(item.vendor_uid, "updates")
        folded = fold(items)
        for item in folded.duplicates:
            settlement.count(item.vendor_uid, "duplicates")
        for item in folded.lower:
            settlement.count(item.vendor_uid, "folded")
        ready = await self._sift(folded.items, settlement)
        verdicts = await self._deliver(ready)
        if ready and all(verdicts[item.id].fate is Fate.UNTRIED for item in ready):
            return False  # all of it stays in the inbox
        for item in ready:
            self._record(item, verdicts[item.id], settlement, settlement.defer)
        by_vendor: dict[str, list[str]] = {}
        for entry in entries:
            by_vendor.setdefault(entry.vendor_uid, []).append(entry.id)
            settlement.count(entry.vendor_uid, "webhooks_done", len(entry.webhooks))
        for vendor_uid, entry_ids in by_vendor.items():
            settlement.delete_entries(vendor_uid, entry_ids)
        await settlement.commit()
        return True

    async def _take(self) -> list[Entry]:
        """Return the next entries, an equal share for every vendor, once the oldest has waited
        for long enough."""
        vendors = await self._inbox.vendors(self._lane)
        if not vendors:
            return []
        if self._policy.wait_ms:
            heads = await self._inbox.read(self._lane, dict.fromkeys(vendors, "0"), 1)
            oldest = min((e[0].received_at for e in heads.values() if e), default=0)
            pause_ms = oldest + self._policy.wait_ms - now_ms()
            if oldest and pause_ms > 0:
                await asyncio.sleep(min(pause_ms, self._policy.wait_ms) / 1000)
                vendors = await self._inbox.vendors(self._lane)
        return await self._read(vendors)

    async def _read(self, vendors: list[str]) -> list[Entry]:
        limit = self._policy.batch_size * self._policy.concurrency
        share = max(1, limit // len(vendors))
        after = dict.fromkeys(vendors, "0")
        taken: list[Entry] = []
        total, count = 0, 4
        webhooks = dict.fromkeys(vendors, 0)
        while after and total < limit:
            found = await self._inbox.read(self._lane, after, min(count, share))
            count = min(4 * count, 64)
            for vendor_uid, entries in found.items():
                for entry in entries:
                    if webhooks[vendor_uid] >= share:
                        break
                    taken.append(entry)
                    webhooks[vendor_uid] += len(entry.webhooks)
                    total += len(entry.webhooks)
                    after[vendor_uid] = entry.id
                if not entries or webhooks[vendor_uid] >= share:
                    del after[vendor_uid]
        return taken

    async def _sift(self, items: list[Item], settlement: Settlement) -> list[Item]:
        """Return the items that PHP should get now. The others are duplicates, or have to wait:
        behind an earlier one of the same contact, or for their send to be recorded."""
        held = await self._deferred.held(items)
        seen = await self._seen.which(items) if self._lane is Lane.MESSAGES else set()
        early = await self._ledger.unsettled(items) if self._lane is Lane.STATUSES else set()
        ready: list[Item] = []
        now = now_ms()
        for item in items:
            if item.id in seen:
                settlement.count(item.vendor_uid, "duplicates")
            elif item.order_key in held:
                settlement.defer(item, now)
            elif item.id in early:
                item.reason = "its send is not recorded yet"
                settlement.defer(item, now + EARLY_PAUSE_MS)
            else:
                ready.append(item)
        return ready

    async def _deliver(self, items: list[Item]) -> Verdicts:
        """Hand items over. Of one contact's messages the next goes only when PHP has taken the
        one before; otherwise it waits behind it, untried."""
        verdicts: Verdicts = {}
        stuck: set[str] = set()
        waves = [items] if self._lane is Lane.STATUSES else _waves(items)
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

    # -- what was deferred --

    async def _turn_deferred(self, lease: Lease) -> bool:
        """Try again what is due. Of one contact's messages only the first; of one message's
        statuses all, folded."""
        due = await self._deferred.due(now_ms(), limit=200, whole=self._lane is Lane.STATUSES)
        if not due:
            return False
        settlement = Settlement(self._redis, self._lane, lease)
        now = now_ms()
        self._backend_ok_at = int(await self._redis.get(keys.BACKEND_OK) or 0)
        folded = fold([item for items in due.values() for item in items])
        for item in folded.duplicates:
            settlement.count(item.vendor_uid, "duplicates")
        for item in folded.lower:
            settlement.count(item.vendor_uid, "folded")
        early = await self._ledger.unsettled(folded.items)
        ready = [
            item
            for item in folded.items
            if item.id not in early or now - item.received_at > EARLY_LONGEST_MS
        ]
        verdicts = await self._deliver(ready)
        if ready and not early and all(v.fate is Fate.UNTRIED for v in verdicts.values()):
            return False
        for order_key, items in due.items():
            settlement.take_deferred(order_key, len(items), next_due_at=now)
        for item in folded.items:
            if item.id in verdicts:
                self._record(item, verdicts[item.id], settlement, settlement.put_back)
            else:
                settlement.put_back(item, now + EARLY_PAUSE_MS)
        await settlement.commit()
        return True

    # -- outcomes --

    def _record(
        self,
        item: Item,
        verdict: Verdict,
        settlement: Settlement,
        again: Callable[[Item, int], None],
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
            again(item, now + 1000)
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
            again(item, now + self._pause_ms(item, verdict))

    def _pause_ms(self, item: Item, verdict: Verdict) -> int:
        if verdict.retry_after_ms is not None:
            return max(0, min(verdict.retry_after_ms, self._settings.update_retry_longest_ms))
        doubled: int = self._settings.update_retry_first_ms * 2 ** min(item.attempts - 1, 30)
        return min(doubled, self._settings.update_retry_longest_ms)


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
