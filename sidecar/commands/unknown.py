"""``sidecar unknown``: what a person does about messages whose outcome is unknown."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

import click
import orjson

from contracts.backend import ResolveAction, UnknownMessage
from sidecar.clock import utc_text
from sidecar.commands.context import Context, confirm, whoami, with_context
from sidecar.commands.durations import Duration, DurationType
from sidecar.commands.tables import TableWriter, progress
from sidecar.format import messages
from sidecar.sending.settling import (
    Found,
    Settled,
    find,
    outcome,
    question,
    settle,
    steps,
)
from sidecar.sending.unknown_messages import Choice, UnknownMessages

NONE = "no message of unknown outcome was found"
#: Campaigns that a question names.
_MAX_NAMED = 10


@click.group()
def unknown() -> None:
    """Resend or give up messages of unknown outcome.

    The Cloud API was called, and its answer never came: the message may or may not have been
    delivered. The sidecar never resends it by itself. If it was delivered, its status settles it,
    usually within seconds, and within a day if the phone is rarely on.
    """


def choosing(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say which messages are meant. The command gets a ``choice``."""

    @wraps(command)
    def chosen(
        *args: Any,
        vendor: str | None,
        campaign: str | None,
        older_than: Duration | None,
        **options: Any,
    ) -> None:
        choice = Choice(vendor, campaign, older_than.seconds if older_than else 0)
        command(*args, choice=choice, **options)

    for option in (
        click.option(
            "--older-than",
            metavar="DURATION",
            type=DurationType(),
            help="Only those unknown for so long: 24h, 90m, 2d. Default: all.",
        ),
        click.option("--campaign", metavar="UID", help="Only this campaign's."),
        click.option("--vendor", metavar="UID", help="Only this vendor's."),
    ):
        chosen = option(chosen)
    return chosen


@unknown.command(name="list")
@choosing
@click.option("--json", "as_json", is_flag=True, help="One line of JSON for each.")
@with_context("unknown")
async def list_unknown(context: Context, choice: Choice, as_json: bool) -> None:
    """Print one line for each, the oldest first."""
    table = TableWriter("UNKNOWN SINCE", "MESSAGE", "VENDOR", "CAMPAIGN", "TO", "WHY")
    async for page in UnknownMessages(context.backend()).pages(choice):
        if as_json:
            for message in page:
                click.echo(message.model_dump_json())
        else:
            table.write(map(_row, page))
    if not as_json:
        click.echo(_summary(table.count))


def _row(message: UnknownMessage) -> tuple[str, ...]:
    return (
        utc_text(message.since),
        message.uid,
        message.vendor_uid,
        message.campaign_uid or "-",
        message.to or message.recipient or "-",
        message.reason or "-",
    )


def _summary(count: int) -> str:
    if not count:
        return NONE
    return (
        f"\n{messages(count)} with an unknown outcome: delivered or not, nobody knows.\n"
        "To resend some, which may deliver them twice:     sidecar unknown resend MESSAGE...\n"
        "To leave them as they are, and count as failed:   sidecar unknown give-up MESSAGE...\n"
        "Instead of MESSAGE...: --campaign UID, --vendor UID or --all, and --older-than DURATION."
    )


def deciding(command: Callable[..., None]) -> Callable[..., None]:
    """Add what both decisions take: which messages, and how to ask and answer."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="One JSON object: what was done."),
        click.option("--dry-run", is_flag=True, help="Only count them."),
        click.option("--yes", is_flag=True, help="Do not ask."),
        click.option("--all", "everything", is_flag=True, help="All of them."),
        choosing,
        click.argument("uids", metavar="[MESSAGE]...", nargs=-1),
    ):
        command = option(command)
    return command


@unknown.command()
@deciding
@with_context("unknown")
async def resend(context: Context, /, **wanted: Any) -> None:
    """Send messages again.

    Those named, or those that the options select. Whoever received one already receives it twice,
    so the number is shown first, and has to be confirmed. May be interrupted and repeated: what is
    done is not done again.
    """
    await _decide(context, ResolveAction.RESEND, _Wanted(**wanted))


@unknown.command(name="give-up")
@deciding
@click.option("--reason", help="Kept with the messages, for whoever asks later.")
@with_context("unknown")
async def give_up(context: Context, /, reason: str | None, **wanted: Any) -> None:
    """Count messages as failed, and never resend them.

    Those named, or those that the options select, whose number is shown first and has to be
    confirmed. A status that still comes is applied. May be interrupted and repeated.
    """
    if reason is not None and len(reason) > 500:
        raise click.BadParameter("at most 500 characters", param_hint="--reason")
    await _decide(context, ResolveAction.GIVE_UP, _Wanted(**wanted, reason=reason))


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What the command line says. ``uids`` are named, or else ``choice`` says which."""

    uids: tuple[str, ...]
    choice: Choice
    everything: bool
    yes: bool
    dry_run: bool
    as_json: bool
    reason: str | None = None

    def __post_init__(self) -> None:
        by_options = self.everything or self.choice.vendor_uid or self.choice.campaign_uid
        if bool(self.uids) == bool(by_options) or (self.uids and self.choice.older_than_s):
            raise click.UsageError(
                "name the messages (sidecar unknown list), or say which: --campaign UID, "
                "--vendor UID or --all; --older-than may go with these"
            )


async def _decide(context: Context, action: ResolveAction, wanted: _Wanted) -> None:
    messages, settled = UnknownMessages(context.backend()), Settled()
    uids = await _confirmed(messages, action, wanted)
    if not uids:
        return
    which = ", ".join(wanted.uids) or wanted.choice.text
    complete = False
    try:
        async with context.audit.doing(whoami(), f"unknown.{action}", which) as doing:
            try:
                await _settle(messages, uids, action, wanted, settled)
                complete = True
            finally:
                doing.details |= {"done": settled.count, "skipped": settled.skipped.total()}
    finally:  # also when PHP fails half way, or somebody has had enough
        _tell(action, wanted, settled, complete=complete)
    if not settled.count and wanted.uids:
        raise click.exceptions.Exit(1)


async def _settle(
    messages: UnknownMessages,
    uids: list[str],
    action: ResolveAction,
    wanted: _Wanted,
    settled: Settled,
) -> None:
    with progress(f"{action} messages", len(uids)) as done:
        for some in steps(uids):
            for uid, why in await settle(messages, some, action, wanted.reason, settled):
                if wanted.uids:
                    click.echo(f"{uid}: skipped: {why}", err=True)
            done(len(some))


async def _confirmed(
    messages: UnknownMessages, action: ResolveAction, wanted: _Wanted
) -> list[str]:
    """Return the messages; none where there is nothing to do. Ends the command where the person
    does not want it. What becomes unknown after the question is not among them."""
    uids = list(dict.fromkeys(wanted.uids))
    if not uids:
        found = await find(messages, wanted.choice)
        _tell_campaigns(found)
        uids = found.uids
    if not uids or wanted.dry_run:
        _tell_count(len(uids), wanted)
        return []
    if not wanted.yes and (action is ResolveAction.RESEND or not wanted.uids):
        confirm(question(action, len(uids)))
    return uids


def _tell_campaigns(found: Found) -> None:
    """Say how many each campaign has."""
    counts = found.campaigns
    for (vendor_uid, campaign_uid), count in counts.most_common(_MAX_NAMED):
        click.echo(f"{count:>10,} of vendor {vendor_uid}, campaign {campaign_uid}", err=True)
    if len(counts) > _MAX_NAMED:
        left = counts.total() - sum(count for _, count in counts.most_common(_MAX_NAMED))
        click.echo(f"{left:>10,} of {len(counts) - _MAX_NAMED:,} other campaigns", err=True)


def _tell_count(total: int, wanted: _Wanted) -> None:
    if wanted.as_json:
        click.echo(orjson.dumps({"found": total, "done": 0, "complete": not total}).decode())
    elif not total:
        click.echo(f"{NONE}; nothing to do")
    else:
        click.echo(f"{messages(total)} with an unknown outcome; nothing was done")


def _tell(action: ResolveAction, wanted: _Wanted, settled: Settled, *, complete: bool) -> None:
    if wanted.as_json:
        found = {"done": settled.count, "skipped": dict(settled.skipped), "complete": complete}
        click.echo(orjson.dumps({"action": action, **found}).decode())
        return
    if not complete and not settled.count:
        return  # the error says why
    click.echo(outcome(action, settled.count))
    if not wanted.uids:
        for why, count in settled.skipped.most_common():
            click.echo(f"{messages(count)} skipped: {why}", err=True)
    if not complete:
        click.echo("This is not all: repeat the command to go on.", err=True)
