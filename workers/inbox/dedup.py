"""Recognising customers' messages that PHP has already, without asking it.

A mark is set together with the record that PHP took the message, never before. So a message can be
handed over twice (PHP recognises it), and cannot be dropped.
"""

import hashlib

from contracts.backend import UpdateKind
from sidecar import keys
from sidecar.redis_client import Redis
from workers.inbox.commit import Commit
from workers.inbox.update import Update


class Dedup:
    def __init__(self, redis: Redis, window_s: int) -> None:
        self._redis = redis
        self._window_s = window_s

    def key(self, update: Update) -> str | None:
        """Return where the update's mark is, or None if it gets none."""
        if not self._window_s or update.kind is None or update.kind is UpdateKind.STATUS:
            return None
        if update.wamid is None:
            return None
        name = "\0".join((update.vendor_uid, update.kind.value, update.wamid))
        return keys.seen(hashlib.blake2b(name.encode(), digest_size=16).hexdigest())

    def remember(self, update: Update, commit: Commit) -> None:
        """Keep in mind that PHP has this update."""
        if key := self.key(update):
            commit.remember(key, self._window_s)

    async def known(self, updates: list[Update]) -> set[str]:
        """Return the ids of those updates that PHP has."""
        marks = {update.id: key for update in updates if (key := self.key(update))}
        if not marks:
            return set()
        found = await self._redis.mget(list(marks.values()))
        return {update_id for update_id, mark in zip(marks, found, strict=True) if mark is not None}
