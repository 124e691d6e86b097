"""What the calls of effects have in common: how they are counted, and when to come again."""

import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from contracts.effects import EffectKind
from sidecar.metrics import EFFECT_CALLS, EFFECT_SECONDS, METRICS

#: Statuses that say: not now (RFC 9110, 6585, 8470).
NOT_NOW = frozenset({408, 425, 429})


#: Most keys that a :class:`Once` remembers.
_MAX_REMEMBERED = 10_000


class Once:
    """Tells whether something is so for the first time, for what is to be logged once for each
    vendor. It may say so again, which costs a line in the log."""

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
        """It is not so any more. Return whether it was."""
        was = key in self._known
        self._known.discard(key)
        return was


def may_come_again(status: int) -> bool:
    """Whether the same call may have a better end later."""
    return status in NOT_NOW or status >= 500


def result_of(status: int) -> str:
    """Return the word under which an answer with this status is counted."""
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
    """Return what a ``Retry-After`` header asks for, seconds or a date (RFC 9110, 10.2.3), but at
    most ``longest_s``. None where it is missing, makes no sense, or asks for no pause."""
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
