"""The throughput limit of one number."""


class TokenBucket:
    """Lets ``rate_per_s`` through in the long run, and ``depth`` at once at most.

    So any second sees at most ``rate_per_s + depth``. Times are seconds of one clock.
    """

    __slots__ = ("_at", "_tokens", "depth", "rate_per_s")

    def __init__(self, rate_per_s: float, burst_s: float, now: float) -> None:
        self.rate_per_s = rate_per_s
        self.depth = max(1.0, rate_per_s * burst_s)
        self._tokens = self.depth
        self._at = now

    def has_token(self, now: float) -> bool:
        self._tokens = min(self.depth, self._tokens + (now - self._at) * self.rate_per_s)
        self._at = now
        return self._tokens >= 1 - 1e-9

    def take(self) -> None:
        """Take a token, as a debt if there is none: what is taken later waits for it."""
        self._tokens -= 1
