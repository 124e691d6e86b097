"""Campaigns, in words."""

from collections.abc import Iterator
from textwrap import shorten

import orjson

from contracts.backend import DueCampaign
from contracts.campaigns import CampaignState
from sidecar.clock import utc_text
from sidecar.format import duration
from sidecar.ops.campaigns import Campaign
from sidecar.ops.dry_run import NO_NUMBER, SUPPRESSED, UNSENDABLE, DryRun
from sidecar.ops.failures import Failure, failures_in, left_out
from sidecar.ops.retrying import left_elsewhere
from sidecar.sending.numbers import NumberState

#: Why messages are skipped, in words.
SKIPPED = {
    "campaign_expired_error": "expired",
    "contact_opted_out_error": "the contact has opted out",
    "contact_blocked_error": "the contact is blocked",
    "contact_deleted_error": "the contact has been deleted",
    "campaign_data_invalid_error": "no recipient, or no template",
    NO_NUMBER: "the vendor has no number to send from",
    SUPPRESSED: "suppressed: an earlier message was refused, and this one would be too",
    UNSENDABLE: "no recipient",
}

#: The columns of a list.
NAMES = ("CAMPAIGN", "VENDOR", "STATE", "SENT", "FAILED", "UNKNOWN", "PER S", "TITLE", "WHY")


def row(one: Campaign) -> tuple[str, ...]:
    """Return a campaign's row below :data:`NAMES`; the last says why it does not send."""
    counts = one.php.counts if one.php else None
    return (
        one.uid,
        one.vendor_uid or "-",
        one.standing,
        f"{one.sent:,} of {one.total:,}" if counts else "-",
        f"{counts.error + counts.failed:,}" if counts else "-",
        f"{counts.unknown:,}" if counts else "-",
        f"{one.per_s:.1f}",
        (one.php.title if one.php else None) or "",
        shorten(one.reason, 200, placeholder="...") if one.reason else "",
    )


def described(one: Campaign, numbers: list[tuple[NumberState, str]]) -> Iterator[str]:
    """Return everything about a campaign. ``numbers``: those of its vendor, and how they stand."""
    title = f'  "{one.php.title}"' if one.php and one.php.title else ""
    yield f"campaign  {one.uid}{title}"
    aside = "" if one.php is None or one.php.on_sidecar else ", whose campaigns PHP's cron sends"
    yield f"vendor    {one.vendor_uid or '-'}{aside}"
    yield f"state     {one.standing}"
    if one.reason:
        yield f"{'waits' if one.state == CampaignState.RUNNING else 'why':<10}{one.reason}"
    yield from _rows(one)
    yield from _worker(one)
    for state, words in numbers:
        yield f"number    {state.line}: {words}"


def planned(one: Campaign, found: DryRun) -> Iterator[str]:
    """Return what a campaign would send."""
    title = f'  "{one.php.title}"' if one.php and one.php.title else ""
    yield f"campaign  {one.uid}{title}, {one.state}"
    if one.php is not None and not one.php.on_sidecar:
        yield f"vendor    {one.vendor_uid}, whose campaigns PHP's cron sends"
    only = "" if found.complete else " of the first ones; --most N looks at more"
    yield f"messages  {found.messages:,} to be sent{only}"
    for share in found.shares:
        took = duration(share.seconds)
        yield f"number    {share.number}: {share.messages:,} at {share.per_s:g} per second, {took}"
    if found.messages:
        yield f"takes     {duration(found.seconds)}, where nothing slows or holds the numbers"
    if found.last_due_at is not None:
        last = utc_text(found.last_due_at)
        yield f"later     {found.later:,} are not due yet, the last at {last}"
    for why, count in found.skipped.most_common():
        yield f"skipped   {count:,}: {SKIPPED.get(why, why)}"
    for request in found.requests:
        body = orjson.dumps(request.body).decode()
        yield f"request   POST /{request.number}/{request.path} {body}"


def _rows(one: Campaign) -> Iterator[str]:
    if one.php is None:
        return
    counts = one.php.counts
    yield (
        f"messages  {one.total:,}: {one.sent:,} sent, {_waiting(one)}, {counts.error:,} failed, "
        + (f"{counts.expired:,} expired, {counts.unknown:,} of unknown outcome")
    )
    yield (
        f"of sent   {counts.accepted:,} without a status, {counts.sent:,} sent, "
        f"{counts.delivered:,} delivered, {counts.read:,} read, {counts.failed:,} failed later"
    )
    if counts.unknown:
        yield f"          sidecar unknown list --campaign {one.uid} shows what is unknown"


def _waiting(one: Campaign) -> str:
    assert one.php is not None
    counts, due = one.php.counts, f"{one.php.due:,} due"
    if one.php.next_due_at is not None:
        due += f", more at {utc_text(one.php.next_due_at)}"
    return f"{counts.queued:,} queued ({due}), {counts.processing:,} claimed"


def _worker(one: Campaign) -> Iterator[str]:
    work = one.work
    if work is not None:
        who = "nobody has it"
        if work.held_s is not None:
            who = f"{work.holder or 'somebody'} has it, for {duration(work.held_s)}"
        rows = f"{work.claimed} claimed, {work.sending} sending, {work.known} to be reported to PHP"
        yield f"worker    {who}; in its ledger {rows}"
    recent = one.recent
    if recent is not None:
        speed = "" if one.finished else f"{one.per_s:.1f} per second; "
        yield (
            f"{'sent' if one.finished else 'speed':<10}{speed}in the last ten minutes "
            f"{recent.accepted:,} accepted, {recent.failed:,} failed, {recent.requeued:,} again "
            f"later, {recent.unknown:,} unknown"
        )
        if one.left_s is not None:
            yield f"left      {duration(one.left_s)} at this speed"
        for outcome in ("failed", "unknown", "requeued"):
            if why := recent.why(outcome):
                yield f"          {outcome}: {shorten(why, 200, placeholder='...')}"


def failed(failures: list[Failure], *, complete: bool) -> Iterator[str]:
    """Return what rows have failed of, the most frequent first, and what to do about each."""
    for one in failures:
        told = one.told
        code = f"{one.status} " if one.status else ""
        again = " (stays failed)" if one.left else ""
        yield f"{one.count:>10,} x {code}{told.meaning}{again}"
        yield f"             -> {told.do}"
    if not complete:
        yield f"{'':>10}   and more: these are the first of many"


def failed_later(one: Campaign) -> Iterator[str]:
    """Return what messages have failed of that Meta had accepted, as statuses told."""
    errors = (one.php.errors if one.php else None) or []
    if later := failures_in(error for error in errors if error.later):
        yield "failed after Meta had accepted them:"
    yield from failed(later, complete=True)


def stays(failures: list[Failure], campaign: DueCampaign) -> Iterator[str]:
    """Return how many are not sent again, and why."""
    for why, count in (*left_out(failures), *left_elsewhere(campaign.counts)):
        yield f"{count:>10,} left out: {why}"
    if campaign.counts.unknown:
        yield f"{'':>10} see sidecar unknown list --campaign {campaign.campaign_uid}"
