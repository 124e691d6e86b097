"""Reads a lane's next batch while PHP works on the last one.

Nothing of the last batch is committed by then, so what is read follows on what was taken, and is
used only if PHP has answered for all of that: what it was not asked about is read again, and comes
first.
"""

import asyncio
from collections.abc import Set
from dataclasses import dataclass

from sidecar.tasks import cancel
from workers.inbox.reader import FairReader, Taken

#: Nothing is read ahead of a batch with more bytes: two of those would take too much memory.
MAX_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at a lane has found: the next updates of each vendor; vendors in the index whose
    streams are ``empty``; and those with webhooks that were ``passed_over``."""

    taken: list[Taken]
    empty: list[str]
    passed_over: list[str]

    def without(self, vendors: Set[str]) -> "Look":
        """Return the same with these vendors passed over."""
        others = [one for one in self.taken if one.vendor_uid not in vendors]
        over = {one.vendor_uid for one in self.taken} & vendors
        return Look(others, self.empty, sorted({*self.passed_over, *over}))


class ReadAhead:
    """Looks at a lane for one drain. ``half``: so many webhooks make it worth while to read ahead;
    fewer are left to become more."""

    def __init__(self, reader: FairReader, half: int) -> None:
        self._reader = reader
        self._half = half
        self._last: Look | None = None
        self._reading: asyncio.Task[Look] | None = None
        self._next: Look | None = None

    @property
    def vendors(self) -> int:
        """Return of how many vendors something was read ahead."""
        return len(self._next.taken) if self._next else 0

    async def next(self, excluded: Set[str]) -> Look:
        """Return the next look, without these vendors. Whoever has webhooks since something was
        read ahead comes along, and need not wait for another batch."""
        ahead, self._next = self._next, None
        if ahead is None:
            self._last = self._look(await self._reader.take(excluded))
            return self._last
        mine = ahead.without(excluded)
        known = {one.vendor_uid for one in mine.taken}
        others = self._look(await self._reader.take_at_once(excluded | known))
        taken = self._reader.serve(mine.taken) + others.taken
        passed_over = [one for one in others.passed_over if one not in known]
        self._last = Look(taken, mine.empty + others.empty, passed_over)
        return self._last

    def start(self, excluded: Set[str]) -> None:
        """Begin to read what comes after the last look, if that is worth while."""
        last, self._last = self._last, None
        if last is None or self._reading is not None:
            return
        updates = [update for one in last.taken for update in one.updates]
        if len(updates) < self._half or sum(update.size for update in updates) > MAX_BYTES:
            return
        self._reading = asyncio.create_task(self._read(last, excluded), name="read ahead")

    async def _read(self, last: Look, excluded: Set[str]) -> Look:
        return self._look(await self._reader.take_after(last.taken, excluded, least=self._half))

    def _look(self, taken: list[Taken]) -> Look:
        return Look(taken, self._reader.empty, self._reader.passed_over)

    async def committed(self) -> None:
        """Keep what is being read: all of the last look is committed."""
        if self._reading is not None:
            self._next = await self._reading
            self._reading = None

    async def forget(self) -> None:
        """Forget what was read ahead: something of the last look may come again."""
        reading, self._reading, self._next, self._last = self._reading, None, None, None
        if reading is not None:
            await cancel([reading])
