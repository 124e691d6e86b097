"""Starting each send at its slot."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

from sidecar.lease import Lease
from workers.ledger import Ledger
from workers.limiter import AHEAD_S, Grant, Limiter
from workers.rows import QueuedRow, Rows

#: A new offset between the clocks counts at once if it is smaller (a quicker answer) and slowly
#: if it is larger, in case one of the clocks drifts.
_DRIFT_S = 0.0001

#: A row whose slot is further in the past than this, and than half the time between two slots, gets
#: another one: the process was held up, and sends that have piled up would otherwise go out in one
#: burst, above the rate.
LATE_S = 0.02


@dataclass(frozen=True, slots=True)
class _Planned:
    at: float
    too_late_at: float
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
        ledger: Ledger,
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
        self._ledger = ledger
        self._lease = lease
        self._campaign_uid = campaign_uid
        self._rows = rows
        self._number_of = number_of
        self._rate_of = rate_of
        self._room = room
        self._start = start
        self._planned: deque[_Planned] = deque()
        self._beginning: list[_Planned] = []
        self._more = asyncio.Event()
        self._offset: float | None = None

    @property
    def planned(self) -> int:
        """How many rows have a slot and are not started yet."""
        return len(self._planned) + len(self._beginning)

    def take_unstarted(self) -> list[QueuedRow]:
        """Return the rows that had a slot and were certainly not started. The ledger may say of
        some that they are being sent; they are not."""
        rows = [planned.row for planned in [*self._beginning, *self._planned]]
        self._beginning = []
        self._planned.clear()
        return rows

    # -- taking slots --

    async def plan(self) -> None:
        """Take slots until cancelled. Raises what the limiter raises; it may then go on."""
        loop = asyncio.get_running_loop()
        while True:
            ahead_s = self._planned[-1].at - loop.time() if self._planned else 0.0
            if ahead_s > AHEAD_S / 2:
                await asyncio.sleep(ahead_s - AHEAD_S / 2)
                continue
            room = self._room() - self.planned
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
        grant = await self._limiter.grant(
            self._lease, self._campaign_uid, number, rate=rate, wanted=len(rows)
        )
        first_at = self._local_time(grant)
        # What is in front may have changed meanwhile: a slot is a number's, not a row's.
        front = self._rows.first(grant.count, self._number_of)
        if front and self._number_of(front[0]) == number:
            late_s = max(LATE_S, grant.gap_s / 2)
            for index, row in enumerate(self._rows.take(len(front))):
                at = first_at + index * grant.gap_s
                self._planned.append(_Planned(at, at + late_s, row, number))
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

    # -- starting --

    async def start_at_slots(self) -> None:
        """Start what has a slot, until cancelled. Raises what the ledger raises; it may then go
        on, and no row is lost."""
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
            await self._begin(self._take_due(loop.time()))

    def _take_due(self, now: float) -> list[_Planned]:
        """Return what is due, all that came while the last ones were written down. What is too
        late goes back in front of the rows."""
        due: list[_Planned] = []
        while self._planned and self._planned[0].at <= now:
            due.append(self._planned.popleft())
        self._put_back([planned for planned in due if now > planned.too_late_at])
        return [planned for planned in due if now <= planned.too_late_at]

    async def _begin(self, due: list[_Planned]) -> None:
        if not due:
            return
        self._beginning = due
        began_at = asyncio.get_running_loop().time()
        try:
            await self._ledger.begin(self._lease, [(p.row, p.number) for p in due])
        except Exception:
            self._beginning = []
            self._put_back(due)
            raise
        self._beginning = []
        if asyncio.get_running_loop().time() - began_at > AHEAD_S:
            # Redis was held up: by now these would be a burst.
            self._put_back(due)
            return
        for planned in due:
            self._start(planned.row, planned.number)

    def _put_back(self, planned: list[_Planned]) -> None:
        for one in reversed(planned):
            self._rows.put_back(one.row)
