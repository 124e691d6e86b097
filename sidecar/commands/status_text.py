"""``sidecar status`` for a person who has just been woken: what is wrong stands first."""

from collections.abc import Iterator
from textwrap import shorten

from contracts.campaigns import CampaignState
from contracts.jobs import Lane
from sidecar.clock import utc_text
from sidecar.commands.modes_text import totals
from sidecar.format import duration, many
from sidecar.ops.accounting import FIRST, BalanceCheck
from sidecar.ops.backlog import CampaignWork
from sidecar.ops.message_problems import waiting_unit
from sidecar.ops.numbers import last_outage_text
from sidecar.ops.problem import Problem, folded
from sidecar.ops.report import Report, total
from sidecar.sending.numbers import NumberState

#: Campaigns and numbers that are shown; all of them are in the JSON.
MAX_SHOWN = 20


def render(report: Report, problems: list[Problem]) -> str:
    """Return the page."""
    at = utc_text(report.overview.now)
    lines = [f"whatsapp-sidecar at {at}", "", *render_problems(problems)]
    for title, body in (
        ("PROCESSES", _processes(report)),
        ("REDIS", _redis(report)),
        ("PHP", _php(report)),
        ("MODES, by vendors", _modes(report)),
        ("WEBHOOKS", _lanes(report)),
        ("EFFECTS", _effects(report)),
        ("CAMPAIGNS", _campaigns(report)),
        ("NUMBERS", _numbers(report)),
        ("ACCOUNTING, all vendors", _accounting(report)),
    ):
        lines += ["", title, *(f"  {line}" for line in body)]
    return "\n".join(lines)


def render_problems(problems: list[Problem]) -> list[str]:
    """Return the lines for what is wrong."""
    if not problems:
        return ["All is well."]
    found = folded(problems)
    lines = [f"{len(found)} PROBLEM{'S' if len(found) > 1 else ''}"]
    for number, (problem, following) in enumerate(found, 1):
        lines += [f"  {number}. {_problem(problem)}", f"     -> {problem.do}"]
        lines += [f"     so: {_problem(one)}" for one in following]
    return [*lines, "  docs/runbooks.md explains each code."]


def _problem(problem: Problem) -> str:
    return f"[{problem.code}] {problem.what.rstrip('. ')}."


def _processes(report: Report) -> Iterator[str]:
    overview = report.overview
    for process in overview.processes:
        queues = f" {' '.join(process.queues)}" if process.queues else ""
        age = duration(max(0, overview.now - process.since) / 1000)
        state = (
            f"runs for {age}, {process.memory_bytes / 1e6:.0f} MB"
            if process.alive
            else f"silent for {duration(process.heartbeat_age_s)}"
        )
        yield f"{process.role}{queues}  ({process.name})  {state}"
    if not overview.processes:
        yield "none"


def _redis(report: Report) -> Iterator[str]:
    redis = report.overview.redis
    limit = (
        f" of {redis.limit_bytes / 1e6:.0f} MB ({redis.used_share:.0%})"
        if redis.limit_bytes
        else ", no limit set"
    )
    disk = "every write is on disk" if redis.durable and redis.writes_ok else "NOT ON DISK"
    replicas = f"  replicas that keep up: {redis.replicas}" if redis.replicas else ""
    yield f"{redis.version}  {redis.used_bytes / 1e6:.1f} MB used{limit}  {disk}{replicas}"


def _php(report: Report) -> Iterator[str]:
    took = report.overview.backend_ok_s
    when = "no updates accepted yet" if took is None else f"accepted updates {duration(took)} ago"
    yield f"{'available' if report.php.error is None else 'UNAVAILABLE'}, {when}"


def _modes(report: Report) -> Iterator[str]:
    if report.php.error is not None:
        yield "unknown: PHP keeps them"
    else:
        yield from totals(report.php.vendors)


def _lanes(report: Report) -> Iterator[str]:
    for lane, state in report.overview.lanes.items():
        oldest = f", the oldest for {duration(state.oldest_s)}" if state.webhooks else ""
        drained = f"drained by {state.holder or 'somebody'}" if state.held_s is not None else "idle"
        yield f"{lane.value:<9} {state.webhooks:,} in the inbox{oldest}; {drained}"
        if state.deferred:
            yield from _deferred(report, lane)
    left = sum(
        part or 0
        for one in report.overview.accounting
        for name in ("dead_updates", "dead_effects")
        for why, part in one.check(name).parts.items()
        if why != "stored"
    )
    gone = f"; {left:,} have been deleted" if left else ""
    yield f"dead letters: {report.overview.dead_letters:,}{gone}"


def _deferred(report: Report, lane: Lane) -> Iterator[str]:
    state, deferred = report.overview.lanes[lane], report.deferred[lane]
    due = state.next_due_in_s or 0.0
    when = f"the next in {duration(due)}" if due > 0 else f"{state.due:,} due now"
    yield (
        f"          {state.deferred:,} {waiting_unit(lane)} wait for a retry, {when}; "
        f"the oldest of those read came {duration(deferred.oldest_s)} ago"
    )
    for reason, count in list(deferred.reasons.items())[:3]:
        yield f"            {count} x {reason}"


def _effects(report: Report) -> Iterator[str]:
    for one in report.effects:
        late = f", {one.due:,} due, the first for {duration(one.overdue_s)}" if one.due else ""
        vendors = f" of {many(one.vendors, 'vendor')}" if one.vendors else ""
        yield f"{one.kind:<12} {one.waiting:,} wait{vendors}{late}"
        for reason, count in list(one.reasons.items())[:3]:
            yield f"            {count} x {shorten(reason, 80, placeholder='...')}"


def _campaigns(report: Report) -> Iterator[str]:
    shown = [one for one in report.campaigns if one.state != CampaignState.CANCELLED]
    for one in shown[:MAX_SHOWN]:
        yield _campaign(one)
        if php := report.php.campaigns.get(one.uid):
            counts = php.counts
            yield (
                f"    PHP: {counts.queued:,} queued ({php.due:,} due), "
                f"{counts.processing:,} claimed, {counts.accepted:,} accepted, "
                f"{counts.unknown:,} unknown, {counts.error:,} failed, {counts.expired:,} expired"
            )
    if len(shown) > MAX_SHOWN:
        yield f"and {len(shown) - MAX_SHOWN} more; --json shows all"
    if not shown:
        yield "none"


def _campaign(one: CampaignWork) -> str:
    reason = one.halt.reason if one.halt else one.waits
    held = (
        f"by {one.holder or 'somebody'} for {duration(one.held_s)}"
        if one.held_s is not None
        else ""
    )
    doing = held or ("no worker has it" if one.state == CampaignState.RUNNING else "")
    rows = f"{one.claimed} claimed, {one.sending} sending, {one.known} to be reported"
    why = f" ({shorten(reason, 80, placeholder='...')})" if reason else ""
    return f"{one.uid}  {one.state}{why}  {doing}  {rows if one.in_flight else 'nothing in flight'}"


def _numbers(report: Report) -> Iterator[str]:
    for number in report.numbers[:MAX_SHOWN]:
        yield _number(number, report.overview.now / 1000)
    if len(report.numbers) > MAX_SHOWN:
        yield f"and {len(report.numbers) - MAX_SHOWN} more; --json shows all"
    if not report.numbers:
        yield "none has sent within 24 hours"


def _number(number: NumberState, now: float) -> str:
    rate = f"{'idle, at most ' if number.idle else ''}{round(number.effective_rate, 1):g}/s"
    if number.effective_rate != number.configured_rate:
        rate += f" of {round(number.configured_rate, 1):g}/s"
    untils = [h.until for h in (number.held, number.account_held, number.app_held) if h]
    held = f", held for {duration(max(0.0, max(untils) - now))}" if untils else ""
    reason = f" ({number.reason})" if number.reason else ""
    count = number.campaigns_wanting
    many = "1 campaign wants" if count == 1 else f"{count} campaigns want"
    wanting = f", {many} more" if count else ""
    return f"{number.line}  {rate}{held}{reason}{wanting}{last_outage_text(number)}"


def _accounting(report: Report) -> Iterator[str]:
    accounting = report.overview.accounting
    if not accounting:
        yield "nothing has come in yet"
        return
    for name, first in FIRST.items():
        yield _check(total(accounting, name), first.replace("_", " "))
    expired = sum(one.expired for one in accounting)
    skipped = sum(one.skipped for one in accounting)
    skips = f", {skipped:,} were skipped for their contact" if skipped else ""
    yield f"{'':<12} and {expired:,} rows expired before they were claimed{skips}"
    if any(check.difference is None for one in accounting for check in one.checks):
        yield "? is too much to measure at once; the rest balances as far as this can tell"
    yield "balanced" if report.balanced else "NOT BALANCED, see above"


def _check(check: BalanceCheck, first: str) -> str:
    parts = " + ".join(
        f"{'?' if value is None else f'{value:,}'} {name.replace('_', ' ')}"
        for name, value in check.parts.items()
    )
    return f"{check.name.replace('_', ' '):<12} {check.total:,} {first} = {parts}"
