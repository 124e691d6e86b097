"""Takes a lane's work one by one, to find what kills the workers (workers/inbox/crash_loop.py).

A unit is some updates of a single webhook at the head of a vendor's stream, or what waits under one
order key. The process does nothing else meanwhile, so that the culprit is known. A webhook that
kills its worker goes to the dead letters as a whole.
"""

import random

import structlog

from contracts.jobs import Lane
from sidecar.clock import now_ms
from sidecar.inbox.store import InboxEntry
from sidecar.redis.lease import Lease
from workers.inbox.batch import Batch
from workers.inbox.beside import alone
from workers.inbox.crash_loop import CrashLoop
from workers.inbox.delivery import Delivery
from workers.inbox.processor import Processor, Record
from workers.inbox.reader import FairReader, LanePolicy, Taken
from workers.inbox.retries import MAX_OF_KEY, Retries
from workers.inbox.split import Parsed
from workers.inbox.update import Update

log = structlog.get_logger()

REASON = "worker died"

#: Updates of a webhook that are one unit.
MAX_UPDATES = 50


class OneByOne:
    """Takes units of one lane while ``crash_loop`` says so."""

    def __init__(
        self,
        policy: LanePolicy,
        crash_loop: CrashLoop,
        reader: FairReader,
        retries: Retries,
        processor: Processor,
        delivery: Delivery,
    ) -> None:
        self._policy = policy
        self._retries = retries
        self._crash_loop = crash_loop
        self._reader = reader
        self._processor = processor
        self._delivery = delivery

    async def step(self, lease: Lease) -> None:
        """Take the next unit. If there is none, or PHP is unavailable, stop taking units one by
        one."""
        unit = self._crash_loop.unit or await self._next()
        if unit is None or not await self._take(unit, lease):
            await self._crash_loop.forget()

    async def _next(self) -> str | None:
        if self._crash_loop.left <= 0:
            return None
        # By turns, so that neither keeps the other waiting.
        find = [self._next_waiting, self._next_webhook]
        if self._crash_loop.left % 2:
            find.reverse()
        return await find[0]() or await find[1]()

    async def _next_waiting(self) -> str | None:
        names = await self._retries.due_keys(now_ms(), limit=1)
        return f"waiting {names[0]}" if names else None

    async def _next_webhook(self) -> str | None:
        vendors = await self._reader.vendors()
        random.shuffle(vendors)
        for vendor_uid in vendors:
            if head := await self._reader.head(vendor_uid):
                return _webhook(*head)
        return None

    async def _take(self, unit: str, lease: Lease) -> bool:
        """Take a unit. Return False if PHP is unavailable or the unit is gone."""
        innocent = await self._crash_loop.begin_unit(unit)
        kind, _, name = unit.partition(" ")
        if kind == "waiting":
            return await self._take_waiting(name, lease, innocent=innocent)
        vendor_uid, entry_id, webhook, place = name.split(" ")
        head = await self._reader.head(vendor_uid)
        if head is None or head[0].id != entry_id:
            return False
        if innocent:
            return await self._take_webhook(head[0], int(webhook), int(place), lease)
        return await self._give_up_webhook(head[0], int(webhook), lease)

    async def _take_webhook(
        self, entry: InboxEntry, webhook: int, place: int, lease: Lease
    ) -> bool:
        name = f"{entry.vendor_uid}/{entry.uid}/{webhook}"
        parsed = Parsed(entry.webhooks[webhook], entry, name)
        updates, place = parsed.take(place, MAX_UPDATES)
        if place == parsed.length:
            webhook, place = webhook + 1, 0
        taken, next_unit = _taken(entry, webhook, place, updates)
        return await self._process(
            entry.vendor_uid,
            Batch([taken]),
            lease,
            lambda commit: self._crash_loop.clear_unit(commit, next_unit),
        )

    async def _process(self, vendor_uid: str, batch: Batch, lease: Lease, record: Record) -> bool:
        deliver = alone(self._delivery, vendor_uid, self._policy.batch_size)
        return await self._processor.process(batch, deliver, lease, record)

    async def _give_up_webhook(self, entry: InboxEntry, webhook: int, lease: Lease) -> bool:
        name = f"{entry.vendor_uid}/{entry.uid}/{webhook}"
        whole = Update.whole(name, entry.vendor_uid, entry.received_at, entry.webhooks[webhook])
        whole.reason = REASON
        log.error("update.given_up", vendor=whole.vendor_uid, update=whole.id, reason=REASON)
        taken, next_unit = _taken(entry, webhook + 1, 0, [whole])
        commit = self._processor.new_commit(lease)
        commit.count(whole.vendor_uid, "updates")
        commit.delete_entries(entry.vendor_uid, taken.done)
        if taken.position is not None:
            commit.move_cursor(entry.vendor_uid, taken.position)
        commit.dead_letter(whole, now_ms())
        self._crash_loop.clear_unit(commit, next_unit)
        await commit.commit()
        return True

    async def _take_waiting(self, order_key: str, lease: Lease, *, innocent: bool) -> bool:
        vendor_uid = order_key.partition("/")[0]
        count = MAX_OF_KEY if self._policy.lane is Lane.STATUSES and innocent else 1
        kept = await self._retries.kept(order_key, count=count)
        if not kept:
            return False
        if innocent:
            updates = [Update.load(data) for data in kept]
            return await self._process(
                vendor_uid,
                Batch(waited={order_key: updates}),
                lease,
                lambda commit: self._crash_loop.clear_unit(commit, None),
            )
        # Not read: reading it may be what kills.
        log.error("update.given_up", vendor=vendor_uid, order_key=order_key, reason=REASON)
        commit = self._processor.new_commit(lease)
        commit.take_unread(vendor_uid, order_key, kept[0], next_due_at=now_ms())
        commit.dead_letter_unread(kept[0], vendor_uid, REASON, now_ms())
        self._crash_loop.clear_unit(commit, None)
        await commit.commit()
        return True


def _taken(
    entry: InboxEntry, webhook: int, place: int, updates: list[Update]
) -> tuple[Taken, str | None]:
    """Return updates as they were taken, given where the next one is; and the unit of that one."""
    if webhook == len(entry.webhooks):
        return Taken(entry.vendor_uid, updates, done=[entry.head]), None
    position = f"{entry.id} {webhook} {place}"
    return Taken(entry.vendor_uid, updates, position=position), _webhook(entry, webhook, place)


def _webhook(entry: InboxEntry, webhook: int, place: int) -> str:
    return f"webhook {entry.vendor_uid} {entry.id} {webhook} {place}"
