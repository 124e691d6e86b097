"""Rows that wait to be sent: of a campaign, as PHP has given them out, or replies."""

import asyncio
import heapq
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count
from typing import Any

from contracts.backend import ClaimedRow
from sidecar.sending.recipients import name_of


@dataclass(frozen=True, slots=True)
class ReplyRow:
    """A message that answers somebody (:class:`contracts.effects.SendMessage`)."""

    uid: str
    to: str | None
    message: dict[str, Any]
    retries: int = 0
    from_phone_number_id: str | None = None
    recipient: str | None = None


Row = ClaimedRow | ReplyRow


@dataclass(frozen=True, slots=True)
class ClaimedSend:
    """A row, and the claim that brought it."""

    row: Row
    claim_uid: str

    @property
    def uid(self) -> str:
        return self.row.uid

    @property
    def addressee(self) -> str:
        """What limits and suppression know the person by: the number, or else the user id."""
        return name_of(self.row.to or self.row.recipient or "")


class SendQueue:
    """Claimed rows that wait to be sent from one number, in order, and apart from them those that
    wait for their recipients (*parked*). Times are seconds of one clock."""

    def __init__(self) -> None:
        self._rows: deque[ClaimedSend] = deque()
        self._parked: list[tuple[float, int, ClaimedSend]] = []
        self._order = count()
        self.changed = asyncio.Event()

    def __len__(self) -> int:
        """How many wait only for slots."""
        return len(self._rows)

    @property
    def parked(self) -> int:
        return len(self._parked)

    @property
    def unparks_at(self) -> float | None:
        """When the first of those that are parked may go."""
        return self._parked[0][0] if self._parked else None

    def append(self, rows: Iterable[ClaimedSend]) -> None:
        self._rows.extend(rows)
        self.changed.set()

    def put_back(self, rows: list[ClaimedSend]) -> None:
        """Put rows in front, in their order: they were not sent after all."""
        self._rows.extendleft(reversed(rows))
        self.changed.set()

    def park(self, row: ClaimedSend, until: float) -> None:
        """Keep a row apart until then."""
        heapq.heappush(self._parked, (until, next(self._order), row))

    def take(self, most: int, now: float) -> list[ClaimedSend]:
        """Take so many rows from the front; what was parked until now comes first."""
        while self._parked and self._parked[0][0] <= now:
            self._rows.appendleft(heapq.heappop(self._parked)[2])
        return [self._rows.popleft() for _ in range(min(most, len(self._rows)))]

    def take_all(self) -> list[ClaimedSend]:
        """Take everything, what is parked as well."""
        rows = [*self._rows, *(row for _, _, row in sorted(self._parked))]
        self._rows.clear()
        self._parked.clear()
        return rows
