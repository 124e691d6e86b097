"""Everything that is recorded about a batch, collected and then written at once."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from contracts.jobs import Lane
from sidecar.inbox.ignored import Ignored, name_of, words_of
from sidecar.inbox.partitions import drain_lease
from sidecar.inbox.store import EntryHead
from sidecar.redis import keys
from sidecar.redis.client import Redis, script
from sidecar.redis.lease import Lease, LeaseLost
from sidecar.redis.letter_bounds import DEFAULT_BOUNDS, Bounds, LetterKind, letter_keys
from workers.inbox.update import Update, with_reason

#: Maximum ids in one XDEL: Lua can unpack only so many arguments.
_CHUNK = 1000


@dataclass(frozen=True, slots=True)
class _Ignored:
    """Ignored updates of one vendor and reason: the last one, and how many."""

    update: Update
    reason: str
    at: int
    count: int = 0
    messages: int = 0

    def words(self, name: str) -> list[str | bytes | int]:
        update = self.update
        payload = update.raw_payload or update.body
        names = update.vendor_uid, update.id, update.kind, update.wamid
        last = Ignored(self.at, *names, self.reason, payload)
        return words_of(name, self.count, self.messages, last)


class Commit:
    """Collects commands for ``commit.lua``. Nothing happens before :meth:`commit`."""

    def __init__(
        self, redis: Redis, lane: Lane, lease: Lease, bounds: Bounds = DEFAULT_BOUNDS
    ) -> None:
        self._script = script(redis, "inbox/commit")
        self._lane = lane
        self._lease = lease
        self._bounds = bounds
        self._commands: list[tuple[str | bytes | int, ...]] = []
        self._streams: dict[str, str] = {}
        self._lists: dict[str, str] = {}
        self._counts: Counter[tuple[str, str]] = Counter()
        self._ignored: dict[tuple[str, str], _Ignored] = {}
        self._backend_ok_at = 0

    def count(self, vendor_uid: str, what: str, by: int = 1) -> None:
        """Add to one of the vendor's counters."""
        self._counts[vendor_uid, what] += by

    def delete_entries(self, vendor_uid: str, entries: Sequence[EntryHead]) -> None:
        """Delete entries from the inbox. The vendor's next one has not been started."""
        stream = keys.inbox(self._lane, vendor_uid)
        self._streams[stream] = vendor_uid
        if not entries:
            return
        webhooks = sum(entry.webhooks for entry in entries)
        self.count(vendor_uid, "webhooks_done", webhooks)
        self.count(vendor_uid, keys.STORED_BYTES, -sum(entry.size for entry in entries))
        self._commands.append(("HINCRBY", keys.waiting(self._lane), vendor_uid, -webhooks))
        self._commands.append(("HDEL", keys.cursor(self._lane), vendor_uid))
        entry_ids = [entry.id for entry in entries]
        for start in range(0, len(entry_ids), _CHUNK):
            self._commands.append(("XDEL", stream, *entry_ids[start : start + _CHUNK]))

    def remove_empty(self, vendor_uids: Sequence[str]) -> None:
        """Remove vendors whose streams are empty from the index."""
        for vendor_uid in vendor_uids:
            self.delete_entries(vendor_uid, [])

    def move_cursor(self, vendor_uid: str, position: str) -> None:
        """Record how far the vendor's first entry is processed; the entry stays."""
        self._commands.append(("HSET", keys.cursor(self._lane), vendor_uid, position))

    def defer(self, update: Update, due_at: int) -> None:
        """Append an update to those that wait under its order key; ``due_at`` applies if it is the
        first of them."""
        kept = self._kept(update)
        self._commands.append(("RPUSH", self._list(update.order_key), kept))
        self._commands.append(("ZADD", keys.deferred(self._lane), "NX", due_at, update.order_key))

    def take_deferred(self, updates: Sequence[Update], *, next_due_at: int) -> None:
        """Remove the first updates that wait under an order key; the next one is due then."""
        first = updates[0]
        stored = sum(update.stored_bytes for update in updates)
        self._take_deferred(first.vendor_uid, first.order_key, len(updates), stored, next_due_at)

    def take_unread(
        self, vendor_uid: str, order_key: str, dumped: bytes, *, next_due_at: int
    ) -> None:
        """Remove the first update that waits under an order key, without having parsed it."""
        self._take_deferred(vendor_uid, order_key, 1, len(dumped), next_due_at)

    def _take_deferred(
        self, vendor_uid: str, order_key: str, how_many: int, stored: int, next_due_at: int
    ) -> None:
        items = self._list(order_key)
        self._lists[items] = order_key
        self._commands.append(("LPOP", items, how_many))
        self._commands.append(("ZADD", keys.deferred(self._lane), next_due_at, order_key))
        self._count_deferred(vendor_uid, -how_many, -stored)

    def put_back(self, updates: Sequence[Update], due_at: int) -> None:
        """Put removed updates back in front of the others of their order key."""
        order_key = updates[0].order_key
        for update in reversed(updates):
            self._commands.append(("LPUSH", self._list(order_key), self._kept(update)))
        self._commands.append(("ZADD", keys.deferred(self._lane), due_at, order_key))

    def _list(self, order_key: str) -> str:
        return keys.deferred_updates(self._lane, order_key)

    def _kept(self, update: Update) -> bytes:
        dumped = update.dump()
        self._count_deferred(update.vendor_uid, 1, len(dumped))
        return dumped

    def _count_deferred(self, vendor_uid: str, updates: int, stored: int) -> None:
        self.count(vendor_uid, keys.deferred_count(self._lane), updates)
        self.count(vendor_uid, keys.deferred_bytes(self._lane), stored)
        self.count(vendor_uid, keys.STORED_BYTES, stored)

    def dead_letter(self, update: Update, now: int) -> None:
        """Add an update to the dead letters."""
        self._dead_letter(update.vendor_uid, update.id, update.dump(), now)

    def dead_letter_unread(self, dumped: bytes, vendor_uid: str, reason: str, now: int) -> None:
        """Add an update to the dead letters as it was stored, without having parsed it."""
        letter_id = f"{vendor_uid}/unread/{hashlib.blake2b(dumped, digest_size=16).hexdigest()}"
        self._dead_letter(vendor_uid, letter_id, with_reason(dumped, reason), now)

    def _dead_letter(self, vendor_uid: str, letter_id: str, dumped: bytes, now: int) -> None:
        letter = orjson.dumps({"lane": self._lane.value, "update": orjson.Fragment(dumped)})
        words: list[str | bytes | int] = [*letter_keys(vendor_uid), LetterKind.UPDATES, letter_id]
        words += [letter, now, *self._bounds.words(now)]
        self._commands.append(("DEADLETTER", *words))

    def count_ignored(self, update: Update, reason: str, now: int, *, look: bool) -> None:
        """Count an ignored update by its reason, and keep it if it is the last; ``look``: somebody
        should look at it."""
        key = (update.vendor_uid, name_of(reason))
        so_far = self._ignored.get(key) or _Ignored(update, reason, now)
        self._ignored[key] = _Ignored(
            update, reason, now, so_far.count + 1, so_far.messages + int(look)
        )

    def add_command(self, *command: str | bytes | int) -> None:
        """Add a command of the caller's."""
        self._commands.append(command)

    def record_backend_ok(self, now: int) -> None:
        """Record when PHP last took something."""
        self._backend_ok_at = max(self._backend_ok_at, now)

    async def commit(self) -> None:
        """Write it all, or raise :class:`LeaseLost`."""
        for (vendor_uid, what), by in self._counts.items():
            if by:
                self._commands.append(("HINCRBY", keys.counters(vendor_uid), what, by))
        for (_, name), one in self._ignored.items():
            self._commands.append(("IGNORED", *one.words(name)))
        if self._backend_ok_at:
            self._commands.append(("SET", keys.BACKEND_OK, self._backend_ok_at))
        arguments: list[str | bytes | int] = [self._lease.token]
        for command in self._commands:
            arguments.append(len(command))
            arguments.extend(command)
        arguments.append(0)
        for pairs in (self._streams, self._lists):
            arguments.append(len(pairs))
            for key, name in pairs.items():
                arguments += [key, name]
        index_keys = [
            self._lease.key,
            keys.ready(self._lane),
            keys.deferred(self._lane),
            keys.waiting(self._lane),
            keys.partitions(self._lane),
            keys.lease(drain_lease(self._lane)),
        ]
        if not await self._script(keys=index_keys, args=arguments):
            raise LeaseLost(self._lease.name)
