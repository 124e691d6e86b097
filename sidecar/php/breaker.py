"""A breaker towards PHP: while PHP is ill, the inbox waits instead of knocking."""

import random
import time
from collections.abc import Callable
from typing import Any

from sidecar.logs import LogOnce


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
        self._trouble = LogOnce(event, **context)
        self._first_s = first_s
        self._longest_s = longest_s
        self._clock = clock
        self._jitter = jitter
        self._pause_s = 0.0
        self._open_until = 0.0

    def another(self, event: str, *, longest_s: float | None = None, **context: Any) -> "Breaker":
        """Return a breaker for something else, with the same pauses but for the longest."""
        return Breaker(
            event,
            first_s=self._first_s,
            longest_s=self._longest_s if longest_s is None else longest_s,
            clock=self._clock,
            jitter=self._jitter,
            **context,
        )

    @property
    def reason(self) -> str | None:
        """Why PHP is taken to be ill, or None if it is well."""
        return self._trouble.reason

    @property
    def wait_s(self) -> float:
        """How long to wait before the next attempt; 0 if it may be made now."""
        return max(0.0, self._open_until - self._clock())

    def failed(self, reason: str, *, longest_s: float | None = None) -> None:
        """Open, because PHP is ill; for so long at most, if that is given."""
        self.back_off(longest_s)
        self._trouble.failed(reason)

    def back_off(self, longest_s: float | None = None) -> None:
        """Open, although PHP is well: it wants to be asked again later."""
        longest_s = self._longest_s if longest_s is None else min(self._longest_s, longest_s)
        self._pause_s = min(longest_s, max(self._first_s, 2 * self._pause_s))
        self._open_until = self._clock() + self._pause_s * (0.75 + 0.5 * self._jitter())

    def worked(self) -> None:
        """Close, because PHP has done something."""
        self._pause_s = 0.0
        self._open_until = 0.0
        self._trouble.worked()
