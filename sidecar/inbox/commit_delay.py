"""How long a group commit waits for company.

A commit of one webhook costs nearly as much as one of twenty. Under load webhooks share commits by
themselves, since they arrive while the last one is under way. At some hundreds a second they arrive
just too far apart for that, and each would have a commit of its own. So the commit waits for a
moment, where others are likely to come in it.
"""

import math

#: Longest that a webhook waits for company.
MAX_DELAY_S = 0.003

#: No commit waits for more than so many others, nor where fewer are expected within the longest
#: wait: up to 167 webhooks a second there is no wait, and from 500 on it becomes shorter.
MAX_EXPECTED = 1.5
MIN_EXPECTED = 0.5

#: What is older hardly counts in the rate.
MEMORY_S = 0.25

#: Where fewer came than this, on average over some waits, waiting is useless: whoever sends waits
#: for each answer. It is tried again after some commits.
MIN_GAIN = 0.25
_LEARN = 1 / 8
_FORGET = 1 / 256


class CommitDelay:
    """Decides from what has come lately. Times are in seconds, of any one clock."""

    def __init__(self) -> None:
        self._rate = 0.0
        self._at = 0.0
        self._gain = 1.0

    def left(self, now: float, since: float, webhooks: int) -> float:
        """Return how long a group still waits that has so many webhooks, the first of which came at
        ``since``."""
        rate = self._rate * self._decay(now)
        if webhooks > MAX_EXPECTED or rate * MAX_DELAY_S < MIN_EXPECTED or self._gain < MIN_GAIN:
            return 0.0
        return max(0.0, min(MAX_DELAY_S, MAX_EXPECTED / rate) - (now - since))

    def waited(self, joined: int) -> None:
        """Learn how many webhooks have come during a wait."""
        self._gain += (joined - self._gain) * _LEARN

    def committed(self, now: float, webhooks: int) -> None:
        """Count a group."""
        self._rate = self._rate * self._decay(now) + webhooks / MEMORY_S
        self._at = now
        if self._gain < MIN_GAIN:
            self._gain += _FORGET

    def _decay(self, now: float) -> float:
        return math.exp(min(0.0, self._at - now) / MEMORY_S)
