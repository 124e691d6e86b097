"""What one number accepted, and how fast."""

from collections import deque


class Throughput:
    """Counts exact times of acceptance (unix seconds, never falling).

    ``worst_second`` is the most that were accepted in any window ``(t - 1 s, t]``.
    """

    __slots__ = ("_last_second", "count", "first_at", "last_at", "worst_second")

    def __init__(self) -> None:
        self.count = 0
        self.first_at: float | None = None
        self.last_at: float | None = None
        self.worst_second = 0
        self._last_second: deque[float] = deque()

    def record(self, now: float) -> None:
        self.count += 1
        if self.first_at is None:
            self.first_at = now
        self.last_at = now
        recent = self._last_second
        recent.append(now)
        while recent[0] <= now - 1:
            recent.popleft()
        if len(recent) > self.worst_second:
            self.worst_second = len(recent)

    def average_per_s(self) -> float | None:
        """Messages after the first one, by the time from the first to the last."""
        if self.first_at is None or self.last_at is None or self.last_at <= self.first_at:
            return None
        return (self.count - 1) / (self.last_at - self.first_at)
