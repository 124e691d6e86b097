"""How many updates go into one request, so that PHP answers in good time."""

#: A request that takes longer makes the next ones smaller.
SLOW_S = 0.8

#: The target for the next ones then.
WANTED_S = 0.4


class Pace:
    """Learns from each request how many updates PHP can handle in time. There is no limit until one
    is slow."""

    def __init__(self) -> None:
        self._limit: float | None = None

    def limit(self, most: int) -> int:
        """Return how many updates a request may have, at most ``most``."""
        if self._limit is not None and self._limit >= most:
            self._limit = None
        return most if self._limit is None else int(self._limit)

    def took(self, updates: int, seconds: float) -> None:
        """Learn from an answer."""
        if seconds > SLOW_S and updates > 1:
            self._limit = max(1.0, updates * WANTED_S / seconds)
        elif self._limit is not None and updates >= int(self._limit):
            self._limit = 1.25 * self._limit + 1

    def timed_out(self, updates: int) -> None:
        """Learn from a time-out."""
        self._limit = max(1.0, updates / 4)
