"""Recognises customers' messages that PHP already has, without asking it.

A mark is set in the commit that records that PHP took the message, never before. So a message may
be delivered twice (PHP recognises it), but is never lost.
"""

import time

from contracts.backend import UpdateKind
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.redis.marks import Marks
from workers.inbox.commit import Commit
from workers.inbox.update import Update

#: Follows the name of a message that only stands for one.
_PROVISIONAL = b"\0provisional"


class Dedup:
    def __init__(self, redis: Redis, window_s: int) -> None:
        self._marks = Marks(redis, window_s, keys.dedup) if window_s else None

    def name(self, update: Update) -> bytes | None:
        """Return the name under which the update is marked, or None if it never is."""
        if self._marks is None or update.kind is None or update.kind is UpdateKind.STATUS:
            return None
        if update.wamid is None:
            return None
        name = _name(update)
        return name + _PROVISIONAL if update.provisional else name

    def remember(self, update: Update, commit: Commit) -> None:
        """Mark that PHP has this update."""
        if self._marks and (name := self.name(update)):
            for command in self._marks.commands(name, time.time()):
                commit.add_command(*command)

    async def known(self, updates: list[Update]) -> set[str]:
        """Return the ids of the updates that PHP has."""
        names = [(name, update.id) for update in updates if (name := self.name(update))]
        # What stands for a message is a duplicate of the message itself; not the other way round.
        names += [(_name(u), u.id) for u in updates if u.provisional and self.name(u)]
        if self._marks is None or not names:
            return set()
        found = await self._marks.known([name for name, _ in names], time.time())
        return {update_id for (_, update_id), there in zip(names, found, strict=True) if there}


def _name(update: Update) -> bytes:
    assert update.kind is not None
    assert update.wamid is not None
    return "\0".join((update.vendor_uid, update.kind.value, update.wamid)).encode()
