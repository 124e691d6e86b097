"""A breaker: what fails is left alone for a while instead of being tried over and over."""

import random
import time
from collections.abc import Callable
from typing import Any

from sidecar.logs import LogOnce
from sidecar.php.backoff import Backoff

#: What has failed and was not tried again for longer says nothing of now.
FRESH_S = 15.0


class Breaker:
    """Opens when a call shows that PHP is ill, for a pause that doubles up to ``longest_s``.

    After the pause one attempt is let through; its outcome closes the breaker or opens it again.
    ``event`` and ``context`` are for the log.
    """

    def __init__(
        self,
        event: str,
        *,
        first_s: float = 0.2,
        longest_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
        **context: Any,
    ) -> None:
        self._outage = LogOnce(event, **context)
        self._backoff = Backoff(first_s, longest_s, jitter)
        self._clock = clock
        self._failures = 0
        self._open_until = 0.0
        self._failed_at = 0.0

    def another(self, event: str, *, longest_s: float, **context: Any) -> "Breaker":
        """Return a breaker for something else, with the same pauses but for the longest."""
        return Breaker(
            event,
            first_s=self._backoff.first,
            longest_s=longest_s,
            clock=self._clock,
            jitter=self._backoff.jitter,
            **context,
        )

    @property
    def reason(self) -> str | None:
        """Why PHP is taken to be ill, or None if it is well."""
        return self._outage.reason

    @property
    def fresh_reason(self) -> str | None:
        """The same, if that was found out lately: for people. Nobody may have tried since, or
        somebody else may."""
        return self.reason if self._clock() - self._failed_at < FRESH_S else None

    @property
    def wait_s(self) -> float:
        """How long to wait before the next attempt; 0 if it may be made now."""
        return max(0.0, self._open_until - self._clock())

    def failed(self, reason: str) -> None:
        """Open, because PHP is ill."""
        self.back_off()
        self._failed_at = self._clock()
        self._outage.failed(reason)

    def back_off(self) -> None:
        """Open, although PHP is well: it wants to be asked again later."""
        self._failures += 1
        self._open_until = self._clock() + self._backoff.spread(self._failures)

    def worked(self) -> None:
        """Close, because PHP has done something."""
        self._failures = 0
        self._open_until = 0.0
        self._outage.worked()
