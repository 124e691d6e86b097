"""What PHP fails on at the moment, by endpoint: for the heartbeat."""

import time
from collections.abc import Callable
from dataclasses import dataclass

#: So many calls of an endpoint in a row that fail are no chance.
IN_A_ROW = 2
#: A failure that is older says nothing of now: nobody has called since.
FRESH_S = 8.0


@dataclass(slots=True)
class _Row:
    times: int
    reason: str
    at: float


class Failures:
    """Counts the calls of each endpoint that fail in a row, which are told of for ``fresh_s``.
    ``clock`` is monotonic, in seconds."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, *, fresh_s: float = FRESH_S
    ) -> None:
        self._clock = clock
        self._fresh_s = fresh_s
        self._rows: dict[str, _Row] = {}

    def failed(self, endpoint: str, reason: str) -> None:
        row = self._rows.get(endpoint)
        times = row.times + 1 if row else 1
        self._rows[endpoint] = _Row(times, reason, self._clock())

    def worked(self, endpoint: str) -> None:
        self._rows.pop(endpoint, None)

    def report(self) -> dict[str, str]:
        """Return why PHP fails on an endpoint, of those whose last calls have all failed."""
        since = self._clock() - self._fresh_s
        return {
            endpoint: row.reason
            for endpoint, row in self._rows.items()
            if row.times >= IN_A_ROW and row.at >= since
        }
