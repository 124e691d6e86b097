"""What is wrong, in the order in which a person should look at it, and what to do about each."""

from collections.abc import Iterator
from dataclasses import dataclass

from contracts.jobs import Lane, Queue
from sidecar.format import duration
from sidecar.ops.accounting import LEFT, Accounting
from sidecar.ops.report import Report
from sidecar.php.modes import held
from sidecar.redis.letter_bounds import Bounds
from sidecar.settings import Settings

#: A webhook that has waited for longer is late: customers' messages go on at once, and statuses
#: after ``status_wait_ms``.
LATE_S = {Lane.MESSAGES: 5.0, Lane.STATUSES: 30.0}
#: What should have been tried again so long ago is late.
OVERDUE_S = 30.0
#: Vendors that are named in one problem.
MAX_NAMED = 5
#: From this share of its bound on, it is said that dead letters will leave; and for so long, that
#: some have left.
NEARLY_FULL = 0.8
DROPPED_S = 86_400.0
#: A process that died longer ago is history.
RECENT_S = 600.0

_FULL = "What fills it is below: what waits, or dead letters. Raise maxmemory if there is room."
_WHAT = {Lane.MESSAGES: "customers' messages", Lane.STATUSES: "statuses"}


@dataclass(frozen=True, slots=True)
class Problem:
    """``do``: what a person may do about it."""

    what: str
    do: str


def redis_is_away(reason: str) -> Problem:
    return Problem(
        f"Redis cannot be asked: {reason}",
        "Start it, or look at the setting redis_url. Meanwhile webhooks are answered with 503, and "
        "nginx hands them to PHP; nothing is sent. Nothing that was acknowledged is lost.",
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
        *_books(report),
        *_dead_letters(report, settings),
        *_left_for_a_person(report),
    ]


def _redis(report: Report, settings: Settings) -> Iterator[Problem]:
    redis = report.overview.redis
    share = settings.inbox_memory_share
    if not redis.durable:
        yield Problem(
            "Redis does not write what it is given to disk: if it dies, webhooks that were "
            "acknowledged are lost",
            "Set appendonly yes and appendfsync always; see sidecar check.",
        )
    elif not redis.writes_ok:
        yield Problem(
            "Redis could not write to its append-only file",
            "Look at its log, and whether its disk is full.",
        )
    if redis.evicts:
        yield Problem(
            "Redis throws away what it likes when its memory is full, webhooks included",
            "Set maxmemory-policy noeviction.",
        )
    if redis.used_share >= share:
        yield Problem(
            f"Redis has used {redis.used_share:.0%} of its maxmemory: webhooks are answered with "
            "503, and go to PHP",
            _FULL,
        )
    elif redis.used_share >= 0.8 * share:
        yield Problem(
            f"Redis has used {redis.used_share:.0%} of its maxmemory; from {share:.0%} on webhooks "
            "are answered with 503",
            _FULL,
        )


def _books(report: Report) -> Iterator[Problem]:
    for books in report.unbalanced:
        yield Problem(
            f"The books of vendor {books.vendor_uid} do not balance: {_difference(books)}",
            "Nothing was done about it. Keep Redis's append-only file and the logs, and report it: "
            "this must not happen unless somebody has changed Redis by hand.",
        )


def _difference(books: Accounting) -> str:
    words = []
    for equation in books.equations:
        if equation.difference:
            where = "missing" if equation.difference > 0 else "from nowhere"
            words.append(f"{abs(equation.difference)} {equation.name.replace('_', ' ')} {where}")
    return ", ".join(words)


def _processes(report: Report) -> Iterator[Problem]:
    overview = report.overview
    alive = overview.alive
    if not any(process.role == "serve" for process in alive):
        yield Problem(
            "No sidecar serve runs: webhooks go to PHP",
            "Start it: systemctl start sidecar, or sidecar serve.",
        )
    if missing := _missing(report):
        yield Problem(
            f"No worker works on {', '.join(missing)}: what comes for them waits",
            f"Start one: systemctl start sidecar-worker, or sidecar worker {' '.join(missing)}.",
        )
    for process in overview.processes:
        if not process.alive and process.heard_ago_s < RECENT_S:
            yield Problem(
                f"The {process.role} {process.name} has said nothing for "
                f"{duration(process.heard_ago_s)}: it was killed, or hangs",
                "Whoever else runs takes up its work. Look at its log and at the kernel's (OOM).",
            )


def _missing(report: Report) -> list[str]:
    """Return the queues that nobody works on."""
    covered = {queue for process in report.overview.alive for queue in process.queues}
    return [queue.value for queue in Queue if queue.value not in covered]


def _php(report: Report) -> Iterator[Problem]:
    for lane, reason in report.overview.breakers.items():
        yield Problem(
            f"PHP does not take {_WHAT[Lane(lane)]}: {reason}",
            "Look at PHP's log; sidecar check tries the way to it. What waits is safe, and is "
            "handed over when PHP is well.",
        )
    isolated = report.overview.isolated
    for (lane, vendor_uid), reason in list(isolated.items())[:MAX_NAMED]:
        yield Problem(
            f"PHP does not take {_WHAT[Lane(lane)]} of vendor {vendor_uid}: {reason}",
            "Nobody else's wait for it. Look at PHP's log; what PHP refuses again and again goes "
            "to the dead letters.",
        )
    if len(isolated) > MAX_NAMED:
        yield Problem(
            f"PHP does not take updates of {len(isolated) - MAX_NAMED:,} more vendors",
            "sidecar status --json names them.",
        )
    if report.php.error is not None:
        yield Problem(
            f"PHP does not answer: {report.php.error}",
            "Does it run, and is backend_url right? sidecar check says more.",
        )


def _held(report: Report) -> Iterator[Problem]:
    vendors = [vendor.vendor_uid for vendor in held(report.php.vendors)]
    if vendors:
        more = f" and {len(vendors) - MAX_NAMED:,} more" if len(vendors) > MAX_NAMED else ""
        yield Problem(
            f"The campaigns of {len(vendors):,} vendors are held, and nobody sends them: "
            f"{', '.join(vendors[:MAX_NAMED])}{more}",
            "A change holds them for a moment. If none is under way, one was broken off, or waits "
            "for what the campaigns below have in flight: repeat it, or sidecar rollback VENDOR. "
            "Nothing is lost meanwhile.",
        )


def _lanes(report: Report) -> Iterator[Problem]:
    for lane, state in report.overview.lanes.items():
        deferred = report.deferred[lane]
        if state.oldest_s > LATE_S[lane]:
            drained = state.held_s is not None
            who = f"{state.holder or 'somebody'} drains them" if drained else "nobody drains them"
            yield Problem(
                f"{state.webhooks:,} webhooks with {_WHAT[lane]} wait, the oldest for "
                f"{duration(state.oldest_s)}; {who}",
                "There must be a worker for them: see above."
                if lane.value in _missing(report)
                else "If PHP is slow, give it more processes; if a worker's core is full, give the "
                f"lane a worker of its own: sidecar worker {lane}.",
            )
        if state.next_due_in_s is not None and state.next_due_in_s < -OVERDUE_S:
            unit = waiting_unit(lane)
            yield Problem(
                f"{state.due:,} of {state.deferred:,} {unit} that wait are due, the first "
                f"since {duration(-state.next_due_in_s)}",
                f"Is there a worker for {lane}, and does PHP answer? See below.",
            )
        for vendor_uid, reason in list(deferred.refused.items())[:MAX_NAMED]:
            yield Problem(
                f"PHP refuses {_WHAT[lane]} of vendor {vendor_uid}: {reason}",
                "They are tried again, and go to the dead letters in the end. PHP's log says more.",
            )
        if len(deferred.refused) > MAX_NAMED:
            yield Problem(
                f"So it does those of {len(deferred.refused) - MAX_NAMED:,} more vendors",
                "sidecar status --json names them.",
            )
        if deferred.deaths or deferred.one_by_one:
            yield Problem(
                f"A worker has died {deferred.deaths} times on {_WHAT[lane]}; "
                f"{deferred.one_by_one:,} of them are taken one by one to find the one that kills",
                "It ends among the dead letters. Look at the worker's log for what killed it.",
            )


def _effects(report: Report) -> Iterator[Problem]:
    for one in report.effects:
        if one.overdue_s > OVERDUE_S:
            yield Problem(
                f"{one.due:,} effects ({one.kind}) are due, the first since "
                f"{duration(one.overdue_s)}",
                "Is there a worker for effects, and does PHP answer? The log says what it does not "
                "like (effects_not_done, effects_failing).",
            )


def _dead_letters(report: Report, settings: Settings) -> Iterator[Problem]:
    bounds, now = Bounds.of(settings), report.overview.now
    full = [(one.letters.fullness(bounds, now), one) for one in report.overview.books]
    worst = sorted((f for f in full if f[0] >= NEARLY_FULL), key=lambda f: f[0], reverse=True)
    for share, one in worst[:MAX_NAMED]:
        letters = one.letters
        yield Problem(
            f"The dead letters of vendor {one.vendor_uid} have reached {share:.0%} of what is "
            f"kept: {letters.number:,} of {bounds.number:,}, {letters.size_bytes / 1e6:.1f} of "
            f"{bounds.size_bytes / 1e6:.1f} MB, the oldest {_age_s(one, now) / 86_400:.0f} of "
            f"{bounds.days} days old. Beyond that the oldest are deleted, effects before updates",
            f"sidecar dead-letters export FILE --vendor {one.vendor_uid} saves them; then replay "
            "or discard them, or raise dead_letters_limit, _bytes or _days.",
        )
    if len(worst) > MAX_NAMED:
        yield Problem(
            f"So have those of {len(worst) - MAX_NAMED:,} more vendors",
            "sidecar status --json names them all.",
        )
    dropped = [one for one in report.overview.books if _age_s(one, now, dropped=True) < DROPPED_S]
    for one in dropped[:MAX_NAMED]:
        yield Problem(
            f"Dead letters of vendor {one.vendor_uid} were deleted, the last "
            f"{duration(_age_s(one, now, dropped=True))} ago: {_dropped(one)}",
            "Updates among them never reached PHP. Replay or discard what is left, or raise "
            "dead_letters_limit, _bytes or _days.",
        )
    if len(dropped) > MAX_NAMED:
        yield Problem(
            f"So were those of {len(dropped) - MAX_NAMED:,} more vendors",
            "sidecar status --json names them all.",
        )


def _age_s(books: Accounting, now: int, *, dropped: bool = False) -> float:
    at = books.letters.dropped_at if dropped else books.letters.given_up_at
    return (now - at) / 1000 if at or dropped else 0.0


def _dropped(books: Accounting) -> str:
    words = []
    for name in ("updates", "effects"):
        parts = books.equation(f"dead_{name}").parts
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
            f"{overview.dead_letters:,} dead letters of {_named(overview.books)}: updates that PHP "
            f"would not take, or effects that could not be done; the oldest was given up "
            f"{duration(overview.oldest_dead_letter_s)} ago",
            "sidecar dead-letters list says why; when that is mended: sidecar dead-letters replay "
            "--all.",
        )
    if report.php.unknown_for_long:
        yield Problem(
            "There are messages of which nobody has known for a day whether they were sent",
            "sidecar unknown list shows them; send them again or give them up.",
        )
    for paused in report.paused:
        yield Problem(
            f"Nothing goes out: {paused}",
            f"Once fixed: sidecar numbers resume {paused.id or paused.vendor_uid}, or resume a "
            "campaign of the vendor.",
        )
    for campaign in report.campaigns:
        if campaign.state == "paused" and campaign.halt and campaign.halt.reason:
            yield Problem(
                f"Campaign {campaign.uid} is paused: {campaign.halt.reason}",
                "Resume it when that is dealt with.",
            )


def _named(books: list[Accounting]) -> str:
    """Return whose dead letters there are, those with most of them first."""
    mine = sorted((one for one in books if one.letters.number), key=lambda one: -one.letters.number)
    names = ", ".join(f"vendor {one.vendor_uid}" for one in mine[:MAX_NAMED])
    return f"{names} and {len(mine) - MAX_NAMED:,} more" if len(mine) > MAX_NAMED else names


def waiting_unit(lane: Lane) -> str:
    """Return what an order key of the lane stands for, in words."""
    return "contacts" if lane is Lane.MESSAGES else "messages"
