"""Recognising customers' messages that PHP has already, without asking it.

A mark is set together with the record that PHP took the message, never before. So a message can be
handed over twice (PHP recognises it), and cannot be dropped.
"""

import hashlib

from contracts.backend import UpdateKind
from sidecar import keys
from sidecar.redis_client import Redis
from workers.inbox.update import Item


class Seen:
    def __init__(self, redis: Redis, window_s: int) -> None:
        self._redis = redis
        self._window_s = window_s

    def key(self, item: Item) -> str | None:
        """Return where the item's mark is, or None if it gets none."""
        if not self._window_s or item.kind is None or item.kind is UpdateKind.STATUS:
            return None
        if item.wamid is None:
            return None
        name = "\0".join((item.vendor_uid, item.kind.value, item.wamid))
        return keys.seen(hashlib.blake2b(name.encode(), digest_size=16).hexdigest())

    async def which(self, items: list[Item]) -> set[str]:
        """Return the ids of those items that PHP has."""
        marks = {item.id: key for item in items if (key := self.key(item))}
        if not marks:
            return set()
        found = await self._redis.mget(list(marks.values()))
        return {item_id for item_id, mark in zip(marks, found, strict=True) if mark is not None}
