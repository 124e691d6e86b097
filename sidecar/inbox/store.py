"""The inbox: webhooks that were acknowledged and are not yet processed, on disk in Redis.

A webhook belongs to a lane (customers' messages or statuses) and a vendor, and each pair has a
stream. Webhooks that arrive during one write share the next one: a *group commit*, one MULTI/EXEC
in one round trip. A stream entry holds the webhooks that one group had for it, as pairs of Meta's
signature header and the raw body. Its id says when it arrived; its uid identifies it for good,
because stream ids repeat: in the other lane, in another Redis, and when a clock is set back.

With the append-only file on and ``fsync`` always, EXEC is answered after the bytes are on disk. So
a webhook that is acknowledged after :meth:`Inbox.put` returns survives any crash.

The drain of a lane holds its lease and reads from the head; entries are deleted when their updates
are committed, not before. A crash in between repeats work and loses none.
"""

import asyncio
import itertools
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, cast

from contracts.jobs import Lane
from sidecar.redis import keys
from sidecar.redis.client import (
    AnyRedisError,
    Members,
    Redis,
    reason_of,
)
from sidecar.redis.memory_guard import MemoryGuard, VendorShare

#: Maximum webhooks and (unless a single one is larger) bytes in one entry, so that a reader can
#: bound what it takes at a time.
MAX_ENTRY_WEBHOOKS = 256
MAX_ENTRY_BYTES = 512 * 1024

#: What a webhook takes in Redis besides its body: its signature, and its share of an entry.
WEBHOOK_BYTES = 128

#: The first field of an entry, in front of its uid. No signature header begins so.
UID_FIELD = b"#"


class InboxUnavailable(Exception):
    """The webhook is not known to be on disk. Answer 503."""


class _Written(asyncio.Future[None]):
    """All requests of a group wait for it, so a cancelled request must not cancel it."""

    def cancel(self, msg: object = None) -> bool:
        return False


@dataclass(slots=True)
class _Group:
    """Webhooks that share a write. ``entries`` are the arguments of one XADD each."""

    written: _Written
    timer: asyncio.TimerHandle
    uids: Callable[[], bytes]
    entries: list[tuple[Lane, str, list[bytes]]] = field(default_factory=list)
    open: dict[tuple[Lane, str], tuple[list[bytes], int]] = field(default_factory=dict)
    counts: dict[tuple[Lane, str], int] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    size: int = 0

    def add(self, lane: Lane, vendor_uid: str, signature: bytes, body: bytes) -> None:
        fields, size = self.open.get((lane, vendor_uid), (None, 0))
        size += len(body)
        if fields is None or len(fields) > 2 * MAX_ENTRY_WEBHOOKS or size > MAX_ENTRY_BYTES:
            fields, size = [UID_FIELD, self.uids()], len(body)
            self.entries.append((lane, vendor_uid, fields))
        fields.append(signature)
        fields.append(body)
        self.open[lane, vendor_uid] = (fields, size)
        self.counts[lane, vendor_uid] = self.counts.get((lane, vendor_uid), 0) + 1
        self.size += len(body)
        self.sizes[vendor_uid] = self.sizes.get(vendor_uid, 0) + len(body) + WEBHOOK_BYTES

    def resolve(self, reason: str | None = None) -> None:
        """Resolve all waiters: it is on disk, or why it is not. The first call counts."""
        self.timer.cancel()
        _resolve(self.written, reason)


def _resolve(written: _Written, reason: str | None) -> None:
    if written.done():
        return
    if reason is None:
        written.set_result(None)
        return
    written.set_exception(InboxUnavailable(reason))
    written.exception()  # retrieved: every waiter may have gone away


class Inbox:
    """The writing side. ``wake`` is called with a lane whose drain must be woken. Webhooks are
    refused that would fill Redis beyond ``memory_share`` of its memory, or one vendor's beyond
    ``vendor_share`` of that.

    ``writes`` counts round trips to Redis, ``webhooks`` the webhooks written.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        timeout_s: float,
        pending_limit_bytes: int,
        wake: Callable[[Lane], None],
        memory_share: float = 1.0,
        vendor_share: float = 1.0,
    ) -> None:
        self._redis = redis
        self._room = MemoryGuard(redis, memory_share)
        self._shares = VendorShare(redis, self._room, vendor_share)
        self._uids = uids()
        self._timeout_s = timeout_s
        self._pending_limit_bytes = pending_limit_bytes
        self._wake_up = wake
        self._pending: _Group | None = None
        self._writer: asyncio.Task[None] | None = None
        self.writes = 0
        self.webhooks = 0

    def put(
        self, lane: Lane, vendor_uid: str, signature: bytes, body: bytes
    ) -> asyncio.Future[None]:
        """Return a future that is done when the webhook is on disk. It raises
        :class:`InboxUnavailable` if Redis is unavailable or full, or has not written it within
        ``timeout_s``, including the wait for an earlier write. Raises the same at once if the
        vendor's share is used up.
        """
        if refusal := self._shares.take(vendor_uid, len(body) + WEBHOOK_BYTES):
            raise InboxUnavailable(refusal)
        group = self._pending
        if group is None or group.written.done():
            group = self._pending = self._new_group()
        elif group.size > self._pending_limit_bytes:
            raise InboxUnavailable("too many webhooks wait for Redis")
        group.add(lane, vendor_uid, signature, body)
        return group.written

    def _new_group(self) -> _Group:
        loop = asyncio.get_running_loop()
        written = _Written(loop=loop)
        if self._writer is None:
            # Not at once: other requests of this iteration of the loop join the group.
            loop.call_soon(self._start_writer)
        reason = f"Redis has not written it in {self._timeout_s} s"
        timer = loop.call_later(self._timeout_s, _resolve, written, reason)
        return _Group(written, timer, self._uids)

    def _start_writer(self) -> asyncio.Task[None] | None:
        """Return the task that writes, if there is anything to write."""
        if self._writer is None and self._pending is not None:
            self._writer = asyncio.create_task(self._write_groups(), name="inbox writer")
        return self._writer

    async def _write_groups(self) -> None:
        try:
            while (group := self._pending) is not None:
                self._pending = None
                if not group.written.done():
                    await self._write(group)
        finally:
            self._writer = None
            # An unexpected error must not stop the webhooks that arrived meanwhile.
            self._start_writer()

    async def _write(self, group: _Group) -> None:
        lanes = list(dict.fromkeys(lane for lane, _, _ in group.entries))
        try:
            if refusal := await self._room.refusal(group.size):
                group.resolve(refusal)
                return
            answers = await self._commit(group, lanes)
            group.resolve()
        except AnyRedisError as error:
            group.resolve(reason_of(error))
            return
        finally:
            group.resolve("the write was broken off")
        self._room.taken(group.size)
        self.writes += 1
        self.webhooks += sum(group.counts.values())
        self._shares.stored(dict(zip(group.sizes, answers[-len(group.sizes) :], strict=True)))
        for lane, newly_ready, drained in zip(
            lanes, answers[: len(lanes)], answers[len(lanes) : 2 * len(lanes)], strict=True
        ):
            if newly_ready and not drained:
                self._wake_up(lane)

    async def _commit(self, group: _Group, lanes: list[Lane]) -> list[int]:
        """Write the group. Return, for each lane, how many vendors were not ready before; then,
        for each lane, whether a drain runs already (it looks again before it ends); and last, for
        each vendor, how many bytes it has stored."""
        pipeline = self._redis.pipeline(transaction=True)
        for lane in lanes:
            vendors = dict.fromkeys(v for entry_lane, v, _ in group.entries if entry_lane is lane)
            pipeline.execute_command("SADD", keys.ready(lane), *vendors)
        for lane in lanes:
            pipeline.execute_command("EXISTS", keys.lease(drain_lease(lane)))
        for lane, vendor_uid, fields in group.entries:
            pipeline.execute_command("XADD", keys.inbox(lane, vendor_uid), "*", *fields)
        received: dict[str, int] = {}
        for (lane, vendor_uid), count in group.counts.items():
            received[vendor_uid] = received.get(vendor_uid, 0) + count
            pipeline.execute_command("HINCRBY", keys.waiting(lane), vendor_uid, count)
        for vendor_uid, count in received.items():
            pipeline.execute_command(
                "HINCRBY", keys.counters(vendor_uid), "webhooks_received", count
            )
        pipeline.execute_command("SADD", keys.VENDORS, *received)
        for vendor_uid, size in group.sizes.items():
            pipeline.execute_command("HINCRBY", keys.counters(vendor_uid), keys.STORED_BYTES, size)
        answers: list[int] = await pipeline.execute()
        return answers

    async def close(self) -> None:
        """Wait until every webhook is written or has failed."""
        while writer := self._start_writer():
            await writer


def uids() -> Callable[[], bytes]:
    """Return a generator of entry uids: 64 random bits for the process, and a count. So no two
    entries share one, whatever their lane, host, Redis or clock."""
    process, count = secrets.token_hex(8), itertools.count()
    return lambda: b"%s-%x" % (process.encode(), next(count))


def drain_lease(lane: Lane) -> str:
    """Return the name of the lease that the lane's drain holds."""
    return f"drain:{lane}"


@dataclass(frozen=True, slots=True)
class RawWebhook:
    """One of Meta's POSTs, byte for byte."""

    signature: bytes
    body: bytes


class EntryHead(NamedTuple):
    """An entry without its bodies: its id, how many webhooks it holds, and its size in bytes."""

    id: str
    webhooks: int
    size: int


@dataclass(frozen=True, slots=True)
class InboxEntry:
    """One entry of a vendor's stream. ``id`` is its place there; ``uid`` identifies it for good."""

    vendor_uid: str
    id: str
    webhooks: tuple[RawWebhook, ...]
    uid: str = ""

    @property
    def head(self) -> EntryHead:
        return EntryHead(self.id, len(self.webhooks), self.size)

    @property
    def size(self) -> int:
        """Return its part of the vendor's stored bytes."""
        return sum(len(webhook.body) + WEBHOOK_BYTES for webhook in self.webhooks)

    @property
    def received_at(self) -> int:
        """Return when the webhooks arrived, unix ms."""
        return int(self.id.partition("-")[0])


class InboxReader:
    """The reading side. Use it only under the lane's lease."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def vendors(self, lane: Lane) -> list[str]:
        """Return the vendors with webhooks in this lane, in no particular order."""
        members = cast(Members, await self._redis.smembers(keys.ready(lane)))
        return [member.decode() for member in members]

    async def read(
        self, lane: Lane, after: dict[str, str], count: int
    ) -> dict[str, list[InboxEntry]]:
        """Return up to ``count`` entries for each vendor in ``after``, which maps it to the entry
        id to continue after ("0" for the head). One round trip."""
        pipeline = self._redis.pipeline(transaction=False)
        for vendor_uid, last_id in after.items():
            pipeline.execute_command(
                "XRANGE", keys.inbox(lane, vendor_uid), f"({last_id}", "+", "COUNT", count
            )
        answers = await pipeline.execute()
        return {
            vendor_uid: [_entry(vendor_uid, entry_id, fields) for entry_id, fields in answer]
            for vendor_uid, answer in zip(after, answers, strict=True)
        }

    async def depth(self, lane: Lane, vendor_uids: Iterable[str]) -> int:
        """Return how many entries wait for these vendors."""
        pipeline = self._redis.pipeline(transaction=False)
        for vendor_uid in vendor_uids:
            pipeline.execute_command("XLEN", keys.inbox(lane, vendor_uid))
        return sum(await pipeline.execute())


def _entry(vendor_uid: str, entry_id: bytes, fields: list[bytes]) -> InboxEntry:
    uid = entry_id  # of an entry that an earlier version has written
    if fields[0] == UID_FIELD:
        uid, fields = fields[1], fields[2:]
    pairs = zip(fields[::2], fields[1::2], strict=True)
    webhooks = tuple(RawWebhook(signature, body) for signature, body in pairs)
    return InboxEntry(vendor_uid, entry_id.decode(), webhooks, uid.decode())
