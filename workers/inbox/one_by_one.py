"""Taking a lane's work one by one, to find what kills the workers (:mod:`workers.inbox.crash_loop`).

A unit is a single webhook at the head of a vendor's stream, or what waits under one order key.
While one is under way nothing else is done in this process, so that it is known who did it. The
entry at the head stays until its last webhook is settled; its unit says how far it is.
"""

import random
from collections.abc import Callable

import structlog

from contracts.jobs import Lane
from sidecar.clock import now_ms
from sidecar.inbox import Entry, InboxReader
from workers.inbox.batch import Turn
from workers.inbox.commit import Settlement
from workers.inbox.crash_loop import Crashes
from workers.inbox.retries import Deferred
from workers.inbox.shared_lock import SharedLock
from workers.inbox.split import split_webhook
from workers.inbox.update import Item

log = structlog.get_logger()

REASON = "worker died"


class PoisonSearch:
    """Makes turns with one unit each. ``turn_of`` makes a turn with a vendor's updates;
    ``settlement`` makes an empty settlement."""

    def __init__(
        self,
        lane: Lane,
        crashes: Crashes,
        reader: InboxReader,
        deferred: Deferred,
        lock: SharedLock,
        turn_of: Callable[[str], Turn],
        settlement: Callable[[], Settlement],
    ) -> None:
        self._lane = lane
        self._statuses = lane is Lane.STATUSES
        self._crashes = crashes
        self._reader = reader
        self._deferred = deferred
        self._lock = lock
        self._turn_of = turn_of
        self._settlement = settlement

    async def step(self) -> None:
        """Take the next unit. When there is none, or PHP could not be asked, nothing is taken one
        by one any more."""
        async with self._lock.alone():
            unit = self._crashes.unit or await self._next()
            if unit is None or not await self._take(unit):
                await self._crashes.forget()

    async def _next(self) -> str | None:
        if self._crashes.left <= 0:
            return None
        # By turns, so that neither keeps the other waiting.
        find = [self._next_waiting, self._next_webhook]
        if self._crashes.left % 2:
            find.reverse()
        return await find[0]() or await find[1]()

    async def _next_waiting(self) -> str | None:
        names = await self._deferred.due_keys(now_ms(), limit=1)
        return f"waiting {names[0]}" if names else None

    async def _next_webhook(self) -> str | None:
        vendors = await self._reader.vendors(self._lane)
        random.shuffle(vendors)
        for vendor_uid in vendors:
            if entry := await self._head(vendor_uid):
                return _webhook(entry, 0)
        return None

    async def _head(self, vendor_uid: str) -> Entry | None:
        heads = await self._reader.read(self._lane, {vendor_uid: "0"}, 1)
        return heads[vendor_uid][0] if heads[vendor_uid] else None

    async def _take(self, unit: str) -> bool:
        """Take a unit. Return False if PHP could not be asked, or if the unit is gone."""
        innocent = await self._crashes.begin_unit(unit)
        kind, _, name = unit.partition(" ")
        if kind == "waiting":
            return await self._take_waiting(name, innocent=innocent)
        vendor_uid, entry_id, index = name.split(" ")
        entry = await self._head(vendor_uid)
        if entry is None or entry.id != entry_id:
            return False
        return await self._take_webhook(entry, int(index), innocent=innocent)

    async def _take_webhook(self, entry: Entry, index: int, *, innocent: bool) -> bool:
        webhook = entry.webhooks[index]
        name = f"{entry.vendor_uid}/{entry.id}/{index}"
        last = index + 1 == len(entry.webhooks)

        def close(settlement: Settlement) -> None:
            if last:
                settlement.delete_entries(entry.vendor_uid, [entry.id], len(entry.webhooks))
            self._crashes.unit_settled(settlement, None if last else _webhook(entry, index + 1))

        if innocent:
            fresh = split_webhook(webhook, entry, name)
            return await self._turn_of(entry.vendor_uid).make(fresh, {}, close)
        whole = Item.whole(name, entry.vendor_uid, entry.received_at, webhook)
        whole.reason = REASON
        log.error("update_given_up", vendor=whole.vendor_uid, update=whole.id, reason=REASON)
        settlement = self._settlement()
        settlement.count(whole.vendor_uid, "updates")
        settlement.bury(whole, now_ms())
        close(settlement)
        await settlement.commit()
        return True

    async def _take_waiting(self, order_key: str, *, innocent: bool) -> bool:
        vendor_uid = order_key.partition("/")[0]
        kept = await self._deferred.kept(order_key, whole=self._statuses and innocent)
        if not kept:
            return False

        def close(settlement: Settlement) -> None:
            self._crashes.unit_settled(settlement, None)

        if innocent:
            items = [Item.load(data) for data in kept]
            return await self._turn_of(vendor_uid).make([], {order_key: items}, close)
        # Not read: reading it may be what kills.
        log.error("update_given_up", vendor=vendor_uid, order_key=order_key, reason=REASON)
        settlement = self._settlement()
        settlement.take_deferred(order_key, 1, next_due_at=now_ms())
        settlement.bury_unread(kept[0], vendor_uid, REASON, now_ms())
        close(settlement)
        await settlement.commit()
        return True


def _webhook(entry: Entry, index: int) -> str:
    return f"webhook {entry.vendor_uid} {entry.id} {index}"
