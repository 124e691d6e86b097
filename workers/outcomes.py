"""What follows from how a send ended, by the error classes of the Cloud API (contract, errors)."""

from dataclasses import dataclass, replace

from contracts.backend import ClaimedRow, SendError, SendOutcome
from contracts.cloud_api.errors import ErrorClass, ErrorRule
from workers.cloud_api import Accepted, Attempt, NotSent, OutcomeUnknown, Refused
from workers.holds import UNREACHABLE, Hold, hold_for

#: A fault of the service is tried again by PHP's queue after so long, doubling per retry.
SERVICE_FIRST_S = 5.0
SERVICE_LONGEST_S = 600.0
#: Meta's advice for 131056: 4 ** X seconds, X = 0, 1, 2 …
PAIR_BASE = 4
#: PHP gives a row up after so many retries.
MAX_RETRIES = 5


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do with a row after an attempt.

    ``outcome`` None: the row was not sent and is kept for another attempt; with ``give_back`` it
    returns to PHP's queue without counting one. ``hold`` is put on the number, account or app;
    ``hold_pair_s`` on the recipient, for so long. ``pause_reason``: the campaign is paused, until a
    person resumes it.
    """

    outcome: SendOutcome | None
    error: SendError | None = None
    due_in_s: float | None = None
    give_back: bool = False
    hold: Hold | None = None
    hold_pair_s: float = 0.0
    pause_reason: str | None = None


def decide(row: ClaimedRow, attempt: Attempt) -> Decision:
    """Return what follows."""
    if isinstance(attempt, Accepted):
        return Decision(SendOutcome.ACCEPTED)
    if isinstance(attempt, OutcomeUnknown):
        return Decision(SendOutcome.UNKNOWN, SendError(code=None, message=attempt.reason))
    if isinstance(attempt, NotSent):
        return Decision(None, hold=Hold(UNREACHABLE, attempt.reason))
    return _refused(row, attempt)


def _refused(row: ClaimedRow, attempt: Refused) -> Decision:
    rule, error = attempt.rule, attempt.error
    match rule.error_class:
        case ErrorClass.RETRY_NUMBER:
            return Decision(None, error, hold=hold_for(rule, _reason(error)))
        case ErrorClass.RETRY_PAIR:
            pause_s = float(PAIR_BASE ** min(row.retries, MAX_RETRIES))
            return replace(_requeue(row, rule, error, pause_s), hold_pair_s=pause_s)
        case ErrorClass.RETRY_SERVICE:
            pause_s = min(SERVICE_FIRST_S * 2.0**row.retries, SERVICE_LONGEST_S)
            return _requeue(row, rule, error, pause_s)
        case ErrorClass.DELAY | ErrorClass.FAIL | ErrorClass.SUPPRESS:
            return Decision(SendOutcome.FAILED, error)
        case ErrorClass.STOP_CAMPAIGN:
            return Decision(SendOutcome.FAILED, error, pause_reason=_reason(error))
        case ErrorClass.PAUSE_NUMBER | ErrorClass.PAUSE_ACCOUNT:
            return Decision(None, error, give_back=True, pause_reason=_reason(error))


def _requeue(row: ClaimedRow, rule: ErrorRule, error: SendError, pause_s: float) -> Decision:
    if row.retries >= min(rule.max_retries, MAX_RETRIES):
        return Decision(SendOutcome.FAILED, error)
    return Decision(SendOutcome.REQUEUE, error, due_in_s=pause_s)


def _reason(error: SendError) -> str:
    code = "" if error.code is None else f"{error.code} "
    details = f": {error.details}" if error.details else ""
    return f"{code}{error.message}{details}"[:500]
