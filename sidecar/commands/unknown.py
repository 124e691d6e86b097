"""``sidecar unknown``: what a person does about messages whose outcome is unknown."""

import click

from contracts.backend import ResolveAction, UnknownMessage
from sidecar.clock import utc_text
from sidecar.commands.context import Context, with_context
from sidecar.commands.durations import Duration, DurationType
from sidecar.sending.unknown_messages import UnknownMessages

_REASONS = {
    "row_unknown": "no such message; if it existed, a status has settled it since",
    "row_not_in_unknown": "its outcome is known by now",
}


@click.group()
def unknown() -> None:
    """Resend or give up messages of unknown outcome.

    The Cloud API was called, and its answer never came: the message may or may not have been
    delivered. The sidecar never resends it by itself. If it was delivered, its status settles it,
    usually within seconds, and within a day if the phone is rarely on.
    """


@unknown.command(name="list")
@click.option("--vendor", metavar="UID", help="Only this vendor's.")
@click.option("--campaign", metavar="UID", help="Only this campaign's.")
@click.option(
    "--older-than",
    metavar="DURATION",
    type=DurationType(),
    default="24h",
    show_default=True,
    help="Only those unknown for so long: 24h, 90m, 2d.",
)
@click.option("--json", "as_json", is_flag=True, help="One line of JSON for each.")
@with_context("unknown")
async def list_unknown(
    context: Context,
    vendor: str | None,
    campaign: str | None,
    older_than: Duration,
    as_json: bool,
) -> None:
    """Print one line for each, the oldest first."""
    count = 0
    async for message in UnknownMessages(context.backend()).all(
        older_than_s=older_than.seconds, vendor_uid=vendor, campaign_uid=campaign
    ):
        if as_json:
            click.echo(message.model_dump_json())
            continue
        if not count:
            click.echo(_line("UNKNOWN SINCE", "MESSAGE", "VENDOR", "CAMPAIGN", "TO", "WHY"))
        click.echo(_described(message))
        count += 1
    if not as_json:
        click.echo(_summary(count, older_than.text))


def _described(message: UnknownMessage) -> str:
    campaign = message.campaign_uid or "-"
    return _line(
        utc_text(message.since),
        message.uid,
        message.vendor_uid,
        campaign,
        message.to or message.recipient or "-",
        message.reason or "-",
    )


def _line(since: str, uid: str, vendor: str, campaign: str, to: str, why: str) -> str:
    return f"{since:<20}  {uid:<36}  {vendor:<36}  {campaign:<36}  {to:<15}  {why}"


def _summary(count: int, older_than: str) -> str:
    if not count:
        return f"no message has an outcome unknown for more than {older_than}"
    return (
        f"\n{_messages(count)} with an outcome unknown for more than {older_than}:"
        " delivered or not, nobody knows.\n"
        "To resend one, which may deliver it twice:      sidecar unknown resend MESSAGE...\n"
        "To leave it as it is, and count it as failed:   sidecar unknown give-up MESSAGE..."
    )


@unknown.command()
@click.argument("uids", metavar="MESSAGE...", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_context("unknown")
async def resend(context: Context, uids: tuple[str, ...], yes: bool) -> None:
    """Send messages again. Whoever received one already receives it twice."""
    if not yes:
        click.confirm(
            f"Nobody knows whether {_messages(len(uids))} reached the customer."
            " Sending again may deliver it twice. Send again?",
            abort=True,
        )
    done = await _resolve(context, uids, ResolveAction.RESEND)
    click.echo(f"{_messages(done)} will be resent when the campaign runs, unless it has expired")
    _exit_unless(done)


@unknown.command(name="give-up")
@click.argument("uids", metavar="MESSAGE...", nargs=-1, required=True)
@click.option("--reason", help="Kept with the message, for whoever asks later.")
@with_context("unknown")
async def give_up(context: Context, uids: tuple[str, ...], reason: str | None) -> None:
    """Count messages as failed, and never resend them. A status that still comes is applied."""
    if reason is not None and len(reason) > 500:
        raise click.BadParameter("at most 500 characters", param_hint="--reason")
    done = await _resolve(context, uids, ResolveAction.GIVE_UP, reason)
    click.echo(f"{_messages(done)} given up")
    _exit_unless(done)


async def _resolve(
    context: Context, uids: tuple[str, ...], action: ResolveAction, reason: str | None = None
) -> int:
    """Return how many were resolved. Prints why the others were not."""
    messages = UnknownMessages(context.backend())
    results = await messages.resolve(list(dict.fromkeys(uids)), action, reason)
    for result in results:
        if result.result != "done":
            why = _REASONS.get(result.reason or "", result.reason or result.result)
            click.echo(f"{result.id}: skipped: {why}", err=True)
    return sum(result.result == "done" for result in results)


def _exit_unless(done: int) -> None:
    if not done:
        raise click.exceptions.Exit(1)


def _messages(count: int) -> str:
    return "1 message" if count == 1 else f"{count} messages"
