"""What is wrong with what is sent: the Cloud API, numbers, campaigns that wait, rows that fail."""

from collections import Counter
from collections.abc import Iterable, Iterator

from contracts.campaigns import CampaignState
from sidecar.clock import utc_text
from sidecar.format import duration, many
from sidecar.ops.problem import MAX_NAMED, Code, Problem, named, unnamed
from sidecar.ops.report import Report
from sidecar.ops.sends import RecentSends
from sidecar.sending.numbers import Held, NumberState, line_text, number_of
from sidecar.sending.pauses import Paused, own_name

#: What is held or waits for no longer than this is no problem.
MOMENT_S = 3.0


def cloud_api(report: Report) -> Iterator[Problem]:
    """Return a problem for the numbers that the Cloud API does not answer, and one for those that
    it answers slowly."""
    down = [number for number in report.numbers if number.outage]
    if down:
        yield Problem(
            Code.CLOUD_API_DOWN,
            _outage(report, down),
            "Nothing has to be done here: the sidecar tries one call at a time, and goes on by "
            "itself once it is answered. What was refused goes out then. If it lasts, check this "
            "machine's network and DNS (sidecar check), and Meta's status page.",
        )
    known = {number.number for number in down}
    slow: dict[str, float] = {}
    for process in report.overview.alive:
        for number, seconds in process.slow.items():
            slow[number] = max(seconds, slow.get(number, 0.0))
    if late := {number: seconds for number, seconds in slow.items() if number not in known}:
        worst = max(late.values())
        yield Problem(
            Code.CLOUD_API_SLOW,
            f"The Cloud API takes long to answer, {worst:.1f} s and more for "
            f"{_numbers(sorted(late))}",
            "Sends go on, more slowly. Check this machine's network and DNS (sidecar check), and "
            "Meta's status page.",
        )


def _outage(report: Report, down: list[NumberState]) -> str:
    outages = [number.outage for number in down if number.outage]
    since = min(outage.since for outage in outages)
    for_s = max(0.0, report.overview.now / 1000 - since)
    vendors = {number.vendor_uid or number.number for number in down}
    reasons = Counter(outage.reason for outage in outages).most_common()
    [(first, _), *others] = reasons
    more = f" (and {len(others)} other reasons)" if len(others) > 1 else ""
    why = f"{first}; {others[0][0]}" if others else first
    of = f"{len(vendors):,} vendors, " if len(vendors) > 1 else ""
    return (
        f"The Cloud API does not work for {of}{_numbers([one.line for one in down])}, since "
        f"{utc_text(int(since * 1000))} ({duration(for_s)}): {why}{more}"
    )


def _numbers(lines: list[str]) -> str:
    many = f"{len(lines):,} numbers: " if len(lines) > 1 else "number "
    return many + named(lines)


def held_numbers(report: Report) -> Iterator[Problem]:
    """Return a problem for each number, account and app from which nothing goes out for longer than
    a moment. A rate that is low is none."""
    now = report.overview.now / 1000
    found: dict[tuple[str, str], Problem] = {}
    for number in report.numbers:
        line = (
            number.number
            if number.vendor_uid is None
            else own_name(number.vendor_uid, number.number)
        )
        for scope, name, held in (
            ("number", line, number.held),
            ("account", number.account, number.account_held),
            ("app", number.app, number.app_held),
        ):
            if held is not None and held.until - now > MOMENT_S:
                found.setdefault((scope, name), _held(scope, name, held, now))
    yield from list(found.values())[:MAX_NAMED]
    yield from unnamed(Code.NUMBER_HELD, len(found), "Nothing is sent from {} more numbers")


def _held(scope: str, name: str, held: Held, now: float) -> Problem:
    id_, vendor_uid = number_of(name)
    return Problem(
        Code.NUMBER_HELD,
        f"Nothing is sent from {scope} {line_text(id_, vendor_uid)} until "
        f"{utc_text(int(held.until * 1000))}, for another {duration(held.until - now)}: "
        f"{held.reason}",
        "It goes on by itself then. If the reason is gone already: sidecar numbers lift "
        f"{id_ or vendor_uid}.",
        subject=f"{scope}:{name}",
    )


def paused(report: Report) -> Iterator[Problem]:
    """Return what is paused until a person acts, but for what a person has paused. Campaigns that
    are paused with their number, account or token are named with it."""
    left = {
        one.uid: one.halt.reason
        for one in report.campaigns
        if one.state == CampaignState.PAUSED
        and one.halt
        and one.halt.reason
        and not one.halt.by_person
    }
    for pause in report.paused:
        with_it = [uid for uid in left if _paused_with(report, uid, left[uid], pause)]
        left = {uid: reason for uid, reason in left.items() if uid not in with_it}
        number = f"sidecar numbers resume {pause.id or pause.vendor_uid}"
        what, fix = (text[0].upper() + text[1:] for text in (pause.what, pause.fix))
        campaigns = f"sidecar campaigns resume {' '.join(with_it[:MAX_NAMED])}, or {number}"
        also = f"; paused with it: campaign {named(with_it)}" if with_it else ""
        yield Problem(
            Code.SENDING_PAUSED,
            f"{what} sends nothing{pause.by}: {pause.reason.rstrip('. ')}{also}",
            f"{fix}. Then: {campaigns if with_it else number}.",
            subject=f"{pause.scope}:{pause.id or pause.vendor_uid}",
        )
    for uid, reason in left.items():
        yield Problem(
            Code.CAMPAIGN_PAUSED,
            f"Campaign {uid} is paused: {reason}",
            f"Once the reason is fixed: sidecar campaigns resume {uid}.",
            subject=uid,
        )


def _paused_with(report: Report, uid: str, reason: str, pause: Paused) -> bool:
    php = report.php.campaigns.get(uid)
    of_vendor = php is not None and php.vendor_uid == pause.vendor_uid
    return pause.reason in reason and (of_vendor or pause.shared)


def waiting_campaigns(report: Report, told: str) -> Iterator[Problem]:
    """Return a problem for each campaign that waits for longer than a moment, and for what is not
    ``told`` already."""
    waiting = [
        one
        for one in report.campaigns
        if one.state == CampaignState.RUNNING
        and one.waits
        and one.waits_s > MOMENT_S
        and one.waits not in told
    ]
    for one in waiting[:MAX_NAMED]:
        yield Problem(
            Code.CAMPAIGN_WAITS,
            f"Campaign {one.uid} (vendor {one.vendor_uid}) sends nothing for now, and looks again "
            f"in {duration(one.waits_s)}: {one.waits}",
            "It goes on by itself once it can. If the reason is gone already: sidecar campaigns "
            f"resume {one.uid}.",
            subject=one.uid,
        )
    yield from unnamed(Code.CAMPAIGN_WAITS, len(waiting), "{} more campaigns wait")


#: What keeps workers from campaigns, and is named by itself.
_REASONS_TO_BE_STUCK = {
    Code.WORKER_NOT_RUNNING,
    Code.DRAMATIQ_UNAVAILABLE,
    Code.PHP_UNAVAILABLE,
}


def stuck_campaigns(report: Report, others: Iterable[Problem]) -> Iterator[Problem]:
    """Return a problem for the campaigns that nobody sends, if no other one says why."""
    if any(problem.code in _REASONS_TO_BE_STUCK for problem in others):
        return
    stuck = {uid: s for process in report.overview.alive for uid, s in process.in_vain.items()}
    if stuck:
        yield Problem(
            Code.CAMPAIGN_STUCK,
            f"Nobody sends campaign {named(sorted(stuck))}, although workers have been woken for "
            f"{duration(max(stuck.values()))}",
            "Look at the workers' log. If they send other campaigns, there are too many at once: "
            "start another worker, or raise campaign_concurrency. If not, restart them.",
        )


def unasked_messages(report: Report) -> Iterator[Problem]:
    """Return a problem for the replies that PHP waits for, that nobody sends, and whose outcome it
    does not take."""
    for process in report.overview.alive:
        if messages := process.unasked.get("messages", 0):
            oldest_at = process.unasked.get("oldest_at", 0)
            since = f", the oldest since {utc_text(oldest_at)}" if oldest_at else ""
            yield Problem(
                Code.MESSAGES_UNASKED,
                f"{many(messages, 'message stands', 'messages stand')} pending in PHP's log"
                f"{since}, and nobody sends {'it' if messages == 1 else 'them'}",
                "Look at this worker's log for effect.refused, and at PHP's: "
                f"{process.name} asks for them and settles them.",
                size=messages,
            )


def bad_ends(report: Report, told: str) -> Iterator[Problem]:
    """Return a problem for each campaign, and each vendor's replies, of which rows have failed or
    turned unknown lately in numbers that matter. What PHP knows better counts: somebody may have
    seen to them since. A reason that is ``told`` already, of why the campaign is paused, is not
    repeated."""
    failing = [one for one in report.sends if one.failing and _still(report, one, "failed")]
    for one in failing[:MAX_NAMED]:
        yield _failing(report, one, told)
    yield from unnamed(Code.ROWS_FAILING, len(failing), "Rows of {} more campaigns fail")
    unclear = [one for one in report.sends if one.unclear and _still(report, one, "unknown")]
    for one in unclear[:MAX_NAMED]:
        yield _unknown(report, one)
    yield from unnamed(
        Code.ROWS_UNKNOWN, len(unclear), "The outcomes of rows of {} more campaigns are unknown"
    )


def _failing(report: Report, one: RecentSends, told: str) -> Problem:
    count = _still(report, one, "failed")
    is_told = any(reason in told for reason in one.reasons.get("failed", {}))
    is_paused = is_told and f"Campaign {one.campaign_uid} is paused" in told
    why = ", and so it is paused" if is_paused else f": {one.why('failed')}"
    do = (
        "Fix the reason. A customer sees no reply that failed; whoever wrote it can write it again."
        if one.campaign_uid is None
        else "Fix the reason. What was certainly not sent goes again by: sidecar campaigns "
        f"retry-failed {one.campaign_uid}."
    )
    return Problem(
        Code.ROWS_FAILING,
        f"{count:,} of the {one.tried:,} {one.what} that were tried within ten minutes have "
        f"failed{why}",
        do,
        subject=one.campaign_uid or one.vendor_uid,
        size=count,
    )


def _unknown(report: Report, one: RecentSends) -> Problem:
    count = _still(report, one, "unknown")
    which = (
        f"--vendor {one.vendor_uid}"
        if one.campaign_uid is None
        else f"--campaign {one.campaign_uid}"
    )
    return Problem(
        Code.ROWS_UNKNOWN,
        f"Nobody knows whether {count:,} of the {one.tried:,} {one.what} that were tried within "
        f"ten minutes were sent: {one.why('unknown')}",
        "They are not sent again by themselves. A status settles those that were sent, within "
        f"minutes. What stays: sidecar unknown list {which}, then resend or give-up.",
        subject=one.campaign_uid or one.vendor_uid,
        size=count,
    )


def _still(report: Report, one: RecentSends, outcome: str) -> int:
    """Return how many of these are still so, by PHP's own counts if it was asked."""
    count = one.failed if outcome == "failed" else one.unknown
    php = report.php.campaigns.get(one.campaign_uid or "")
    if php is None:
        return count
    return min(count, php.counts.error if outcome == "failed" else php.counts.unknown)
