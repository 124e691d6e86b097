"""What is wrong, in the order in which a person should look at it, and what to do about each."""

from collections.abc import Iterator
from dataclasses import replace

from contracts.effects import EffectKind
from contracts.jobs import Lane
from sidecar.format import duration, many
from sidecar.ops.accounting import LEFT, Accounting
from sidecar.ops.message_problems import (
    WHAT,
    ignored_messages,
    lanes,
    waiting_messages,
)
from sidecar.ops.notification_problems import notifications
from sidecar.ops.problem import MAX_NAMED, OVERDUE_S, Code, Problem, named, unnamed
from sidecar.ops.process_problems import clocks, processes, ways_in
from sidecar.ops.replicas import replicas
from sidecar.ops.report import MAX_UNKNOWN, Report
from sidecar.ops.send_problems import (
    bad_ends,
    cloud_api,
    held_numbers,
    paused,
    stuck_campaigns,
    unasked_messages,
    waiting_campaigns,
)
from sidecar.php.client import IN_MAINTENANCE
from sidecar.php.modes import held
from sidecar.redis.letter_bounds import Bounds
from sidecar.sending.epoch import WentBack, Why
from sidecar.settings import Settings

#: Dead letters that fill this share of their bound are reported; deleted ones, for so long.
NEARLY_FULL = 0.8
DROPPED_S = 86_400.0
#: Endpoints of which the lanes' own problems tell.
_OF_LANES = {"process-webhooks", "process-webhook"}

#: What says that PHP is away, and what follows from it.
_PHP_AWAY = {Code.PHP_UNAVAILABLE, Code.PHP_IN_MAINTENANCE}
_OF_PHP_AWAY = {
    Code.PHP_BREAKER_OPEN,
    Code.VENDOR_ISOLATED,
    Code.MESSAGE_WAITS,
    Code.WEBHOOKS_LATE,
    Code.RETRIES_OVERDUE,
    Code.UPDATES_REFUSED,
}

_EFFECTS = {
    EffectKind.SEND_MESSAGE: "Replies",
    EffectKind.AI_REPLY: "Questions to the AI",
    EffectKind.FORWARD: "Forwards to the own webhook",
    EffectKind.BROADCAST: "Broadcasts (Pusher)",
    EffectKind.FETCH_MEDIA: "Downloads of media",
}
_MEND = {
    EffectKind.SEND_MESSAGE: "NUMBERS below says whether its number is slow or held.",
    EffectKind.AI_REPLY: "Check the vendor's AI service, and its key.",
    EffectKind.FORWARD: "Tell the vendor that the own webhook does not take what it is sent.",
    EffectKind.BROADCAST: "Check the broadcast server, and the application's settings for it.",
    EffectKind.FETCH_MEDIA: "Check this machine's network, media_dir and its disk.",
}

_FULL = "See below for what fills it: a backlog or dead letters. Raise maxmemory if there is room."


def redis_unavailable(reason: str) -> Problem:
    return Problem(
        Code.REDIS_UNAVAILABLE,
        f"Redis is unavailable: {reason}",
        "Start it, or check the setting redis_url. Until then the sidecar answers webhooks with "
        "503, nginx hands them to PHP, and nothing is sent. Nothing acknowledged is lost.",
    )


def problems(report: Report, settings: Settings) -> list[Problem]:
    """Return what is wrong; nothing if all is well. Each reason is said once."""
    redis = list(_redis(report, settings))
    sending = [
        *cloud_api(report),
        *_left_for_a_person(report),
        *paused(report),
        *held_numbers(report),
    ]
    told = " ".join(problem.what for problem in sending)
    first = [one for one in sending if one.code is Code.CLOUD_API_DOWN]
    parts = [
        *redis,
        *_epoch(report),
        *processes(report),
        *clocks(report),
        *ways_in(report, redis_full=any(one.code is Code.REDIS_FULL for one in redis)),
        *_php(report),
    ]
    found = [
        *parts,
        *first,
        *_held(report),
        *waiting_messages(report.waiting_messages),
        *lanes(report),
        *ignored_messages(report.ignored_messages),
        *_effects(report),
        *_unbalanced(report),
        *_dead_letters(report, settings),
        *bad_ends(report, told),
        *(one for one in sending if one not in first),
        *waiting_campaigns(report, told),
        *stuck_campaigns(report, parts),
        *unasked_messages(report),
        *notifications(report, settings),
    ]
    return _by_cause(found, report)


def _by_cause(found: list[Problem], report: Report) -> list[Problem]:
    """While PHP is away, have what follows from that stand right behind it."""
    if report.php.error is None:
        return found
    cause = next(one for one in found if one.code in _PHP_AWAY)
    following = [replace(one, cause=cause.code) for one in found if one.code in _OF_PHP_AWAY]
    others = [one for one in found if one.code not in _OF_PHP_AWAY]
    place = others.index(cause) + 1
    return [*others[:place], *following, *others[place:]]


def _epoch(report: Report) -> Iterator[Problem]:
    epoch, now = report.overview.epoch, report.overview.now
    if epoch.unchecked:
        yield Problem(
            Code.REDIS_UNCHECKED,
            "Redis was restarted or has failed over, and nothing is sent until a worker has "
            "compared it with PHP",
            "This takes some seconds. If it lasts, check that a worker runs and that PHP answers.",
        )
    if back := epoch.went_back_lately(now):
        ago_s = max(0, now - back.at) / 1000
        yield Problem(
            Code.REDIS_WENT_BACK,
            f"{_went_back(back)}, which was found {duration(ago_s)} ago: "
            f"{many(back.rows, 'row')} of campaigns and "
            f"{many(back.replies, 'reply', 'replies')} may have been sent since, and none of them "
            "is sent again",
            "Their statuses settle them; for rows that are left: sidecar unknown list. Webhooks, "
            "and pauses that PHP did not hear of, may be lost: look at sidecar campaigns list. "
            "This is named for a day.",
            subject=str(back.at),
        )


def _went_back(back: WentBack) -> str:
    if back.why is Why.FAILOVER:
        return "Redis has failed over to a replica that may lack the last moments"
    return f"Redis has gone back in time by about {duration(back.by_s)}"


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
    if (reason := report.reached.failover) is not None:
        yield Problem(
            Code.REDIS_NO_FAILOVER,
            f"If Redis's primary dies, no other takes its place: {reason}",
            "Start the Sentinels and replicas that do not run; sidecar check names them.",
        )
    yield from replicas(report.overview, settings)


def _unbalanced(report: Report) -> Iterator[Problem]:
    for accounting in report.unbalanced:
        yield Problem(
            Code.ACCOUNTING_UNBALANCED,
            f"The accounting of vendor {accounting.vendor_uid} does not balance: "
            f"{_difference(accounting)}",
            "The sidecar changes nothing about it. Keep Redis's append-only file and the logs, and "
            "report it: unless somebody edited Redis by hand, this is a bug.",
            subject=accounting.vendor_uid,
        )


def _difference(accounting: Accounting) -> str:
    words = []
    for check in accounting.checks:
        if check.difference:
            where = "missing" if check.difference > 0 else "too many"
            words.append(f"{abs(check.difference)} {check.name.replace('_', ' ')} {where}")
    return ", ".join(words)


def _php(report: Report) -> Iterator[Problem]:
    if (report.php.error or "").startswith(IN_MAINTENANCE):
        yield Problem(
            Code.PHP_IN_MAINTENANCE,
            "The application is in maintenance (php artisan down), so the sidecar waits for it",
            "When the work on it is done, run php artisan up: everything goes on by itself. "
            "Nothing is lost meanwhile: webhooks are kept, and campaigns claim nothing.",
        )
        return
    if report.php.error is not None:
        yield Problem(
            Code.PHP_UNAVAILABLE,
            f"PHP is unavailable: {report.php.error}",
            "Check that it runs and that backend_url is right; sidecar check says more.",
        )
    for lane, reason in report.overview.breakers.items():
        yield Problem(
            Code.PHP_BREAKER_OPEN,
            f"PHP does not accept {WHAT[Lane(lane)]}: {reason}",
            "Check PHP's log; sidecar check tries a call. What waits is safe, and is delivered "
            "once PHP works.",
            subject=lane,
        )
    isolated = report.overview.isolated
    for (lane, vendor_uid), reason in list(isolated.items())[:MAX_NAMED]:
        yield Problem(
            Code.VENDOR_ISOLATED,
            f"PHP does not accept {WHAT[Lane(lane)]} of vendor {vendor_uid}: {reason}",
            "Other vendors are not delayed. Check PHP's log; what PHP keeps refusing becomes a "
            "dead letter.",
            subject=f"{lane}:{vendor_uid}",
        )
    yield from unnamed(
        Code.VENDOR_ISOLATED, len(isolated), "PHP does not accept updates of {} more vendors"
    )
    if report.php.error is not None:
        return
    away = [process for process in report.overview.alive if process.php_away]
    if away:
        yield Problem(
            Code.PHP_UNAVAILABLE,
            f"PHP does not answer {named([f'the {one.role} {one.name}' for one in away])}, which "
            "leaves its work to the others",
            "Check the network between that machine and PHP, and backend_url and signing_keys "
            "there.",
            subject=away[0].host,
        )
    failures = {
        endpoint: reason
        for process in report.overview.alive
        if not process.php_away
        for endpoint, reason in process.php_failures.items()
        if endpoint not in _OF_LANES
    }
    for reason in list(dict.fromkeys(failures.values()))[:MAX_NAMED]:
        yield Problem(
            Code.PHP_UNAVAILABLE,
            f"PHP fails on every call of a kind: {reason}",
            "Check PHP's log. The calls are made again, and nothing is lost meanwhile.",
        )


def _held(report: Report) -> Iterator[Problem]:
    vendors = [vendor.vendor_uid for vendor in held(report.php.vendors)]
    if vendors:
        yield Problem(
            Code.CAMPAIGNS_HELD,
            f"The campaigns of {many(len(vendors), 'vendor')} are held, so nobody sends them: "
            f"{named(vendors)}",
            "A cutover or rollback holds them for a moment. If none is under way, one was "
            "interrupted, or waits for messages in flight (see CAMPAIGNS below): repeat it, or run "
            "sidecar rollback VENDOR. Nothing is lost meanwhile.",
        )


def _effects(report: Report) -> Iterator[Problem]:
    for one in report.effects:
        if one.overdue_s > OVERDUE_S:
            yield Problem(
                Code.EFFECTS_OVERDUE,
                many(one.due, f"effect ({one.kind}) is", f"effects ({one.kind}) are")
                + f" due, the first for {duration(one.overdue_s)}",
                "Check that a worker runs for effects and that PHP answers. EFFECTS below says "
                "why they are retried.",
                subject=one.kind.value,
            )
        failing = dict(one.failing)
        if one.kind is EffectKind.AI_REPLY:
            failing |= {v: r for p in report.overview.alive for v, r in p.ai_failures.items()}
        for vendor_uid, reason in list(failing.items())[:MAX_NAMED]:
            yield Problem(
                Code.EFFECTS_FAILING,
                f"{_EFFECTS[one.kind]} of vendor {vendor_uid} fail, and are tried again: {reason}",
                f"{_MEND[one.kind]} What fails too often becomes a dead letter.",
                subject=f"{one.kind.value}:{vendor_uid}",
            )
        yield from unnamed(
            Code.EFFECTS_FAILING,
            len(failing),
            f"{_EFFECTS[one.kind]} of {{}} more vendors fail",
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
            subject=one.vendor_uid,
        )
    yield from unnamed(
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
            subject=one.vendor_uid,
        )
    yield from unnamed(
        Code.DEAD_LETTERS_DELETED, len(dropped), "Dead letters of {} more vendors were deleted"
    )


def _age_s(accounting: Accounting, now: int, *, dropped: bool = False) -> float:
    letters = accounting.letters
    at = letters.dropped_at if dropped else letters.given_up_at
    return max(0, now - at) / 1000 if at or dropped else 0.0


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
            f"{many(overview.dead_letters, 'dead letter')} of {_owners(overview.accounting)}: "
            f"updates that PHP refused, or effects that failed; the oldest was given up "
            f"{duration(overview.oldest_dead_letter_s)} ago",
            "sidecar dead-letters list says why; once fixed: sidecar dead-letters replay --all. "
            "What could not be read never can: sidecar dead-letters discard --kind unreadable.",
            size=overview.dead_letters,
        )
    if count := report.php.unknown_for_long:
        yield Problem(
            Code.UNKNOWN_MESSAGES,
            f"The outcome of {many(count, 'message')}{' and more' if count >= MAX_UNKNOWN else ''} "
            "has been unknown for more than a day",
            "List them: sidecar unknown list. Then resend them or give them up.",
            size=count,
        )


def _owners(accounts: list[Accounting]) -> str:
    """Return whose dead letters there are, those with most of them first."""
    mine = sorted((a for a in accounts if a.letters.number), key=lambda one: -one.letters.number)
    return named([f"vendor {one.vendor_uid}" for one in mine])
