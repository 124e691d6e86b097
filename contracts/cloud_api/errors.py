"""What each error code of the Cloud API asks for.

Meta's error page has no HTTP column, and old copies of it disagree; so the class depends on the
code alone, and on the HTTP status only where there is no code. One code has two meanings, which
only the subcode tells apart: :data:`NUMBER_GONE`. The class is our judgement of Meta's advice. The
same failure may arrive as an answer, as a status, or as both.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

_DIGITS = re.compile(r"[0-9]{1,9}")


class ErrorClass(StrEnum):
    """What to do about an error."""

    #: Try this message again later. The number is slowed down, or another pause takes its place:
    #: ``PAUSES`` in ``workers/sending/holds.py`` says what each code holds.
    RETRY_NUMBER = "retry_number"
    #: Try this message again later; only this recipient is held.
    RETRY_PAIR = "retry_pair"
    #: A fault on Meta's side that passes: try again with backoff, a bounded number of times.
    RETRY_SERVICE = "retry_service"
    #: Not before 24 hours are over: failed as far as this campaign goes.
    DELAY = "delay"
    #: This message only.
    FAIL = "fail"
    #: This message, and the recipient should not be tried again.
    SUPPRESS = "suppress"
    #: A defect that all messages of the campaign share.
    STOP_CAMPAIGN = "stop_campaign"
    #: Nothing more from this number until a person has acted.
    PAUSE_NUMBER = "pause_number"
    #: Nothing more from any number of the account, whoever sends, until a person has acted; or for
    #: a while, for a code in ``PAUSES`` (131064).
    PAUSE_ACCOUNT = "pause_account"
    #: Nothing more with this access token until a person has acted. It says nothing of the account:
    #: whoever names an account that is not theirs is refused like this.
    PAUSE_TOKEN = "pause_token"


@dataclass(frozen=True, slots=True)
class ErrorRule:
    """``max_retries`` bounds the tries after the first one, for the classes that retry.

    ``stop_when_repeated``: the code fails one message, but a run of them stops the campaign.
    ``http_status`` is what old copies of Meta's table gave; the simulator answers with it.
    """

    code: int
    meaning: str
    error_class: ErrorClass
    http_status: int
    max_retries: int = 5
    stop_when_repeated: bool = False


_C = ErrorClass

_RULES = (
    ErrorRule(0, "access token invalid", _C.PAUSE_TOKEN, 401),
    ErrorRule(1, "bad request or server error", _C.RETRY_SERVICE, 400, 2, True),
    ErrorRule(2, "service down or overloaded", _C.RETRY_SERVICE, 503),
    ErrorRule(3, "capability or permission missing", _C.PAUSE_TOKEN, 403),
    ErrorRule(4, "call limit of the app reached", _C.RETRY_NUMBER, 429),
    ErrorRule(10, "permission missing or removed", _C.PAUSE_TOKEN, 403),
    ErrorRule(33, "business number deleted or wrong id", _C.PAUSE_NUMBER, 400),
    ErrorRule(100, "invalid parameter", _C.FAIL, 400, stop_when_repeated=True),
    ErrorRule(190, "access token expired", _C.PAUSE_TOKEN, 401),
    ErrorRule(368, "account restricted for a policy violation", _C.PAUSE_ACCOUNT, 403),
    ErrorRule(80007, "call limit of the business account reached", _C.RETRY_NUMBER, 429),
    ErrorRule(130403, "the user has blocked this business", _C.SUPPRESS, 403),
    ErrorRule(130429, "throughput of the number reached", _C.RETRY_NUMBER, 429),
    ErrorRule(130472, "user is in a marketing experiment", _C.FAIL, 400),
    ErrorRule(130497, "not allowed to message users in that country", _C.FAIL, 403),
    ErrorRule(131000, "unknown error on Meta's side", _C.RETRY_SERVICE, 500, 3),
    ErrorRule(131005, "access denied", _C.PAUSE_TOKEN, 403),
    ErrorRule(131008, "parameter missing", _C.FAIL, 400, stop_when_repeated=True),
    ErrorRule(131009, "parameter value invalid", _C.FAIL, 400, stop_when_repeated=True),
    ErrorRule(131016, "service unavailable", _C.RETRY_SERVICE, 503),
    ErrorRule(131021, "recipient is the sender", _C.FAIL, 400),
    ErrorRule(131026, "message undeliverable", _C.SUPPRESS, 400),
    ErrorRule(131030, "recipient not in the test number's list", _C.FAIL, 400),
    ErrorRule(131031, "account locked", _C.PAUSE_ACCOUNT, 403),
    ErrorRule(131037, "display name not approved", _C.PAUSE_NUMBER, 400),
    ErrorRule(131042, "payment problem", _C.PAUSE_ACCOUNT, 402),
    ErrorRule(131045, "number's registration or certificate", _C.PAUSE_NUMBER, 500),
    ErrorRule(131047, "24 hour window closed", _C.FAIL, 400),
    ErrorRule(131048, "spam limit of the number reached", _C.PAUSE_NUMBER, 429),
    ErrorRule(131049, "not delivered, to keep the ecosystem healthy", _C.DELAY, 429),
    ErrorRule(131050, "user has opted out of marketing", _C.SUPPRESS, 400),
    ErrorRule(131051, "message type not supported", _C.FAIL, 400, stop_when_repeated=True),
    ErrorRule(131052, "media download failed", _C.FAIL, 400),
    ErrorRule(131053, "media upload failed", _C.FAIL, 400, stop_when_repeated=True),
    ErrorRule(131055, "wrong endpoint for this template", _C.STOP_CAMPAIGN, 400),
    ErrorRule(131056, "too many messages to this recipient", _C.RETRY_PAIR, 429, 5),
    ErrorRule(131057, "account in maintenance mode", _C.RETRY_NUMBER, 503),
    ErrorRule(131062, "user id not supported for this message", _C.FAIL, 400),
    ErrorRule(131063, "marketing disabled on the Cloud API", _C.STOP_CAMPAIGN, 400),
    ErrorRule(131064, "messaging limit cut", _C.PAUSE_ACCOUNT, 429),
    ErrorRule(132000, "number of parameters does not match", _C.FAIL, 400, stop_when_repeated=True),
    ErrorRule(132001, "template does not exist in this language", _C.STOP_CAMPAIGN, 404),
    ErrorRule(132005, "text too long after substitution", _C.FAIL, 400),
    ErrorRule(132007, "content policy violated", _C.STOP_CAMPAIGN, 400),
    ErrorRule(132008, "parameter not of its format", _C.FAIL, 400, stop_when_repeated=True),
    ErrorRule(132012, "parameter format does not match", _C.FAIL, 400, stop_when_repeated=True),
    ErrorRule(132015, "template paused", _C.STOP_CAMPAIGN, 400),
    ErrorRule(132016, "template disabled for good", _C.STOP_CAMPAIGN, 400),
    ErrorRule(132018, "template parameters invalid", _C.FAIL, 400, stop_when_repeated=True),
    ErrorRule(132068, "flow blocked", _C.STOP_CAMPAIGN, 400),
    ErrorRule(132069, "flow throttled", _C.RETRY_NUMBER, 429),
    ErrorRule(133000, "deregistration incomplete", _C.PAUSE_NUMBER, 400),
    ErrorRule(133004, "server temporarily unavailable", _C.RETRY_SERVICE, 503),
    ErrorRule(133005, "two-step PIN does not match", _C.PAUSE_NUMBER, 400),
    ErrorRule(133006, "number must be verified again", _C.PAUSE_NUMBER, 400),
    ErrorRule(133008, "too many PIN guesses", _C.PAUSE_NUMBER, 400),
    ErrorRule(133009, "PIN guessed too fast", _C.PAUSE_NUMBER, 400),
    ErrorRule(133010, "number not registered", _C.PAUSE_NUMBER, 400),
    ErrorRule(133015, "deregistered too recently", _C.PAUSE_NUMBER, 400),
    ErrorRule(133016, "too many registrations", _C.PAUSE_NUMBER, 400),
    ErrorRule(134011, "payment terms not accepted", _C.PAUSE_ACCOUNT, 400),
    ErrorRule(134100, "only marketing templates here", _C.STOP_CAMPAIGN, 400),
    ErrorRule(134101, "template still syncing", _C.RETRY_NUMBER, 400),
    ErrorRule(134102, "template unavailable", _C.STOP_CAMPAIGN, 500),
    ErrorRule(135000, "generic user error", _C.RETRY_SERVICE, 400, 1, True),
    ErrorRule(137000, "identity key does not match", _C.FAIL, 400),
    ErrorRule(2494100, "account in maintenance mode", _C.RETRY_NUMBER, 503),
)

#: Every documented code. Codes 200 to 299 (permissions) are a range: see :func:`rule_for`.
RULES = {rule.code: rule for rule in _RULES}

#: Code and subcode of "the object does not exist, or permissions are missing": the call went to a
#: number that is gone, or that is not the access token's. It is the same as code 33.
NUMBER_GONE = (100, 33)

#: What an error counts as that a status tells, which carries no HTTP status: the message's own.
_OF_A_STATUS = 400


def rule_for(code: object, http_status: int | None, subcode: object = None) -> ErrorRule:
    """Return what to do about an error answer, or about an error that a status webhook tells
    (``http_status`` None).

    ``code`` and ``subcode`` are ``error.code`` and ``error.error_subcode`` of the body as they
    came, or None where there was none (an HTML page of a gateway, say); what is not an integer, in
    digits at least, counts as none. A code that is new to us fails its message if the status is 4xx
    and counts as a fault of the service if it is not. An answer without a code is none of the
    Cloud API's, 4xx or not: something on the way gave it, for whatever is sent.
    """
    number = _as_number(code)
    if (number, _as_number(subcode)) == NUMBER_GONE:
        return RULES[33]
    if number is not None and number in RULES:
        return RULES[number]
    if number is not None and 200 <= number <= 299:
        return ErrorRule(number, "permission missing or removed", _C.PAUSE_TOKEN, 403)
    status = _OF_A_STATUS if http_status is None else http_status
    meaning = _meaning(number, http_status)
    told_by_api = number is not None or http_status is None
    if told_by_api and 400 <= status < 500 and status not in (408, 429):
        return ErrorRule(number or 0, meaning, _C.FAIL, status, stop_when_repeated=True)
    error_class = _C.RETRY_NUMBER if status == 429 else _C.RETRY_SERVICE
    return ErrorRule(number or 0, meaning, error_class, status)


def _meaning(number: int | None, http_status: int | None) -> str:
    if number is not None:
        return "an error code that is new to us"
    return f"HTTP {http_status} without a code" if http_status else "an error without a code"


def _as_number(code: object) -> int | None:
    if isinstance(code, str) and _DIGITS.fullmatch(code):
        return int(code)
    return code if isinstance(code, int) and not isinstance(code, bool) else None
