"""Why rows have failed: what PHP has written beside them, in words, and what to do about it."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from contracts.backend import CampaignErrors, FailedRows, LeftOut, RetryMessagesAnswer
from contracts.cloud_api.errors import RULES, ErrorClass, rule_for

_AGAIN = "send them again: sidecar campaigns retry-failed"
_ANEW = "send them a new campaign"
_FIX_AT_META = f"settle it in WhatsApp Manager, then {_AGAIN}"

_ADVICE = {
    ErrorClass.RETRY_NUMBER: f"it passes by itself; {_AGAIN}",
    ErrorClass.RETRY_PAIR: f"these people had too many messages; later, {_AGAIN}",
    ErrorClass.RETRY_SERVICE: f"a fault on Meta's side; once it is over, {_AGAIN}",
    ErrorClass.DELAY: "Meta limits what these people get; a day later at the earliest, if at all",
    ErrorClass.FAIL: "it concerns these messages; to send them again does not help by itself",
    ErrorClass.SUPPRESS: "these people do not get messages from this business; leave it at that",
    ErrorClass.STOP_CAMPAIGN: f"correct the template or the campaign, then {_AGAIN}",
    ErrorClass.PAUSE_NUMBER: _FIX_AT_META,
    ErrorClass.PAUSE_ACCOUNT: _FIX_AT_META,
    ErrorClass.PAUSE_TOKEN: f"enter an access token in PHP that may send, then {_AGAIN}",
}
_SHARED = f"look at the template and its parameters, then {_AGAIN}"

#: PHP's words: what they mean, and what to do.
_WORDS = {
    "connection_error": ("no connection to the Cloud API", f"once it is there, {_AGAIN}"),
    "retries_exhausted_error": ("it was tried too often", f"once the cause is gone, {_AGAIN}"),
    "contact_opted_out_error": ("the contact has opted out", "nothing"),
    "contact_blocked_error": ("the contact is blocked", "nothing"),
    "contact_deleted_error": ("the contact was deleted", "nothing"),
    "campaign_expired_error": ("the campaign had expired", "nothing; send a new campaign"),
    "awaited_response_error": ("nobody knows whether it was sent", "see sidecar unknown list"),
    "unknown_given_up_error": ("its outcome was never known, and a person gave it up", "nothing"),
}

#: Why a failed row stays failed.
_LEFT: dict[str, str] = {
    LeftOut.MAYBE_SENT: "it may have been sent",
    LeftOut.GIVEN_UP: "nobody knows whether it was sent, and a person gave it up",
    LeftOut.EXPIRED: "it has expired",
    LeftOut.CONTACT: "its contact is not to get it; --code with the word sends it all the same",
}


@dataclass(frozen=True, slots=True)
class Explained:
    meaning: str
    do: str


def explain(status: str | None, message: str | None = None) -> Explained:
    """Return what an ``error_status`` means: a code of the Cloud API, or one of PHP's words.
    ``message`` is what stands in for a meaning that is not known."""
    if status in _WORDS:
        return Explained(*_WORDS[status])
    if status is None or not (status.isascii() and status.isdigit()):
        return Explained(
            message or status or "no reason is known", "look at one of the rows in PHP"
        )
    rule = RULES.get(int(status[:9])) or rule_for(status, 400)
    shared = rule.error_class is ErrorClass.FAIL and rule.stop_when_repeated
    return Explained(rule.meaning, _SHARED if shared else _ADVICE[rule.error_class])


@dataclass(frozen=True, slots=True)
class Failure:
    """``again``: these can be sent again; otherwise ``left`` says why not. ``later``: Meta had
    accepted them, and a status has told the failure."""

    status: str | None
    count: int
    message: str | None
    left: str | None = None
    later: bool = False

    @property
    def again(self) -> bool:
        return self.left is None and not self.later

    @property
    def told(self) -> Explained:
        told = explain(self.status, self.message)
        return replace(told, do=told.do.replace(_AGAIN, _ANEW)) if self.later else told

    @property
    def json(self) -> dict[str, Any]:
        told = self.told
        return {
            "error_status": self.status,
            "count": self.count,
            "message": self.message,
            "meaning": told.meaning,
            "do": told.do,
            "left": self.left,
        }


@dataclass(slots=True)
class Failures:
    """What PHP's pages add up to. ``complete``: no page is left."""

    retried: int = 0
    complete: bool = False
    _counts: Counter[tuple[str | None, str | None]] = field(default_factory=Counter)
    _messages: dict[tuple[str | None, str | None], str | None] = field(default_factory=dict)

    def add(self, page: RetryMessagesAnswer) -> None:
        self.retried += page.retried
        self.complete = page.next is None
        for rows in page.rows:
            self._add(rows, None)
        for left in page.left:
            self._add(left, left.reason)

    def _add(self, rows: FailedRows, left: str | None) -> None:
        key = (rows.error_status, left)
        self._counts[key] += rows.count
        self._messages.setdefault(key, rows.message)

    @property
    def all(self) -> list[Failure]:
        """The most frequent first."""
        return [
            Failure(status, count, self._messages[status, left], left)
            for (status, left), count in self._counts.most_common()
        ]


def failures_in(errors: Iterable[CampaignErrors]) -> list[Failure]:
    """Return what PHP says that a campaign's messages have failed of. Which of them can be sent
    again it does not say."""
    return [Failure(one.error_status, one.count, one.message, later=one.later) for one in errors]


def left_out(failures: Iterable[Failure]) -> list[tuple[str, int]]:
    """Return why rows stay failed, in words, and how many."""
    counts = Counter[str]()
    for one in failures:
        if one.left is not None:
            counts[_LEFT.get(one.left, one.left)] += one.count
    return counts.most_common()
