"""How the sends of the last minutes went, of each campaign and of each vendor's replies.

A process keeps its own, and tells of them in its heartbeat; ``sidecar status`` adds up those of all
processes (``sidecar/ops/sends.py``). What a process knew is gone with it.
"""

import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from textwrap import shorten
from typing import Any

from contracts.backend import SendError, SendOutcome, SendResult
from workers.sending.error_policy import reason_of

#: How far back it goes, in parts of so many seconds.
WINDOW_S = 600.0
PART_S = 15.0
#: The rate is that of so many seconds.
RATE_S = 60.0
#: Campaigns and vendors that are remembered, and reasons of each in a part.
MAX_SOURCES = 100
MAX_REASONS = 10
#: Reasons that are told of each.
MAX_TOLD = 3
_MAX_TEXT = 160

_OTHERS = "other reasons"

#: A vendor, and a campaign of it; None for the vendor's replies.
Source = tuple[str, str | None]


@dataclass(slots=True)
class _Part:
    began_at: float
    outcomes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)


class Recent:
    """Use one in each process. ``clock`` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._parts: dict[Source, deque[_Part]] = {}

    def ended(self, result: SendResult) -> None:
        """Count how a row has ended. One that only went back untried is not counted."""
        if result.outcome is SendOutcome.REQUEUE and not result.attempted:
            return
        part = self._part((result.vendor_uid, result.campaign_uid))
        part.outcomes[result.outcome.value] += 1
        if result.outcome is not SendOutcome.ACCEPTED:
            reason = (result.outcome.value, _text(result.error))
            full = len(part.reasons) >= MAX_REASONS and reason not in part.reasons
            part.reasons[(result.outcome.value, _OTHERS) if full else reason] += 1

    def report(self) -> list[dict[str, Any]]:
        """Return it as JSON values (:class:`sidecar.ops.sends.RecentSends`)."""
        now = self._clock()
        self._forget(now)
        return [_told(source, parts, now) for source, parts in self._parts.items()]

    def _part(self, source: Source) -> _Part:
        now = self._clock()
        parts = self._parts.pop(source, None) or deque()
        self._parts[source] = parts  # the last one that was heard of comes last
        if len(self._parts) > MAX_SOURCES:
            del self._parts[next(iter(self._parts))]
        if not parts or now - parts[-1].began_at >= PART_S:
            parts.append(_Part(now))
            while parts[0].began_at < now - WINDOW_S:
                parts.popleft()
        return parts[-1]

    def _forget(self, now: float) -> None:
        for source, parts in list(self._parts.items()):
            while parts and parts[0].began_at < now - WINDOW_S:
                parts.popleft()
            if not parts:
                del self._parts[source]


def _told(source: Source, parts: deque[_Part], now: float) -> dict[str, Any]:
    outcomes: Counter[str] = Counter()
    reasons: Counter[tuple[str, str]] = Counter()
    for part in parts:
        outcomes.update(part.outcomes)
        reasons.update(part.reasons)
    lately = [part for part in parts if part.began_at > now - RATE_S]
    accepted = sum(part.outcomes[SendOutcome.ACCEPTED] for part in lately)
    seconds = max(1.0, now - lately[0].began_at) if lately else 1.0
    vendor_uid, campaign_uid = source
    return {
        "vendor_uid": vendor_uid,
        "campaign_uid": campaign_uid,
        **{name: outcomes[outcome] for outcome, name in _NAMES.items()},
        "per_s": round(accepted / seconds, 2),
        "reasons": [
            [_NAMES[SendOutcome(outcome)], text, n]
            for (outcome, text), n in reasons.most_common(MAX_TOLD)
        ],
    }


_NAMES = {
    SendOutcome.ACCEPTED: "accepted",
    SendOutcome.FAILED: "failed",
    SendOutcome.REQUEUE: "requeued",
    SendOutcome.UNKNOWN: "unknown",
}


def _text(error: SendError | None) -> str:
    text = "no reason is known" if error is None else reason_of(error)
    return shorten(text, _MAX_TEXT, placeholder="...")
