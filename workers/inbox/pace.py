"""How many updates go into one request, by how long PHP takes for them."""

#: A request that takes longer makes the next ones smaller.
SLOW_S = 0.8

#: The target for the next ones then.
WANTED_S = 0.4

#: What PHP does in so little time is not worth a second request beside it: it takes a good part of
#: that to get ready for any.
TOGETHER_S = 0.05


class Pace:
    """Learns from each request how many updates PHP can handle in time. There is no limit until one
    is slow."""

    def __init__(self) -> None:
        self._limit: float | None = None
        #: How long one takes at most, as far as is known.
        self._each_s: float | None = None

    @property
    def together(self) -> int:
        """Return how many updates go into one request rather than into several at once."""
        return max(1, int(TOGETHER_S / self._each_s)) if self._each_s else 1

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
        self._learn(updates, seconds / updates)

    def _learn(self, updates: int, each_s: float) -> None:
        """The more there are in a request, the less its own time weighs."""
        if self._each_s is None or each_s < self._each_s:
            self._each_s = each_s
        elif updates > 1:
            self._each_s = (self._each_s + each_s) / 2
        else:
            self._each_s = min(each_s, 1.05 * self._each_s)

    def timed_out(self, updates: int) -> None:
        """Learn from a time-out."""
        self._limit = max(1.0, updates / 4)
