"""Reads updates from a lane: when, how many, and whose."""

import asyncio
import time
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, cast

from contracts.jobs import Lane
from sidecar.clock import now_ms
from sidecar.inbox.partitions import Partition
from sidecar.inbox.store import EntryHead, InboxEntry, InboxReader
from sidecar.redis import keys
from sidecar.redis.client import Redis, script
from sidecar.redis.memory_guard import MemoryGuard
from sidecar.settings import Settings
from workers.inbox.split import Parsed
from workers.inbox.update import Update

#: About how many bytes are read at a time, and how many of a batch go to PHP.
READ_BYTES = 8 * 1024 * 1024
BATCH_BYTES = 4 * 1024 * 1024

#: Webhooks wait for others until there are so many for a batch, or their time is over. At 3,000 a
#: second full batches would keep half a second's worth waiting; a third of one is nearly as cheap.
ENOUGH = 3

#: The shortest pause until the next look.
LOOK_MS = 50.0

#: The same for isolated vendors, several of which are read concurrently.
ISOLATED_READ_BYTES = 1024 * 1024

#: How many vendors' streams are read in the first round trip.
VENDORS_AT_A_TIME = 8

#: A vendor's share of a batch of statuses is no smaller: each vendor in a batch costs as much as
#: several statuses. Where not all have room, the others have their turn in the next batches.
MIN_STATUSES = 8

#: If more updates of a vendor, or bytes of them, wait for a retry, no fresh ones are read: its
#: webhooks wait in the inbox, where they take no more room than they came with.
MAX_DEFERRED = 5000
MAX_DEFERRED_BYTES = 8 * 1024 * 1024

#: How long webhooks are parsed in one go.
PAUSE_S = 0.005

#: Vendors that are inspected to find the oldest webhook.
MAX_HEADS = 1000


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

    @property
    def most(self) -> int:
        """Return the maximum updates of one batch."""
        return self.batch_size * self.concurrency

    @property
    def min_share(self) -> int:
        """Return how many updates a vendor may have in a batch, at least."""
        return MIN_STATUSES if self.lane is Lane.STATUSES else 1

    def pause_ms(self, waiting: int, age_ms: float) -> float:
        """Return how long to wait for more webhooks if so many wait, the oldest for ``age_ms``: no
        longer than until there are enough of them, if they go on coming as they have."""
        enough = self.most // ENOUGH
        if waiting >= enough:
            return 0
        left_ms = self.wait_ms - age_ms
        if age_ms < LOOK_MS:  # too early to tell
            return min(left_ms, LOOK_MS)
        per_ms = max(1, waiting) / age_ms
        return min(left_ms, max(LOOK_MS, (enough - waiting) / per_ms))


@dataclass(slots=True)
class Taken:
    """The next updates of one vendor. ``done`` are the entries that end with them; ``position`` is
    how far the following entry has then been read, None if not at all."""

    vendor_uid: str
    updates: list[Update] = field(default_factory=list)
    done: list[EntryHead] = field(default_factory=list)
    position: str | None = None


class FairReader:
    """Reads a lane fairly: each vendor has an equal share of a batch's updates and bytes, the least
    recently served come first, and of very many only those have a turn. It deletes nothing: what
    was read and not committed is read again, from the cursor of the last commit on.

    ``room`` tells whether Redis has room for updates that will have to wait. Only the vendors of
    ``partition`` are read.
    ``empty``: vendors in the index whose streams turned out to be empty.
    ``passed_over``: vendors with webhooks that were excluded from the last look.
    """

    def __init__(
        self,
        redis: Redis,
        policy: LanePolicy,
        room: MemoryGuard | None = None,
        partition: Partition | None = None,
    ) -> None:
        self._redis = redis
        self._partition = partition or Partition()
        self._inbox = InboxReader(redis)
        self._policy = policy
        self._room = room
        self._lane = policy.lane
        self._heads = script(redis, "inbox/oldest_entry")
        self._served: dict[str, int] = {}
        self._batches = 0
        self._parsed: tuple[str, Parsed] | None = None
        self.empty: list[str] = []
        self.passed_over: list[str] = []

    async def vendors(self) -> list[str]:
        """Return the vendors with webhooks in this lane, in no particular order."""
        vendors = await self._inbox.vendors(self._lane)
        if self._partition.count == 1:
            return vendors
        return [vendor_uid for vendor_uid in vendors if self._partition.holds(vendor_uid)]

    def another(self) -> "FairReader":
        """Return a reader of the same that knows nothing of what this one has read."""
        return FairReader(self._redis, self._policy, self._room, self._partition)

    async def waiting(self, excluded: Set[str] = frozenset()) -> bool:
        """Return whether the lane has anything that may be read now."""
        vendors = [v for v in await self.vendors() if v not in excluded]
        return bool(await self._cursors(vendors))

    async def take(self, excluded: Set[str] = frozenset()) -> list[Taken]:
        """Return the next updates of all vendors but those excluded, once the oldest webhook has
        waited for long enough."""
        vendors = await self._ready(excluded)
        if await self._wait_for_others(vendors):
            vendors = await self._ready(excluded)
        return await self._take_from(vendors, READ_BYTES)

    async def take_at_once(self, excluded: Set[str]) -> list[Taken]:
        """Return the same without waiting."""
        return await self._take_from(await self._ready(excluded), READ_BYTES)

    async def _take_from(self, vendors: list[str], read_bytes: int) -> list[Taken]:
        return self.serve(await self._read(await self._cursors(vendors), read_bytes))

    def serve(self, taken: list[Taken]) -> list[Taken]:
        """Record that these vendors have their turn now."""
        for one in taken:
            self._served[one.vendor_uid] = self._batches
        return taken

    async def take_after(
        self, taken: list[Taken], excluded: Set[str] = frozenset(), *, least: int = 0
    ) -> list[Taken]:
        """Return what comes after ``taken``, of which nothing is committed yet; nothing if fewer
        webhooks than ``least`` are left. It is nobody's turn before it is used (:meth:`serve`)."""
        vendors = await self._ready(excluded)
        cursors = await self._cursors(vendors)
        gone = sum(head.webhooks for one in taken for head in one.done)
        if await self._waiting(cursors) - gone < least:
            self.empty = []
            return []
        behind = {one.vendor_uid: one.done[-1].id for one in taken if one.done}
        for one in taken:
            if one.vendor_uid in cursors:
                cursors[one.vendor_uid] = one.position.encode() if one.position else None
        return await self._read(cursors, READ_BYTES, behind)

    async def take_of(self, vendor_uid: str) -> list[Taken]:
        """Return the next updates of one vendor."""
        return await self._take_from([vendor_uid], ISOLATED_READ_BYTES)

    async def head(self, vendor_uid: str) -> tuple[InboxEntry, int, int] | None:
        """Return a vendor's first entry, and how far it is processed: the webhook, and the place of
        the next update in it. None if there is no entry."""
        entries = (await self._inbox.read(self._lane, {vendor_uid: "0"}, 1))[vendor_uid]
        if not entries:
            return None
        cursor = cast("bytes | None", await self._redis.hget(keys.cursor(self._lane), vendor_uid))
        return entries[0], *_start(entries[0], cursor)

    async def _ready(self, excluded: Set[str]) -> list[str]:
        ready = await self.vendors()
        self.passed_over = [vendor for vendor in ready if vendor in excluded]
        return [vendor for vendor in ready if vendor not in excluded]

    async def _waiting(self, vendors: Iterable[str]) -> int:
        """Return how many webhooks are in these vendors' streams."""
        names = list(vendors)
        if not names:
            return 0
        counts = await cast(Any, self._redis).hmget(keys.waiting(self._lane), names)
        return sum(int(count or 0) for count in counts)

    async def _cursors(self, vendors: list[str]) -> dict[str, bytes | None]:
        """Return how far each vendor's first entry is processed, without vendors that have too much
        waiting for a retry (while Redis is full: anything)."""
        if not vendors:
            return {}
        pipeline = self._redis.pipeline(transaction=False)
        names = [keys.deferred_count(self._lane), keys.deferred_bytes(self._lane)]
        for vendor_uid in vendors:
            pipeline.hmget(keys.counters(vendor_uid), names)
        pipeline.hmget(keys.cursor(self._lane), vendors)
        *waiting, cursors = await pipeline.execute()
        full = self._room is not None and await self._room.refusal(0) is not None
        most = 1 if full else MAX_DEFERRED
        return {
            vendor_uid: cursor
            for vendor_uid, (count, size), cursor in zip(vendors, waiting, cursors, strict=True)
            if int(count or 0) < most and int(size or 0) < MAX_DEFERRED_BYTES
        }

    async def _wait_for_others(self, vendors: list[str]) -> bool:
        """Wait until the oldest webhook has waited long enough, or enough of them wait. Return
        whether that took time."""
        waited_ms = 0.0
        while vendors and self._policy.wait_ms:
            _, oldest, waiting = await self._heads(
                keys=[keys.ready(self._lane), keys.waiting(self._lane)],
                args=[keys.inbox(self._lane, ""), MAX_HEADS, *self._partition.words],
            )
            oldest_ms = int(oldest.partition(b"-")[0] or 0)
            # The clock may have been set back since the oldest came.
            age_ms = max(now_ms() - oldest_ms, waited_ms)
            pause_ms = self._policy.pause_ms(waiting, age_ms)
            if not oldest_ms or pause_ms <= 0:
                break
            await asyncio.sleep(pause_ms / 1000)
            waited_ms += pause_ms
        return waited_ms > 0

    async def _read(
        self,
        cursors: dict[str, bytes | None],
        read_bytes: int,
        behind: Mapping[str, str] = MappingProxyType({}),
    ) -> list[Taken]:
        """Read from all of these vendors, a few at a time, as much as one batch may hold;
        ``behind`` the entry with this id, if a vendor has one there."""
        self.empty = []
        budget = _Budget(self._policy.most, BATCH_BYTES, read_bytes)
        served = min(len(cursors), max(1, budget.updates // self._policy.min_share))
        shares = {v: budget.share(served) for v in self._fair_order(cursors)}
        taken: dict[str, Taken] = {}
        after = {vendor_uid: behind.get(vendor_uid, "0") for vendor_uid in shares}
        at_a_time = VENDORS_AT_A_TIME
        count = 2 if len(shares) == 1 else 1  # two: if there is one, nothing comes after it
        if served < len(shares):
            at_a_time, count = 1, self._policy.min_share
        pause = _Pause()
        while after and budget.left:
            some = {v: after.pop(v) for v in list(after)[:at_a_time]}
            found = await self._inbox.read(self._lane, some, count)
            for vendor_uid, entries in found.items():
                if not entries and some[vendor_uid] == "0":
                    self.empty.append(vendor_uid)
                mine = taken.setdefault(vendor_uid, Taken(vendor_uid))
                for entry in entries:
                    if shares[vendor_uid].used_up:
                        break
                    self._take(entry, cursors[vendor_uid], mine, shares[vendor_uid])
                    await pause.if_due()
                if len(entries) == count and not shares[vendor_uid].used_up:
                    after[vendor_uid] = entries[-1].id  # behind the others
            budget.use(taken.values(), sum(e.size for entries in found.values() for e in entries))
            # More than before, and not many times what may still be read.
            entry_bytes = 1 + budget.read // max(1, sum(map(len, found.values())))
            room = max(1, budget.read_bytes // entry_bytes)
            count = min(count, room)
            at_a_time = min(4 * at_a_time, 512, max(1, room // count))
            if served < len(shares):
                at_a_time = min(at_a_time, budget.turns(served))
            if "0" not in after.values():
                count = min(4 * count, 64, max(1, room // max(1, len(after))))
        return [one for one in taken.values() if one.updates]

    def _fair_order(self, vendors: Iterable[str]) -> list[str]:
        """Return vendors with the least recently served first."""
        self._batches += 1
        self._served = {v: self._served[v] for v in vendors if v in self._served}
        return sorted(vendors, key=lambda vendor_uid: self._served.get(vendor_uid, 0))

    def _take(self, entry: InboxEntry, cursor: bytes | None, mine: Taken, share: "_Share") -> None:
        """Take updates from an entry, up to the vendor's share."""
        webhook, place = _start(entry, cursor)
        while webhook < len(entry.webhooks):
            if share.used_up:
                mine.position = f"{entry.id} {webhook} {place}"
                return
            parsed = self._parse(entry, webhook)
            updates, place = parsed.take(place, share.updates, share.bytes)
            mine.updates += updates
            share.use(updates)
            if place == parsed.length:
                webhook, place = webhook + 1, 0
            else:
                share.bytes = 0  # the next one is larger than what is left
        mine.done.append(entry.head)

    def _parse(self, entry: InboxEntry, webhook: int) -> Parsed:
        """Split a webhook. One that is larger than a share is needed again, so the last one is
        kept."""
        name = f"{entry.vendor_uid}/{entry.uid}/{webhook}"
        if self._parsed is not None and self._parsed[0] == name:
            return self._parsed[1]
        parsed = Parsed(entry.webhooks[webhook], entry, name)
        if parsed.length > self._policy.most:
            self._parsed = name, parsed
        return parsed

    def forget(self) -> None:
        """Forget what was read."""
        self._parsed = None


class _Pause:
    """Lets others of the process go on: a batch takes long to parse, and a customer's message may
    be waiting."""

    def __init__(self) -> None:
        self._since = time.monotonic()

    async def if_due(self) -> None:
        if time.monotonic() - self._since > PAUSE_S:
            await asyncio.sleep(0)
            self._since = time.monotonic()


@dataclass(slots=True)
class _Share:
    """What is left of a vendor's share of a batch."""

    updates: int
    bytes: int

    @property
    def used_up(self) -> bool:
        return self.updates <= 0 or self.bytes <= 0

    def use(self, updates: list[Update]) -> None:
        self.updates -= len(updates)
        self.bytes -= sum(update.size for update in updates)


@dataclass(slots=True)
class _Budget:
    """What is left of a batch, and what may still be read for it."""

    updates: int
    bytes: int
    read_bytes: int
    read: int = 0
    used: int = 0
    left: bool = True

    def share(self, vendors: int) -> _Share:
        vendors = max(1, vendors)
        return _Share(max(1, self.updates // vendors), max(1, self.bytes // vendors))

    def turns(self, vendors: int) -> int:
        """Return how many more shares of so many there is room for, at least one."""
        return max(1, (self.updates - self.used) // self.share(vendors).updates)

    def use(self, taken: Iterable[Taken], read: int) -> None:
        """``taken`` is all that was taken, ``read`` the bytes that were read last."""
        self.read, self.read_bytes = read, self.read_bytes - read
        self.used = sum(len(t.updates) for t in taken)
        self.left = self.read_bytes > 0 and self.used < self.updates


def _start(entry: InboxEntry, cursor: bytes | None) -> tuple[int, int]:
    """Return where to start in an entry: the webhook, and the place of the update in it."""
    if cursor is not None:
        entry_id, webhook, place = cursor.decode().split(" ")
        if entry_id == entry.id:
            return int(webhook), int(place)
    return 0, 0
