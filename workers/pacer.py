"""Starting each send at its slot."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

from sidecar.lease import Lease
from workers.limiter import AHEAD_S, Grant, Limiter
from workers.rows import QueuedRow, Rows

#: A new offset between the clocks counts at once if it is smaller (a quicker answer) and slowly
#: if it is larger, in case one of the clocks drifts.
_DRIFT_S = 0.0001


@dataclass(frozen=True, slots=True)
class _Planned:
    at: float
    row: QueuedRow
    number: str


class Pacer:
    """Takes slots for the rows of one campaign and starts each send at its slot.

    ``number_of`` and ``rate_of`` tell from which number a row is sent and how fast that may go;
    ``room`` how many more sends may be under way; ``start`` starts one.
    """

    def __init__(
        self,
        limiter: Limiter,
        lease: Lease,
        campaign_uid: str,
        rows: Rows,
        *,
        number_of: Callable[[QueuedRow], str],
        rate_of: Callable[[str], float],
        room: Callable[[], int],
        start: Callable[[QueuedRow, str], None],
    ) -> None:
        self._limiter = limiter
        self._lease = lease
        self._campaign_uid = campaign_uid
        self._rows = rows
        self._number_of = number_of
        self._rate_of = rate_of
        self._room = room
        self._start = start
        self._planned: deque[_Planned] = deque()
        self._more = asyncio.Event()
        self._offset: float | None = None

    @property
    def planned(self) -> int:
        """How many rows have a slot and are not started yet."""
        return len(self._planned)

    def take_unstarted(self) -> list[QueuedRow]:
        """Return the rows that had a slot and were certainly not started."""
        rows = [planned.row for planned in self._planned]
        self._planned.clear()
        return rows

    async def plan(self) -> None:
        """Take slots until cancelled. What the limiter raises is passed on."""
        loop = asyncio.get_running_loop()
        while True:
            ahead_s = self._planned[-1].at - loop.time() if self._planned else 0.0
            if ahead_s > AHEAD_S / 2:
                await asyncio.sleep(ahead_s - AHEAD_S / 2)
                continue
            room = self._room() - len(self._planned)
            if not self._rows or room <= 0:
                self._rows.changed.clear()
                await self._rows.changed.wait()
                continue
            grant = await self._ask(room)
            if grant.count == 0:
                await asyncio.sleep(min(grant.delay_s, 1.0))

    async def _ask(self, room: int) -> Grant:
        number = self._number_of(self._rows.first(1, self._number_of)[0])
        rate = self._rate_of(number)
        rows = self._rows.first(min(room, ceil(rate * AHEAD_S) + 1), self._number_of)
        grant = await self._limiter.grant(self._lease, self._campaign_uid, number, rate, rows)
        first_at = self._local_time(grant)
        for index, row in enumerate(self._rows.take(grant.count)):
            self._planned.append(_Planned(first_at + index * grant.gap_s, row, number))
        self._more.set()
        return grant

    def _local_time(self, grant: Grant) -> float:
        """Return when the first slot is on this process's clock. The offset between the clocks
        is taken from the quickest answer, so that a slow one does not move slots together."""
        offset = asyncio.get_running_loop().time() - grant.clock_s
        if self._offset is not None:
            offset = min(offset, self._offset + _DRIFT_S)
        self._offset = offset
        return grant.clock_s + grant.delay_s + offset

    async def start_at_slots(self) -> None:
        """Start what has a slot, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            if not self._planned:
                self._more.clear()
                await self._more.wait()
                continue
            pause_s = self._planned[0].at - loop.time()
            if pause_s > 0:
                await asyncio.sleep(pause_s)
                continue
            planned = self._planned.popleft()
            self._start(planned.row, planned.number)
