"""How long a row may stand in 3 before nobody knows any more what became of it."""

import math
import time
from collections.abc import Callable


class StaleClaims:
    """Leaves out the time in which PHP could not be told: else the first call after it (a
    maintenance, say) would have every row settled as unknown whose result waits to be told.
    ``clock`` is monotonic, in seconds."""

    def __init__(self, stale_s: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._stale_s = stale_s
        self._clock = clock
        self._worked_at = clock()
        self._away_since: float | None = None
        self._back_at: float | None = None

    def after_s(self) -> int:
        """Return how old a claim has to be at this moment."""
        now = self._clock()
        if self._back_at is not None and now - self._back_at >= self._stale_s:
            self._away_since = self._back_at = None
        if self._away_since is None:
            return self._stale_s
        return self._stale_s + math.ceil(now - self._away_since)

    def failed(self) -> None:
        """PHP could not be called."""
        if self._away_since is None:
            self._away_since = self._worked_at
        self._back_at = None

    def worked(self) -> None:
        self._worked_at = self._clock()
        if self._away_since is not None and self._back_at is None:
            self._back_at = self._worked_at
