"""What is wrong, in the order in which a person should look at it, and what to do about each."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from contracts.campaigns import CampaignState
from contracts.jobs import Lane, Queue
from sidecar.format import duration
from sidecar.ops.accounting import LEFT, Accounting
from sidecar.ops.report import Report
from sidecar.php.modes import held
from sidecar.redis.letter_bounds import Bounds
from sidecar.settings import Settings

#: A webhook that has waited longer is late: customers' messages are handed on at once, statuses
#: after ``status_wait_ms``.
LATE_S = {Lane.MESSAGES: 5.0, Lane.STATUSES: 30.0}
#: A retry that has been due for longer is overdue.
OVERDUE_S = 30.0
#: Vendors that are named in one problem.
MAX_NAMED = 5
#: Dead letters that fill this share of their bound are reported; deleted ones, for so long.
NEARLY_FULL = 0.8
DROPPED_S = 86_400.0
#: A process that died longer ago is history.
RECENT_S = 600.0

_FULL = "See below for what fills it: a backlog or dead letters. Raise maxmemory if there is room."
_ALL_NAMES = "sidecar status --json names them all."
_WHAT = {Lane.MESSAGES: "customers' messages", Lane.STATUSES: "statuses"}


class Code(StrEnum):
    """The kinds of problems. Each has a section of this name in ``docs/runbooks.md``."""

    REDIS_UNAVAILABLE = "redis-unavailable"
    REDIS_NOT_DURABLE = "redis-not-durable"
    REDIS_WRITE_FAILED = "redis-write-failed"
    REDIS_EVICTS = "redis-evicts"
    REDIS_FULL = "redis-full"
    REDIS_NEARLY_FULL = "redis-nearly-full"
    SERVE_NOT_RUNNING = "serve-not-running"
    WORKER_NOT_RUNNING = "worker-not-running"
    PROCESS_SILENT = "process-silent"
    PHP_BREAKER_OPEN = "php-breaker-open"
    VENDOR_ISOLATED = "vendor-isolated"
    PHP_UNAVAILABLE = "php-unavailable"
    CAMPAIGNS_HELD = "campaigns-held"
    WEBHOOKS_LATE = "webhooks-late"
    RETRIES_OVERDUE = "retries-overdue"
    UPDATES_REFUSED = "updates-refused"
    CRASH_LOOP = "crash-loop"
    EFFECTS_OVERDUE = "effects-overdue"
    ACCOUNTING_UNBALANCED = "accounting-unbalanced"
    DEAD_LETTERS_NEARLY_FULL = "dead-letters-nearly-full"
    DEAD_LETTERS_DELETED = "dead-letters-deleted"
    DEAD_LETTERS = "dead-letters"
    UNKNOWN_MESSAGES = "unknown-messages"
    SENDING_PAUSED = "sending-paused"
    CAMPAIGN_PAUSED = "campaign-paused"


@dataclass(frozen=True, slots=True)
class Problem:
    """``do``: what a person may do about it."""

    code: Code
    what: str
    do: str


def redis_unavailable(reason: str) -> Problem:
    return Problem(
        Code.REDIS_UNAVAILABLE,
        f"Redis is unavailable: {reason}",
        "Start it, or check the setting redis_url. Until then the sidecar answers webhooks with "
        "503, nginx hands them to PHP, and nothing is sent. Nothing acknowledged is lost.",
    )


def problems(report: Report, settings: Settings) -> list[Problem]:
    """Return what is wrong; nothing if all is well."""
    return [
        *_redis(report, settings),
        *_processes(report),
        *_php(report),
        *_held(report),
        *_lanes(report),
        *_effects(report),
        *_unbalanced(report),
        *_dead_letters(report, settings),
        *_left_for_a_person(report),
    ]


def _redis(report: Report, settings: Settings) -> Iterator[Problem]:
    redis = report.overview.redis
    share = settings.inbox_memory_share
    if not redis.durable:
        yield Problem(
            Code.REDIS_NOT_DURABLE,
            "Redis does not write to disk: if it dies, acknowledged webhooks are lost",
            "Set appendonly yes and appendfsync always; see sidecar check.",
        )
    elif not redis.writes_ok:
        yield Problem(
            Code.REDIS_WRITE_FAILED,
            "Redis failed to write its append-only file",
            "Check its log, and whether its disk is full.",
        )
    if redis.evicts:
        yield Problem(
            Code.REDIS_EVICTS,
            "Redis evicts keys when its memory is full, webhooks included",
            "Set maxmemory-policy noeviction.",
        )
    if redis.used_share >= share:
        yield Problem(
            Code.REDIS_FULL,
            f"Redis uses {redis.used_share:.0%} of its maxmemory: webhooks are answered with 503 "
            "and go to PHP",
            _FULL,
        )
    elif redis.used_share >= 0.8 * share:
        yield Problem(
            Code.REDIS_NEARLY_FULL,
            f"Redis uses {redis.used_share:.0%} of its maxmemory; above {share:.0%} webhooks are "
            "answered with 503",
            _FULL,
        )


def _unbalanced(report: Report) -> Iterator[Problem]:
    for accounting in report.unbalanced:
        yield Problem(
            Code.ACCOUNTING_UNBALANCED,
            f"The accounting of vendor {accounting.vendor_uid} does not balance: "
            f"{_difference(accounting)}",
            "The sidecar changes nothing about it. Keep Redis's append-only file and the logs, and "
            "report it: unless somebody edited Redis by hand, this is a bug.",
        )


def _difference(accounting: Accounting) -> str:
    words = []
    for check in accounting.checks:
        if check.difference:
            where = "missing" if check.difference > 0 else "too many"
            words.append(f"{abs(check.difference)} {check.name.replace('_', ' ')} {where}")
    return ", ".join(words)


def _processes(report: Report) -> Iterator[Problem]:
    overview = report.overview
    alive = overview.alive
    if not any(process.role == "serve" for process in alive):
        yield Problem(
            Code.SERVE_NOT_RUNNING,
            "sidecar serve is not running: webhooks go to PHP",
            "Start it: systemctl start sidecar, or sidecar serve.",
        )
    if missing := _missing(report):
        yield Problem(
            Code.WORKER_NOT_RUNNING,
            f"No worker is running for {', '.join(missing)}: their work waits",
            f"Start one: systemctl start sidecar-worker, or sidecar worker {' '.join(missing)}.",
        )
    for process in overview.processes:
        if not process.alive and process.heartbeat_age_s < RECENT_S:
            yield Problem(
                Code.PROCESS_SILENT,
                f"The {process.role} {process.name} has been silent for "
                f"{duration(process.heartbeat_age_s)}: it was killed, or hangs",
                "The others take over its work. Check its log, and the kernel's for the OOM "
                "killer.",
            )


def _missing(report: Report) -> list[str]:
    """Return the queues without a worker."""
    covered = {queue for process in report.overview.alive for queue in process.queues}
    return [queue.value for queue in Queue if queue.value not in covered]


def _php(report: Report) -> Iterator[Problem]:
    for lane, reason in report.overview.breakers.items():
        yield Problem(
            Code.PHP_BREAKER_OPEN,
            f"PHP does not accept {_WHAT[Lane(lane)]}: {reason}",
            "Check PHP's log; sidecar check tries a call. What waits is safe, and is delivered "
            "once PHP works.",
        )
    isolated = report.overview.isolated
    for (lane, vendor_uid), reason in list(isolated.items())[:MAX_NAMED]:
        yield Problem(
            Code.VENDOR_ISOLATED,
            f"PHP does not accept {_WHAT[Lane(lane)]} of vendor {vendor_uid}: {reason}",
            "Other vendors are not delayed. Check PHP's log; what PHP keeps refusing becomes a "
            "dead letter.",
        )
    yield from _unnamed(
        Code.VENDOR_ISOLATED, len(isolated), "PHP does not accept updates of {} more vendors"
    )
    if report.php.error is not None:
        yield Problem(
            Code.PHP_UNAVAILABLE,
            f"PHP is unavailable: {report.php.error}",
            "Check that it runs and that backend_url is right; sidecar check says more.",
        )


def _held(report: Report) -> Iterator[Problem]:
    vendors = [vendor.vendor_uid for vendor in held(report.php.vendors)]
    if vendors:
        yield Problem(
            Code.CAMPAIGNS_HELD,
            f"The campaigns of {len(vendors):,} vendors are held, so nobody sends them: "
            f"{_named(vendors)}",
            "A cutover or rollback holds them for a moment. If none is under way, one was "
            "interrupted, or waits for messages in flight (see CAMPAIGNS below): repeat it, or run "
            "sidecar rollback VENDOR. Nothing is lost meanwhile.",
        )


def _lanes(report: Report) -> Iterator[Problem]:
    for lane, state in report.overview.lanes.items():
        deferred = report.deferred[lane]
        if state.oldest_s > LATE_S[lane]:
            drained = state.held_s is not None
            who = f"drained by {state.holder or 'somebody'}" if drained else "nobody drains them"
            yield Problem(
                Code.WEBHOOKS_LATE,
                f"{state.webhooks:,} webhooks with {_WHAT[lane]} wait, the oldest for "
                f"{duration(state.oldest_s)}; {who}",
                "Start a worker for them: see above."
                if lane.value in _missing(report)
                else "If PHP is slow, give it more processes; if a worker's core is busy, give the "
                f"lane a worker of its own: sidecar worker {lane}.",
            )
        if state.next_due_in_s is not None and state.next_due_in_s < -OVERDUE_S:
            yield Problem(
                Code.RETRIES_OVERDUE,
                f"{state.due:,} of {state.deferred:,} waiting {waiting_unit(lane)} are due, the "
                f"first for {duration(-state.next_due_in_s)}",
                f"Check that a worker runs for {lane} and that PHP answers.",
            )
        for vendor_uid, reason in list(deferred.refused.items())[:MAX_NAMED]:
            yield Problem(
                Code.UPDATES_REFUSED,
                f"PHP refuses {_WHAT[lane]} of vendor {vendor_uid}: {reason}",
                "They are retried, and become dead letters in the end. Check PHP's log.",
            )
        yield from _unnamed(
            Code.UPDATES_REFUSED,
            len(deferred.refused),
            f"PHP refuses {_WHAT[lane]} of {{}} more vendors",
        )
        if deferred.deaths or deferred.one_by_one:
            yield Problem(
                Code.CRASH_LOOP,
                f"A worker died {deferred.deaths} times on {_WHAT[lane]}; "
                f"{deferred.one_by_one:,} of them are processed one by one to find the cause",
                "It becomes a dead letter. Check the worker's log for what killed it.",
            )


def _effects(report: Report) -> Iterator[Problem]:
    for one in report.effects:
        if one.overdue_s > OVERDUE_S:
            yield Problem(
                Code.EFFECTS_OVERDUE,
                f"{one.due:,} effects ({one.kind}) are due, the first for "
                f"{duration(one.overdue_s)}",
                "Check that a worker runs for effects and that PHP answers. EFFECTS below says "
                "why they are retried.",
            )


def _dead_letters(report: Report, settings: Settings) -> Iterator[Problem]:
    bounds, now = Bounds.of(settings), report.overview.now
    full = [(one.letters.fullness(bounds, now), one) for one in report.overview.accounting]
    worst = sorted((f for f in full if f[0] >= NEARLY_FULL), key=lambda f: f[0], reverse=True)
    for share, one in worst[:MAX_NAMED]:
        letters = one.letters
        yield Problem(
            Code.DEAD_LETTERS_NEARLY_FULL,
            f"The dead letters of vendor {one.vendor_uid} are {share:.0%} full: "
            f"{letters.number:,} of {bounds.number:,}, {letters.size_bytes / 1e6:.1f} of "
            f"{bounds.size_bytes / 1e6:.1f} MB, the oldest {_age_s(one, now) / 86_400:.0f} of "
            f"{bounds.days} days old. Above 100% the oldest are deleted, effects before updates",
            f"Save them: sidecar dead-letters export FILE --vendor {one.vendor_uid}. Then replay "
            "or discard them, or raise dead_letters_limit, dead_letters_limit_bytes or "
            "dead_letters_limit_days.",
        )
    yield from _unnamed(
        Code.DEAD_LETTERS_NEARLY_FULL,
        len(worst),
        "The dead letters of {} more vendors are nearly full",
    )
    dropped = [
        one for one in report.overview.accounting if _age_s(one, now, dropped=True) < DROPPED_S
    ]
    for one in dropped[:MAX_NAMED]:
        yield Problem(
            Code.DEAD_LETTERS_DELETED,
            f"Dead letters of vendor {one.vendor_uid} were deleted, the last "
            f"{duration(_age_s(one, now, dropped=True))} ago: {_dropped(one)}",
            "Updates among them never reached PHP. Replay or discard what is left, or raise "
            "dead_letters_limit, dead_letters_limit_bytes or dead_letters_limit_days.",
        )
    yield from _unnamed(
        Code.DEAD_LETTERS_DELETED, len(dropped), "Dead letters of {} more vendors were deleted"
    )


def _unnamed(code: Code, count: int, what: str) -> Iterator[Problem]:
    """Tell of those that :data:`MAX_NAMED` leaves out; ``what`` has a place for their number."""
    if (more := count - MAX_NAMED) > 0:
        yield Problem(code, what.format(f"{more:,}"), _ALL_NAMES)


def _age_s(accounting: Accounting, now: int, *, dropped: bool = False) -> float:
    letters = accounting.letters
    at = letters.dropped_at if dropped else letters.given_up_at
    return (now - at) / 1000 if at or dropped else 0.0


def _dropped(accounting: Accounting) -> str:
    words = []
    for name in ("updates", "effects"):
        parts = accounting.check(f"dead_{name}").parts
        words += [
            f"{parts[why]:,} {name} {why.replace('_', ' ')}"
            for why in LEFT
            if why != "discarded" and parts[why]
        ]
    return ", ".join(words)


def _left_for_a_person(report: Report) -> Iterator[Problem]:
    overview = report.overview
    if overview.dead_letters:
        yield Problem(
            Code.DEAD_LETTERS,
            f"{overview.dead_letters:,} dead letters of {_owners(overview.accounting)}: updates "
            f"that PHP refused, or effects that failed; the oldest was given up "
            f"{duration(overview.oldest_dead_letter_s)} ago",
            "sidecar dead-letters list says why; once fixed: sidecar dead-letters replay --all.",
        )
    if report.php.unknown_for_long:
        yield Problem(
            Code.UNKNOWN_MESSAGES,
            "The outcome of some messages has been unknown for more than a day",
            "List them: sidecar unknown list. Then resend them or give them up.",
        )
    for paused in report.paused:
        yield Problem(
            Code.SENDING_PAUSED,
            f"Nothing is sent: {paused}",
            f"Once fixed: sidecar numbers resume {paused.id or paused.vendor_uid}, or resume a "
            "campaign of the vendor.",
        )
    for campaign in report.campaigns:
        if campaign.state == CampaignState.PAUSED and campaign.halt and campaign.halt.reason:
            yield Problem(
                Code.CAMPAIGN_PAUSED,
                f"Campaign {campaign.uid} is paused: {campaign.halt.reason}",
                "Resume it once the reason is fixed.",
            )


def _owners(accounts: list[Accounting]) -> str:
    """Return whose dead letters there are, those with most of them first."""
    mine = sorted((a for a in accounts if a.letters.number), key=lambda one: -one.letters.number)
    return _named([f"vendor {one.vendor_uid}" for one in mine])


def _named(names: list[str]) -> str:
    shown = ", ".join(names[:MAX_NAMED])
    return f"{shown} and {len(names) - MAX_NAMED:,} more" if len(names) > MAX_NAMED else shown


def waiting_unit(lane: Lane) -> str:
    """Return what an order key of the lane stands for, in words."""
    return "contacts" if lane is Lane.MESSAGES else "messages"
