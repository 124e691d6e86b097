"""Redis's clock, on which the slots of all workers are spaced."""

import time
from collections.abc import Callable

#: How fast the offset between the clocks may grow, in seconds per second, in case one drifts.
_DRIFT = 0.001


class RedisClock:
    """What Redis's clock says, as far as its answers tell.

    An answer comes after the moment that it tells of, so the offset that follows from it is too
    large by its way: the quickest answer is the best. A smaller offset counts at once, a larger
    one slowly, so that a slow answer does not move slots together.
    """

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._monotonic = monotonic
        self._wall = wall
        self._offset: float | None = None
        self._told_at = 0.0

    def told(self, redis_s: float) -> None:
        """Take in an answer that has just come, with what Redis's clock said in it."""
        now = self._monotonic()
        offset = now - redis_s
        if self._offset is not None:
            offset = min(offset, self._offset + _DRIFT * (now - self._told_at))
        self._offset = offset
        self._told_at = now

    def now(self) -> float:
        """Return unix seconds on Redis's clock; on this machine's as long as Redis has told
        nothing."""
        return self._wall() if self._offset is None else self._monotonic() - self._offset

    def local(self, redis_s: float) -> float:
        """Return when that is on ``time.monotonic``."""
        return self._monotonic() + redis_s - self.now()
