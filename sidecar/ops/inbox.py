"""What waits between Meta and PHP, why, and what is in it: by lane, by vendor, webhook by webhook.

Counts come from counters, and webhooks from one end of a stream: a million that wait cost no more
than a hundred.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from contracts.jobs import Lane
from sidecar.inbox.partitions import division, drain_lease
from sidecar.inbox.store import InboxEntry, InboxReader, RawWebhook
from sidecar.ops.accounting import Accounting
from sidecar.ops.backlog import Deferred, read_deferred
from sidecar.ops.ignored import IgnoredCount
from sidecar.ops.message_problems import LATE_S
from sidecar.ops.snapshot import LaneState, Observer, Overview
from sidecar.ops.waits import not_asked
from sidecar.redis import keys
from sidecar.redis.client import Redis, script

#: Vendors that are shown of each lane, those with most waiting.
MAX_VENDORS = 50
#: Bytes that are read to find since when they wait.
MAX_HEAD_BYTES = 4 * 1024 * 1024
#: Webhooks of a page, and the bytes after which no further entry is read.
PAGE = 20
MAX_PAGE_BYTES = 1024 * 1024

_PLACE = re.compile(r"(\d{1,18})-(\d{1,18}):(-?\d{1,9})", re.ASCII)


@dataclass(frozen=True, slots=True)
class PartitionState:
    """One part of a lane: the process that drains it, and for how long it has (None: nobody)."""

    index: int
    holder: str | None
    held_s: float | None


@dataclass(frozen=True, slots=True)
class VendorWaiting:
    """What waits of a vendor in a lane: ``webhooks`` in the inbox, the oldest for ``oldest_s``
    (None: not known), and ``deferred`` updates for a retry. ``why`` is empty where it is not for
    long."""

    vendor_uid: str
    webhooks: int
    deferred: int
    oldest_s: float | None
    why: str


@dataclass(frozen=True, slots=True)
class LaneWaiting:
    """What waits in a lane. ``vendors`` are those with most of it, ``more`` how many others have
    something."""

    state: LaneState
    deferred: Deferred
    partitions: list[PartitionState]
    breaker: str | None
    isolated: dict[str, str]
    vendors: list[VendorWaiting] = field(default_factory=list)
    more: int = 0


class WaitingReader:
    """Reads what waits. Writes nothing. Raises redis-py's errors."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._observer = Observer(redis)
        self._oldest = script(redis, "inbox/oldest_entries")

    async def read(self) -> dict[Lane, LaneWaiting]:
        """Return what waits in each lane."""
        overview = await self._observer.read()
        return {lane: await self._lane(overview, lane, overview.accounting) for lane in Lane}

    async def vendor(self, vendor_uid: str) -> dict[Lane, VendorWaiting]:
        """Return what waits of one vendor."""
        overview = await self._observer.read()
        mine = [one for one in overview.accounting if one.vendor_uid == vendor_uid]
        none = VendorWaiting(vendor_uid, 0, 0, None, "")
        found = {lane: (await self._lane(overview, lane, mine)).vendors for lane in Lane}
        return {lane: next(iter(found[lane]), none) for lane in Lane}

    async def _lane(
        self, overview: Overview, lane: Lane, accounting: Sequence[Accounting]
    ) -> LaneWaiting:
        deferred = await read_deferred(self._redis, overview, lane)
        vendors, more = await self._vendors(overview, lane, accounting, deferred.refused)
        return LaneWaiting(
            state=overview.lanes[lane],
            deferred=deferred,
            partitions=await self._partitions(overview, lane),
            breaker=overview.breakers.get(lane),
            isolated={v: why for (where, v), why in overview.isolated.items() if where == lane},
            vendors=vendors,
            more=more,
        )

    async def _vendors(
        self,
        overview: Overview,
        lane: Lane,
        accounting: Sequence[Accounting],
        refused: Mapping[str, str],
    ) -> tuple[list[VendorWaiting], int]:
        """Return those of whom most waits, and how many others there are. ``refused`` says why PHP
        refuses updates of vendors."""
        some = [one for one in accounting if one.waiting[lane] or one.check("deferred").total]
        pipeline = self._redis.pipeline(transaction=False)
        for one in some:
            pipeline.hget(keys.counters(one.vendor_uid), keys.deferred_count(lane))
        counts = zip(some, await pipeline.execute(), strict=True)
        busy = sorted(
            (-one.waiting[lane], -int(deferred or 0), one.vendor_uid) for one, deferred in counts
        )
        busy = [one for one in busy if one[0] or one[1]]
        shown = busy[:MAX_VENDORS]
        names = [vendor_uid for _, _, vendor_uid in shown]
        ids = await self._oldest(args=[keys.inbox(lane, ""), MAX_HEAD_BYTES, *names])
        found = []
        for (webhooks, deferred, vendor_uid), entry_id in zip(shown, ids, strict=True):
            oldest_s = None
            if entry_id:
                oldest_s = max(0, overview.now - int(entry_id.partition(b"-")[0])) / 1000
            why = [f"PHP refuses updates: {refused[vendor_uid]}"] if vendor_uid in refused else []
            if oldest_s is not None and oldest_s > LATE_S[lane]:
                why.insert(0, not_asked(overview, lane, vendor_uid))
            waiting = (-webhooks, -deferred, oldest_s, "; ".join(why))
            found.append(VendorWaiting(vendor_uid, *waiting))
        return found, len(busy) - len(shown)

    async def _partitions(self, overview: Overview, lane: Lane) -> list[PartitionState]:
        kept = await self._redis.get(keys.partitions(lane))
        count, _ = division(cast("bytes | None", kept))
        names = [drain_lease(lane, index) for index in range(count)]
        tokens = await self._redis.mget([keys.lease(name) for name in names])
        return [
            PartitionState(
                index,
                overview.holder(name),
                None if token is None else max(0, overview.now - int(token)) / 1000,
            )
            for index, (name, token) in enumerate(zip(names, tokens, strict=True))
        ]


@dataclass(frozen=True, slots=True)
class WaitingWebhook:
    """One webhook in the inbox. ``place`` is its number in its entry; ``done``: PHP has it, and
    others of its entry wait."""

    entry_id: str
    place: int
    received_at: int
    webhook: RawWebhook
    done: bool

    @property
    def at(self) -> str:
        """Return where it is, for :func:`read_webhooks`."""
        return f"{self.entry_id}:{self.place}"


@dataclass(frozen=True, slots=True)
class WebhookPage:
    """``after`` is where the next page begins, None at the end."""

    webhooks: list[WaitingWebhook]
    after: str | None


async def read_webhooks(
    redis: Redis, lane: Lane, vendor_uid: str, after: str | None = None
) -> WebhookPage:
    """Return a vendor's waiting webhooks, the oldest first, behind the place ``after``. Raises
    ValueError if that is none."""
    entry_id, place = _place(after)
    cursor, found, read = await _cursor(redis, lane, vendor_uid), list[WaitingWebhook](), 0
    # The entry of that place may be gone by now; then the next one is read from its beginning.
    entries = await _entry(redis, lane, vendor_uid, entry_id) if place >= 0 else []
    last = entry_id
    while True:
        for entry in entries:
            for number, webhook in enumerate(entry.webhooks):
                if entry.id == entry_id and number <= place:
                    continue
                if len(found) == PAGE or read > MAX_PAGE_BYTES:
                    return WebhookPage(found, found[-1].at)
                found.append(_waiting(entry, number, cursor))
                read += len(webhook.body)
            last = entry.id
        entries = (await InboxReader(redis).read(lane, {vendor_uid: last}, 1))[vendor_uid]
        if not entries:
            return WebhookPage(found, None)


async def read_webhook(redis: Redis, lane: Lane, vendor_uid: str, at: str) -> WaitingWebhook | None:
    """Return the webhook at a place, or None if it does not wait any more. Raises ValueError if
    that is no place."""
    entry_id, place = _place(at)
    for entry in await _entry(redis, lane, vendor_uid, entry_id):
        if 0 <= place < len(entry.webhooks):
            return _waiting(entry, place, await _cursor(redis, lane, vendor_uid))
    return None


async def _cursor(redis: Redis, lane: Lane, vendor_uid: str) -> bytes:
    found = await redis.hget(keys.cursor(lane), vendor_uid)
    return cast("bytes | None", found) or b" 0 0"


def _waiting(entry: InboxEntry, number: int, cursor: bytes) -> WaitingWebhook:
    begun, webhook, _ = cursor.decode().split(" ")
    done = begun == entry.id and number < int(webhook)
    return WaitingWebhook(entry.id, number, entry.received_at, entry.webhooks[number], done)


def _place(at: str | None) -> tuple[str, int]:
    """Return an entry's id, and the number of a webhook in it. Raises ValueError."""
    found = _PLACE.fullmatch(at or "0-0:-1")
    if found is None:
        raise ValueError("this is no place in the inbox")
    return f"{int(found[1])}-{int(found[2])}", int(found[3])


async def _entry(redis: Redis, lane: Lane, vendor_uid: str, entry_id: str) -> list[InboxEntry]:
    """Return this entry, if it is there."""
    ms, _, number = entry_id.partition("-")
    before = f"{ms}-{int(number) - 1}" if int(number) else f"{max(0, int(ms) - 1)}-{2**63}"
    found = (await InboxReader(redis).read(lane, {vendor_uid: before}, 1))[vendor_uid]
    return [entry for entry in found if entry.id == entry_id]


def by_reason(ignored: Sequence[IgnoredCount]) -> Mapping[str, tuple[int, int, int]]:
    """Return for each reason how many updates were ignored, of how many vendors, and when the last
    (unix ms); the most frequent first."""
    counts, vendors, last = Counter[str](), Counter[str](), dict[str, int]()
    for one in ignored:
        counts[one.reason] += one.count
        vendors[one.reason] += 1
        last[one.reason] = max(last.get(one.reason, 0), one.last_at)
    return {name: (count, vendors[name], last[name]) for name, count in counts.most_common()}
