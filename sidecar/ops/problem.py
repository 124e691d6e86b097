"""What a problem is: its code, what is wrong, and what to do about it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

#: Vendors that are named in one problem.
MAX_NAMED = 5
#: A retry that has been due for longer is overdue.
OVERDUE_S = 30.0

#: The subject of those that are not named.
MORE = "more"
_ALL_NAMES = "sidecar status --json names them all."


class Code(StrEnum):
    """The kinds of problems. Each has a section of this name in ``docs/runbooks.md``."""

    REDIS_UNAVAILABLE = "redis-unavailable"
    REDIS_NOT_DURABLE = "redis-not-durable"
    REDIS_WRITE_FAILED = "redis-write-failed"
    REDIS_EVICTS = "redis-evicts"
    REDIS_FULL = "redis-full"
    REDIS_NEARLY_FULL = "redis-nearly-full"
    DRAMATIQ_UNAVAILABLE = "dramatiq-unavailable"
    PUBLIC_URL_UNAVAILABLE = "public-url-unavailable"
    SERVE_NOT_RUNNING = "serve-not-running"
    WORKER_NOT_RUNNING = "worker-not-running"
    PROCESS_SILENT = "process-silent"
    CLOCKS_DIFFER = "clocks-differ"
    PHP_BREAKER_OPEN = "php-breaker-open"
    VENDOR_ISOLATED = "vendor-isolated"
    PHP_UNAVAILABLE = "php-unavailable"
    PHP_IN_MAINTENANCE = "php-in-maintenance"
    CLOUD_API_DOWN = "cloud-api-down"
    CLOUD_API_SLOW = "cloud-api-slow"
    CAMPAIGNS_HELD = "campaigns-held"
    MESSAGE_WAITS = "message-waits"
    WEBHOOKS_LATE = "webhooks-late"
    RETRIES_OVERDUE = "retries-overdue"
    UPDATES_REFUSED = "updates-refused"
    CRASH_LOOP = "crash-loop"
    MESSAGES_IGNORED = "messages-ignored"
    EFFECTS_OVERDUE = "effects-overdue"
    EFFECTS_FAILING = "effects-failing"
    ACCOUNTING_UNBALANCED = "accounting-unbalanced"
    DEAD_LETTERS_NEARLY_FULL = "dead-letters-nearly-full"
    DEAD_LETTERS_DELETED = "dead-letters-deleted"
    DEAD_LETTERS = "dead-letters"
    UNKNOWN_MESSAGES = "unknown-messages"
    ROWS_FAILING = "rows-failing"
    ROWS_UNKNOWN = "rows-unknown"
    SENDING_PAUSED = "sending-paused"
    CAMPAIGN_PAUSED = "campaign-paused"
    NUMBER_HELD = "number-held"
    CAMPAIGN_WAITS = "campaign-waits"
    CAMPAIGN_STUCK = "campaign-stuck"
    NOTIFICATIONS_FAILING = "notifications-failing"


@dataclass(frozen=True, slots=True)
class Problem:
    """``do``: what a person may do about it. ``subject``: what of several it is about, by a name
    that stays the same while it lasts (a vendor, a campaign, a number, a lane); ``size``: how many,
    where it may grow; ``cause``: from which other problem it follows, and ends with it."""

    code: Code
    what: str
    do: str
    subject: str = ""
    size: int = 0
    cause: Code | None = None


def folded(problems: Sequence[Problem]) -> list[tuple[Problem, list[Problem]]]:
    """Return the problems that follow from no other, each with those that follow from it."""
    return [
        (one, [other for other in problems if other.cause is one.code])
        for one in problems
        if one.cause is None
    ]


def unnamed(code: Code, count: int, what: str) -> Iterator[Problem]:
    """Tell of those that :data:`MAX_NAMED` leaves out; ``what`` has a place for their number."""
    if (more := count - MAX_NAMED) > 0:
        yield Problem(code, what.format(f"{more:,}"), _ALL_NAMES, MORE)


def named(names: list[str]) -> str:
    """Return the first few of these names, and how many more there are."""
    shown = ", ".join(names[:MAX_NAMED])
    return f"{shown} and {len(names) - MAX_NAMED:,} more" if len(names) > MAX_NAMED else shown
