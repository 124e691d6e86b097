"""Pauses that double."""

import random
from collections.abc import Callable
from dataclasses import dataclass

#: Far more doublings than lie between any two pauses.
_MAX_DOUBLINGS = 64


@dataclass(frozen=True, slots=True)
class Backoff:
    """``first`` after the first failure, twice as much after each further one, and ``longest`` at
    most; in whatever unit they are given. ``jitter`` returns 0 to 1."""

    first: float
    longest: float
    jitter: Callable[[], float] = random.random

    def pause(self, failures: int) -> float:
        """Return the pause after so many failures in a row."""
        return min(self.longest, self.first * 2.0 ** min(max(0, failures - 1), _MAX_DOUBLINGS))

    def spread(self, failures: int) -> float:
        """Return the same, up to a quarter shorter or longer, so that those who have failed
        together do not come back together."""
        return self.pause(failures) * (0.75 + 0.5 * self.jitter())
