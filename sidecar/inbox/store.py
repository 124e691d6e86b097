"""The inbox: webhooks that were acknowledged and are not yet processed, on disk in Redis.

A webhook belongs to a lane (customers' messages or statuses) and a vendor, and each pair has a
stream. Webhooks that arrive during one write share the next one: a *group commit*, one script in
one round trip. A stream entry holds the webhooks that one group had for it, as pairs of Meta's
signature header and the raw body. Its id says when it arrived; its uid identifies it for good,
because stream ids repeat: in the other lane, in another Redis, and when a clock is set back.

With the append-only file on and ``fsync`` always, the script is answered after the bytes are on
disk. So a webhook that is acknowledged after :meth:`Inbox.put` returns survives any crash.

The drain of a lane holds its lease and reads from the head; entries are deleted when their updates
are committed, not before. A crash in between repeats work and loses none.
"""

import asyncio
import itertools
import secrets
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple, cast

from contracts.jobs import Lane
from sidecar.inbox.commit_delay import CommitDelay
from sidecar.inbox.group import (
    MAX_ENTRY_BYTES,
    MAX_ENTRY_WEBHOOKS,
    UID_FIELD,
    WEBHOOK_BYTES,
    Group,
    InboxUnavailable,
    make_group,
)
from sidecar.inbox.partitions import drain_lease
from sidecar.redis import keys
from sidecar.redis.client import AnyRedisError, Members, Redis, reason_of, script
from sidecar.redis.memory_guard import MemoryGuard, VendorShare
from sidecar.spans import SPANS, Span, SpanKind, since

__all__ = [
    "MAX_ENTRY_BYTES",
    "MAX_ENTRY_WEBHOOKS",
    "UID_FIELD",
    "WEBHOOK_BYTES",
    "EntryHead",
    "Inbox",
    "InboxEntry",
    "InboxReader",
    "InboxUnavailable",
    "RawWebhook",
    "uids",
]


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
        self._delay = CommitDelay()
        self._put = script(redis, "inbox/put")
        self._pending: deque[Group] = deque()
        self._pending_bytes = 0
        self._writer: asyncio.Task[None] | None = None
        self.writes = 0
        self.webhooks = 0

    def put(
        self, lane: Lane, vendor_uid: str, signature: bytes, body: bytes
    ) -> asyncio.Future[None]:
        """Return a future that is done when the webhook is on disk. It raises
        :class:`InboxUnavailable` if Redis is unavailable or full, or has not written it within
        ``timeout_s``, including the wait for earlier writes. Raises the same at once if the
        vendor's share is used up.
        """
        size = len(body)
        if refusal := self._shares.take(vendor_uid, size + WEBHOOK_BYTES):
            raise InboxUnavailable(refusal)
        if self._pending_bytes > self._pending_limit_bytes:
            raise InboxUnavailable("too many webhooks wait for Redis")
        group = self._pending[-1] if self._pending else None
        if group is None or group.written.done() or not group.has_room(size):
            group = self._new_group()
        group.add(lane, vendor_uid, signature, body)
        self._pending_bytes += size
        return group.written

    def _new_group(self) -> Group:
        if self._writer is None:
            # Not at once: other requests of this iteration of the loop join the group.
            asyncio.get_running_loop().call_soon(self._start_writer)
        group = make_group(self._timeout_s, self._uids)
        self._pending.append(group)
        return group

    def _start_writer(self) -> asyncio.Task[None] | None:
        """Return the task that writes, if there is anything to write."""
        if self._writer is None and self._pending:
            self._writer = asyncio.create_task(self._write_groups(), name="inbox writer")
        return self._writer

    async def _write_groups(self) -> None:
        try:
            while self._pending:
                await self._wait_for_company()
                group = self._pending.popleft()
                self._pending_bytes -= group.size
                if not group.written.done():
                    await self._write(group)
        finally:
            self._writer = None
            # An unexpected error must not stop the webhooks that arrived meanwhile.
            self._start_writer()

    async def _wait_for_company(self) -> None:
        """Let others join the next group, where that is worth the wait."""
        group, now = self._pending[0], asyncio.get_running_loop().time()
        if left := self._delay.left(now, group.since, group.webhooks):
            before = group.webhooks
            await asyncio.sleep(left)
            self._delay.waited(group.webhooks - before)
        self._delay.committed(now, group.webhooks)

    async def _write(self, group: Group) -> None:
        try:
            if refusal := await self._room.refusal(group.size):
                group.resolve(refusal)
                return
            await self._commit(group)
        except AnyRedisError as error:
            group.resolve(reason_of(error))
        finally:
            group.resolve("the write was broken off")

    async def _commit(self, group: Group) -> None:
        """Write the group in one round trip, and wake whoever is to drain it."""
        names, words = group.command(drain_lease)
        answers: list[int] = await self._put(keys=names, args=words)
        group.resolve()
        if SPANS.on:
            _record_spans(group)
        self._room.taken(group.size)
        self.writes += 1
        self.webhooks += group.webhooks
        lanes, vendors = group.lanes, group.vendors
        self._shares.stored(dict(zip(vendors, answers[2 * len(lanes) :], strict=True)))
        for lane, newly_ready, drained in zip(lanes, answers, answers[len(lanes) :], strict=False):
            if newly_ready and not drained:
                self._wake_up(lane)

    async def close(self) -> None:
        """Wait until every webhook is written or has failed."""
        while writer := self._start_writer():
            await writer


def _record_spans(group: Group) -> None:
    """Record webhooks that are on disk: from when the first of them came."""
    began, ended = since(asyncio.get_running_loop().time() - group.since)
    for lane, vendor_uid, name, size in group.places():
        if ids := SPANS.ids_of(name):
            facts = {"vendor": vendor_uid, "lane": lane.value, "bytes": size}
            SPANS.add(Span("webhook", ids, began, ended, SpanKind.SERVER, attributes=facts))


def uids() -> Callable[[], bytes]:
    """Return a generator of entry uids: 64 random bits for the process, and a count. So no two
    entries share one, whatever their lane, host, Redis or clock."""
    process, count = secrets.token_hex(8), itertools.count()
    return lambda: b"%s-%x" % (process.encode(), next(count))


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
