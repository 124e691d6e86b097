"""Webhooks that share a write to the inbox."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from contracts.jobs import Lane
from sidecar.redis import keys

#: Maximum webhooks and (unless a single one is larger) bytes in one entry, so that a reader can
#: bound what it takes at a time.
MAX_ENTRY_WEBHOOKS = 256
MAX_ENTRY_BYTES = 512 * 1024

#: Maximum webhooks and (unless a single one is larger) bytes in one group: Redis does nothing else
#: while it writes it, and its scripts' memory is not part of ``maxmemory``.
MAX_GROUP_WEBHOOKS = 1024
MAX_GROUP_BYTES = 1024 * 1024

#: What a webhook takes in Redis besides its body: its signature, and its share of an entry.
WEBHOOK_BYTES = 128

#: The first field of an entry, in front of its uid. No signature header begins so.
UID_FIELD = b"#"


class InboxUnavailable(Exception):
    """The webhook is not known to be on disk. Answer 503."""


class Written(asyncio.Future[None]):
    """All requests of a group wait for it, so a cancelled request must not cancel it."""

    def cancel(self, msg: object = None) -> bool:
        return False

    def resolve(self, reason: str | None = None) -> None:
        """Resolve all waiters: it is on disk, or why it is not. The first call counts."""
        if self.done():
            return
        if reason is None:
            self.set_result(None)
            return
        self.set_exception(InboxUnavailable(reason))
        self.exception()  # retrieved: every waiter may have gone away


@dataclass(slots=True)
class _Stream:
    """What a group has for one stream. ``entries`` are the fields of one XADD each; ``fields`` are
    the last one's, and ``open_bytes`` its bodies' bytes."""

    entries: list[list[bytes]] = field(default_factory=list)
    fields: list[bytes] = field(default_factory=list)
    open_bytes: int = 0
    webhooks: int = 0
    size: int = 0

    def begin_entry(self, uid: bytes, open_bytes: int) -> None:
        self.fields, self.open_bytes = [UID_FIELD, uid], open_bytes
        self.entries.append(self.fields)


@dataclass(slots=True)
class Group:
    """Webhooks that share a write. ``since`` is when the first came, by the loop's clock; ``size``
    is the bytes of their bodies; ``uids`` gives each entry's uid."""

    written: Written
    timer: asyncio.TimerHandle
    uids: Callable[[], bytes]
    since: float
    webhooks: int = 0
    size: int = 0
    _streams: dict[tuple[Lane, str], _Stream] = field(default_factory=dict)

    def has_room(self, size: int) -> bool:
        """Return whether another body of this size belongs in it."""
        return self.webhooks < MAX_GROUP_WEBHOOKS and self.size + size <= MAX_GROUP_BYTES

    def add(self, lane: Lane, vendor_uid: str, signature: bytes, body: bytes) -> None:
        stream = self._streams.get((lane, vendor_uid))
        if stream is None:
            stream = self._streams[lane, vendor_uid] = _Stream()
        size = len(body)
        stream.open_bytes += size
        fields = len(stream.fields)
        if not fields or fields > 2 * MAX_ENTRY_WEBHOOKS or stream.open_bytes > MAX_ENTRY_BYTES:
            stream.begin_entry(self.uids(), size)
        stream.fields += signature, body
        stream.webhooks += 1
        stream.size += size + WEBHOOK_BYTES
        self.webhooks += 1
        self.size += size

    @property
    def lanes(self) -> list[Lane]:
        return list(dict.fromkeys(lane for lane, _ in self._streams))

    @property
    def vendors(self) -> list[str]:
        """Return each stream's vendor."""
        return [vendor_uid for _, vendor_uid in self._streams]

    def command(self, lease: Callable[[Lane], str]) -> tuple[list[str], list[bytes | str | int]]:
        """Return the keys and the arguments of ``inbox/put.lua``."""
        lanes = self.lanes
        places = {lane: place for place, lane in enumerate(lanes, 1)}
        names = [keys.VENDORS]
        for lane in lanes:
            names += keys.ready(lane), keys.waiting(lane), keys.lease(lease(lane)), keys.bell(lane)
        heads: list[bytes | str | int] = [len(lanes), len(self._streams)]
        entries: list[bytes | str | int] = []
        for (lane, vendor_uid), stream in self._streams.items():
            names += keys.inbox(lane, vendor_uid), keys.counters(vendor_uid)
            heads += places[lane], vendor_uid, stream.webhooks, stream.size, len(stream.entries)
            for fields in stream.entries:
                entries.append(len(fields))
                entries += fields
        return names, heads + entries

    def places(self) -> Iterator[tuple[Lane, str, str, int]]:
        """Yield each webhook's lane, vendor, the name that readers know it by, and its bytes."""
        for (lane, vendor_uid), stream in self._streams.items():
            for _, uid, *pairs in stream.entries:
                for index, body in enumerate(pairs[1::2]):
                    yield lane, vendor_uid, f"{vendor_uid}/{uid.decode()}/{index}", len(body)

    def resolve(self, reason: str | None = None) -> None:
        """As :meth:`Written.resolve`."""
        self.timer.cancel()
        self.written.resolve(reason)


def make_group(timeout_s: float, uids: Callable[[], bytes]) -> Group:
    """Return an empty group, which fails if it is not on disk ``timeout_s`` from now."""
    loop = asyncio.get_running_loop()
    written = Written(loop=loop)
    reason = f"Redis has not written it in {timeout_s} s"
    timer = loop.call_later(timeout_s, written.resolve, reason)
    return Group(written, timer, uids, loop.time())
