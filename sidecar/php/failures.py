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
        #: Since when calls have failed and none has worked, and when the last one did.
        self._away: tuple[float, float] | None = None

    def failed(self, endpoint: str, reason: str, took_s: float = 0.0) -> None:
        row = self._rows.get(endpoint)
        times = row.times + 1 if row else 1
        now = self._clock()
        self._rows[endpoint] = _Row(times, reason, now)
        began, last = self._away or (now - took_s, now)
        goes_on = now - took_s - last <= self._fresh_s
        self._away = (began if goes_on else now - took_s, now)

    def worked(self, endpoint: str) -> None:
        self._rows.pop(endpoint, None)
        self._away = None

    def away_s(self) -> float:
        """Return for how long calls have failed and none has worked; 0 if the last is long ago."""
        first, last = self._away or (0.0, 0.0)
        fresh = self._clock() - last <= self._fresh_s
        return last - first if self._away and fresh else 0.0

    def report(self) -> dict[str, str]:
        """Return why PHP fails on an endpoint, of those whose last calls have all failed."""
        since = self._clock() - self._fresh_s
        return {
            endpoint: row.reason
            for endpoint, row in self._rows.items()
            if row.times >= IN_A_ROW and row.at >= since
        }
