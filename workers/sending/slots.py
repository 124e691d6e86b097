"""Slots that rows have, and how late these may go.

Sends that have piled up while a process was held up must not go out in one burst, above the rate.
"""

import math
from dataclasses import dataclass

from workers.sending.cloud_api import Prepared
from workers.sending.send_queue import ClaimedSend

#: How much later than at its slot a row may go within its range. Next to it stand the pair's limit,
#: which leaves a tenth of a second for delays (``grant.lua``), and what was noted since it was
#: written down: a halt, or an outage.
MOST_BEHIND_S = 0.08

#: Slots are told in microseconds, and the sums of such are rounded.
_ROUNDING_S = 5e-6


@dataclass(slots=True)
class Range:
    """Slots one after another that are all one pacer's, until ``end``. Nobody else has one in
    between, so rows may go a little later than at their own, as long as they come no closer
    together: all are ``behind_s`` late where the process was held up."""

    end: float
    behind_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Planned:
    """A row with a slot at ``at``, which may be ``late_s`` late, or more within its range."""

    at: float
    late_s: float
    row: ClaimedSend
    range: Range
    prepared: Prepared | None = None
    latest: float = math.inf

    @property
    def due_at(self) -> float:
        return self.at + self.range.behind_s

    def is_late(self, now: float) -> bool:
        in_range = min(self.range.end, self.at + MOST_BEHIND_S)
        return now > min(self.latest, max(self.at + self.late_s, in_range))

    def catch_up(self, now: float) -> None:
        """Have those behind it keep their distance, if it is late."""
        if not self.is_late(now):
            self.range.behind_s = max(self.range.behind_s, now - self.at - self.late_s)


class Ranges:
    """Tells which of the slots that a pacer gets follow one another."""

    def __init__(self) -> None:
        self._last = Range(-math.inf)
        self._next = 0.0

    def of(self, first: float, count: int, gap_s: float, at: float) -> Range:
        """Return the range of so many slots, ``gap_s`` apart, the first of them at ``first`` on
        Redis's clock and at ``at`` on ours: the last one's, if nobody else has had one since."""
        if count == 0:
            return self._last
        if abs(first - self._next) > _ROUNDING_S:
            self._last = Range(at)
        self._next = first + count * gap_s
        self._last.end = at + count * gap_s
        return self._last
