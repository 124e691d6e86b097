"""The limit between one number and one recipient.

One message in 6 seconds. Up to 45 may go out within 6 seconds, which borrows from the future:
after a burst of 20, the next one is due in 2 minutes (Meta's platform page).
"""

#: Pairs are looked through for expired ones when their count has doubled, and not below this.
_MIN_SWEEP = 10_000


class PairLimit:
    """``interval_s`` 0 switches the limit off."""

    __slots__ = ("_bursts", "_sweep_at", "burst", "interval_s")

    def __init__(self, interval_s: float, burst: int) -> None:
        self.interval_s = interval_s
        self.burst = burst
        #: By recipient: when the current burst began, and how many it holds.
        self._bursts: dict[str, tuple[float, int]] = {}
        self._sweep_at = _MIN_SWEEP

    def __len__(self) -> int:
        return len(self._bursts)

    def allows(self, recipient: str, now: float) -> bool:
        """Return whether a message may go to ``recipient`` now, without counting it."""
        if self.interval_s <= 0:
            return True
        started, count = self._bursts.get(recipient, (0.0, 0))
        if now >= started + count * self.interval_s:
            return True
        return now < started + self.interval_s and count < self.burst

    def count(self, recipient: str, now: float) -> None:
        """Count a message that was accepted now."""
        if self.interval_s <= 0:
            return
        started, count = self._bursts.get(recipient, (0.0, 0))
        if now >= started + count * self.interval_s:
            started, count = now, 0
        self._bursts[recipient] = (started, count + 1)
        if len(self._bursts) > self._sweep_at:
            self._sweep(now)

    def _sweep(self, now: float) -> None:
        self._bursts = {
            recipient: (started, count)
            for recipient, (started, count) in self._bursts.items()
            if now < started + count * self.interval_s
        }
        self._sweep_at = max(_MIN_SWEEP, 2 * len(self._bursts))
