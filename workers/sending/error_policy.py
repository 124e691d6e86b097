"""What follows from how a send ended, by the error classes of the Cloud API (contract, errors)."""

import re
from dataclasses import dataclass, replace
from typing import assert_never

from contracts.backend import SendError, SendOutcome
from contracts.cloud_api.errors import ErrorClass, ErrorRule
from sidecar.php.backoff import Backoff
from workers.sending.cloud_api import Accepted, Attempt, NotSent, OutcomeUnknown
from workers.sending.endpoint import ADVICE
from workers.sending.holds import OF_THE_CALLER, PAUSES, UNREACHABLE, Hold, Scope, hold_for
from workers.sending.send_queue import ReplyRow, Row

#: A fault of the service is tried again by PHP's queue after so long, doubling per retry.
SERVICE_PAUSES_S = Backoff(5.0, 600.0)
#: Meta's advice for 131056: 4 ** X seconds, X = 0, 1, 2 …
PAIR_BASE = 4
#: So long a reason is at most: PHP takes no longer one.
MAX_REASON = 500
#: PHP gives a row up after so many retries.
MAX_RETRIES = 5

_PAUSED = {
    ErrorClass.PAUSE_NUMBER: Scope.NUMBER,
    ErrorClass.PAUSE_ACCOUNT: Scope.ACCOUNT,
    ErrorClass.PAUSE_TOKEN: Scope.TOKEN,
}

#: Of a message to a user id it says that this person cannot be addressed so: nothing about others.
INVALID_VALUE = 131009


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do after an attempt.

    With the row: ``outcome`` None means that it was not sent and is kept for another attempt; with
    ``give_back`` it returns to PHP's queue without counting one.

    With what it has in common with other messages, which is the same where a status tells of the
    failure: ``hold`` is put on the number, account, app or campaign; ``hold_pair_s`` on the
    recipient, for so long; ``suppress``: the recipient gets nothing for a while. ``pause``: the
    number, account or access token is paused until a person resumes it; ``alone``: for this vendor,
    whoever else uses it. ``pause_reason``: the campaign is.
    ``counts``: it is if this comes many times in a row.
    """

    outcome: SendOutcome | None
    error: SendError | None = None
    due_in_s: float | None = None
    give_back: bool = False
    hold: Hold | None = None
    hold_pair_s: float = 0.0
    suppress: bool = False
    pause: Scope | None = None
    alone: bool = False
    pause_reason: str | None = None
    counts: bool = False

    @property
    def stops_campaign(self) -> bool:
        """Whether it is a defect that all messages of the campaign share."""
        return self.pause_reason is not None and self.pause is None


def decide(row: Row, attempt: Attempt) -> Decision:
    """Return what follows."""
    if isinstance(attempt, Accepted):
        return Decision(SendOutcome.ACCEPTED)
    if isinstance(attempt, OutcomeUnknown):
        return Decision(SendOutcome.UNKNOWN, SendError(code=None, message=attempt.reason))
    if isinstance(attempt, NotSent):
        return Decision(None, hold=Hold(UNREACHABLE, attempt.reason))
    decision = decide_error(attempt.rule, attempt.error, row.retries, by_user_id=not row.to)
    if decision.stops_campaign and isinstance(row, ReplyRow):
        return Decision(SendOutcome.FAILED, attempt.error)  # it is the only one of its kind
    return decision


def decide_error(
    rule: ErrorRule, error: SendError, retries: int = 0, *, by_user_id: bool = False
) -> Decision:
    """Return what follows from an error. A status tells it of a message that was accepted, and so
    is tried no more: what is said of the row counts only where the error is an answer.
    ``by_user_id``: the message went to a user id."""
    reason = reason_of(error)
    match rule.error_class:
        case _ if rule.code in PAUSES or rule.error_class is ErrorClass.RETRY_NUMBER:
            hold = hold_for(rule, reason)
            at_rest = hold.pause.scope is Scope.CAMPAIGN
            decision = Decision(None, error, hold=hold, give_back=at_rest)
        case ErrorClass.RETRY_PAIR:
            pause_s = float(PAIR_BASE ** min(retries, MAX_RETRIES))
            decision = replace(_requeue(retries, rule, error, pause_s), hold_pair_s=pause_s)
        case ErrorClass.RETRY_SERVICE:
            pause_s = SERVICE_PAUSES_S.pause(retries + 1)
            decision = _requeue(retries, rule, error, pause_s)
        case ErrorClass.DELAY | ErrorClass.FAIL:
            decision = Decision(SendOutcome.FAILED, error)
        case ErrorClass.SUPPRESS:
            decision = Decision(SendOutcome.FAILED, error, suppress=True)
        case ErrorClass.STOP_CAMPAIGN:
            decision = Decision(None, error, give_back=True, pause_reason=reason)
        case ErrorClass.PAUSE_NUMBER | ErrorClass.PAUSE_ACCOUNT | ErrorClass.PAUSE_TOKEN:
            decision = Decision(
                None,
                error,
                give_back=True,
                pause=_PAUSED[rule.error_class],
                alone=rule.code in OF_THE_CALLER,
                pause_reason=reason,
            )
        case never:
            assert_never(never)
    own = by_user_id and rule.code == INVALID_VALUE
    return replace(decision, counts=rule.stop_when_repeated and not own)


def _requeue(retries: int, rule: ErrorRule, error: SendError, pause_s: float) -> Decision:
    if retries >= min(rule.max_retries, MAX_RETRIES):
        return Decision(SendOutcome.FAILED, error)
    return Decision(SendOutcome.REQUEUE, error, due_in_s=pause_s)


def reason_of(error: SendError) -> str:
    """Return an error in words for people: what is said twice, by code, message and details, stands
    there once, with what can be done about it."""
    message, details = error.message.strip(), (error.details or "").strip()
    if error.code is not None:
        # Meta begins its messages with "(#131000)".
        message = re.sub(rf"^\(?#?{error.code}\b\)?[\s:.-]*", "", message)
    said = [message, details]
    if _plain(details) in _plain(message):
        said = [message]
    elif _plain(message) in _plain(details):
        said = [details]
    code = "" if error.code is None else f"{error.code} "
    reason = f"{code}{': '.join(said)}".strip()
    advice = ADVICE.get(error.code or 0)
    told = "" if advice is None else f"; {advice}"
    return reason[: MAX_REASON - len(told)] + told


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))
