"""Claimed rows that wait to be sent."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from contracts.backend import ClaimedRow


@dataclass(frozen=True, slots=True)
class QueuedRow:
    """A row, and the claim that brought it."""

    row: ClaimedRow
    claim_uid: str

    @property
    def uid(self) -> str:
        return self.row.uid


class Rows:
    """Claimed rows that wait to be sent, in order."""

    def __init__(self) -> None:
        self._rows: deque[QueuedRow] = deque()
        self.changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._rows)

    def append(self, rows: Iterable[QueuedRow]) -> None:
        self._rows.extend(rows)
        self.changed.set()

    def put_back(self, row: QueuedRow) -> None:
        """Put a row in front: it was not sent after all."""
        self._rows.appendleft(row)
        self.changed.set()

    def first(self, count: int, number_of: Callable[[QueuedRow], str]) -> list[QueuedRow]:
        """Return up to so many rows from the front that are sent from the same number."""
        found: list[QueuedRow] = []
        for row in self._rows:
            if len(found) == count or (found and number_of(row) != number_of(found[0])):
                break
            found.append(row)
        return found

    def take(self, count: int) -> list[QueuedRow]:
        """Take so many rows from the front."""
        taken = [self._rows.popleft() for _ in range(min(count, len(self._rows)))]
        self.changed.set()
        return taken
