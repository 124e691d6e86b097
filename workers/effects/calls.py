"""What effects' calls share: how they are counted, and when to retry."""

import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from contracts.effects import EffectKind
from sidecar.metrics import EFFECT_CALLS, EFFECT_SECONDS, METRICS

#: Statuses that mean "not now" (RFC 9110, 6585, 8470).
NOT_NOW = frozenset({408, 425, 429})
#: Statuses that a key or a URL which has changed would explain.
REFUSED = frozenset({401, 403, 404, 410})


#: Maximum keys that a :class:`Once` remembers.
_MAX_REMEMBERED = 10_000


class Once:
    """Whether something happens for the first time, for logging it once per vendor. A key may be
    forgotten, which costs another line in the log."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def first(self, key: str) -> bool:
        if key in self._known:
            return False
        if len(self._known) >= _MAX_REMEMBERED:
            self._known.clear()
        self._known.add(key)
        return True

    def known(self, key: str) -> bool:
        return key in self._known

    def over(self, key: str) -> bool:
        """Forget the key. Return whether it was known."""
        was = key in self._known
        self._known.discard(key)
        return was


def may_come_again(status: int) -> bool:
    """Return whether a retry of the call may succeed."""
    return status in NOT_NOW or status >= 500


def result_of(status: int) -> str:
    """Return the label under which an answer with this status is counted."""
    if 200 <= status < 300:
        return "ok"
    if status in NOT_NOW:
        return "not_now"
    if status >= 500:
        return "server_error"
    return "refused"


def count(kind: EffectKind, result: str, started_at: float | None = None) -> None:
    """Count a call, and its time if there was one (``time.perf_counter()`` at its beginning)."""
    METRICS.counter(EFFECT_CALLS, kind.value, result).add()
    if started_at is not None:
        METRICS.histogram(EFFECT_SECONDS, kind.value).observe(time.perf_counter() - started_at)


def retry_after_s(value: str | None, longest_s: float) -> float | None:
    """Return the pause in a ``Retry-After`` header, seconds or a date (RFC 9110, 10.2.3), but at
    most ``longest_s``. None if it is missing, invalid, or asks for no pause."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        after_s = float(text)
    else:
        try:
            at = parsedate_to_datetime(text)
        except ValueError:
            return None
        if at.tzinfo is None:
            at = at.replace(tzinfo=UTC)
        after_s = (at - datetime.now(UTC)).total_seconds()
    return min(after_s, longest_s) if after_s > 0 else None
