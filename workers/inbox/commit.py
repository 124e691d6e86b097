"""Everything that is recorded about a batch, put together and then written at once."""

import hashlib
from collections import Counter

import orjson

from contracts.jobs import Lane
from sidecar import keys
from sidecar.burial import DEFAULT_BOUNDS, Bounds, LetterKind, letter_keys
from sidecar.lease import Lease
from sidecar.redis_client import Redis, script
from workers.inbox.update import Item, with_reason

#: Most ids in one XDEL: Lua can spread only so many words.
_CHUNK = 1000


class LeaseLost(Exception):
    """Somebody else has the lease now, and nothing was recorded."""


class Settlement:
    """Collects commands for ``settle.lua``. Nothing happens before :meth:`commit`."""

    def __init__(
        self, redis: Redis, lane: Lane, lease: Lease, bounds: Bounds = DEFAULT_BOUNDS
    ) -> None:
        self._script = script(redis, "settle")
        self._lane = lane
        self._lease = lease
        self._bounds = bounds
        self._commands: list[tuple[str | bytes | int, ...]] = []
        self._streams: dict[str, str] = {}
        self._lists: dict[str, str] = {}
        self._counts: Counter[tuple[str, str]] = Counter()

    def count(self, vendor_uid: str, what: str, by: int = 1) -> None:
        """Add to one of the vendor's counters."""
        self._counts[vendor_uid, what] += by

    def delete_entries(self, vendor_uid: str, entry_ids: list[str], webhooks: int = 0) -> None:
        """Take entries out of the inbox, with so many webhooks in them."""
        stream = keys.inbox(self._lane, vendor_uid)
        self._streams[stream] = vendor_uid
        if webhooks:
            self.count(vendor_uid, "webhooks_done", webhooks)
            self._commands.append(("HINCRBY", keys.waiting(self._lane), vendor_uid, -webhooks))
        for start in range(0, len(entry_ids), _CHUNK):
            self._commands.append(("XDEL", stream, *entry_ids[start : start + _CHUNK]))

    def defer(self, item: Item, due_at: int) -> None:
        """Put an item behind those that wait under its order key; ``due_at`` counts if it is the
        first of them."""
        items = keys.deferred_items(self._lane, item.order_key)
        self._commands.append(("RPUSH", items, item.dump()))
        self._commands.append(("ZADD", keys.deferred(self._lane), "NX", due_at, item.order_key))

    def take_deferred(self, order_key: str, how_many: int, *, next_due_at: int) -> None:
        """Take the first items out that wait under an order key; the next is due then."""
        items = keys.deferred_items(self._lane, order_key)
        self._lists[items] = order_key
        self._commands.append(("LPOP", items, how_many))
        self._commands.append(("ZADD", keys.deferred(self._lane), next_due_at, order_key))

    def put_back(self, item: Item, due_at: int) -> None:
        """Put an item that was taken out back in front of the others of its order key."""
        items = keys.deferred_items(self._lane, item.order_key)
        self._commands.append(("LPUSH", items, item.dump()))
        self._commands.append(("ZADD", keys.deferred(self._lane), due_at, item.order_key))

    def bury(self, item: Item, now: int) -> None:
        """Put an item among the dead letters."""
        self._bury(item.vendor_uid, item.id, item.dump(), now)

    def bury_unread(self, dumped: bytes, vendor_uid: str, reason: str, now: int) -> None:
        """Put an item among the dead letters that nobody may read, as it was kept."""
        letter_id = f"{vendor_uid}/unread/{hashlib.blake2b(dumped, digest_size=16).hexdigest()}"
        self._bury(vendor_uid, letter_id, with_reason(dumped, reason), now)

    def _bury(self, vendor_uid: str, letter_id: str, dumped: bytes, now: int) -> None:
        letter = orjson.dumps({"lane": self._lane.value, "item": orjson.Fragment(dumped)})
        words: list[str | bytes | int] = [*letter_keys(vendor_uid), LetterKind.UPDATES, letter_id]
        words += [letter, now, *self._bounds.words(now)]
        self._commands.append(("DEADLETTER", *words))

    def also(self, *command: str | bytes | int) -> None:
        """Have a command of the caller's done along with the rest."""
        self._commands.append(command)

    def remember(self, seen_key: str, window_s: int) -> None:
        """Keep in mind that PHP has this message."""
        self._commands.append(("SET", seen_key, 1, "EX", window_s))

    def note_backend_worked(self, now: int) -> None:
        """Keep when PHP last took something."""
        self._commands.append(("SET", keys.BACKEND_OK, now))

    async def commit(self) -> None:
        """Write it all, or raise :class:`LeaseLost`."""
        for (vendor_uid, what), by in self._counts.items():
            if by:
                self._commands.append(("HINCRBY", keys.counters(vendor_uid), what, by))
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
        ]
        if not await self._script(keys=index_keys, args=arguments):
            raise LeaseLost(self._lease.name)
