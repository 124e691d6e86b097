"""``sidecar unknown``: what a person does about messages of unknown outcome."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import click

from contracts.backend import ResolveAction, UnknownMessage
from sidecar.clock import utc_text

if TYPE_CHECKING:
    from sidecar.sending.unknown_messages import UnknownMessages

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}

_REASONS = {
    "row_unknown": "there is no such message; if there was, a status has settled it meanwhile",
    "row_not_in_unknown": "it is not of unknown outcome any more",
}


def _duration(_context: click.Context, _option: click.Parameter, value: str) -> tuple[int, str]:
    """Return seconds, and the words for them."""
    found = re.fullmatch(r"(\d{1,9})([smhd]?)", value, re.ASCII)
    if found is None:
        raise click.BadParameter(f"{value!r} is no duration; write 24h, 90m, 2d or seconds")
    return int(found[1]) * _UNITS[found[2]], value if found[2] else f"{value}s"


@click.group()
def unknown() -> None:
    """Look at messages of unknown outcome, and send them again or give them up.

    The Cloud API was called, and its answer never came: the message may have been delivered, or
    not. It is never sent again by itself. If it was delivered, its status settles it; that usually
    takes seconds, and a day at most for a phone that is switched on now and then.
    """


@unknown.command(name="list")
@click.option("--vendor", metavar="UID", help="Only this vendor's.")
@click.option("--campaign", metavar="UID", help="Only this campaign's.")
@click.option(
    "--older-than",
    metavar="DURATION",
    callback=_duration,
    default="24h",
    show_default=True,
    help="Only those that nobody has known of for so long: 24h, 90m, 2d.",
)
@click.option("--json", "as_json", is_flag=True, help="One line of JSON for each.")
def list_unknown(
    vendor: str | None, campaign: str | None, older_than: tuple[int, str], as_json: bool
) -> None:
    """Print one line for each, the oldest first."""
    seconds, words = older_than

    async def run(messages: "UnknownMessages") -> None:
        count = 0
        async for message in messages.all(
            older_than_s=seconds, vendor_uid=vendor, campaign_uid=campaign
        ):
            if as_json:
                click.echo(message.model_dump_json())
                continue
            if not count:
                click.echo(_line("UNKNOWN SINCE", "MESSAGE", "VENDOR", "CAMPAIGN", "TO", "WHY"))
            click.echo(_described(message))
            count += 1
        if not as_json:
            click.echo(_summary(count, words))

    _with_messages(run)


def _described(message: UnknownMessage) -> str:
    campaign = message.campaign_uid or "-"
    return _line(
        utc_text(message.since),
        message.uid,
        message.vendor_uid,
        campaign,
        message.to,
        message.reason or "-",
    )


def _line(since: str, uid: str, vendor: str, campaign: str, to: str, why: str) -> str:
    return f"{since:<20}  {uid:<36}  {vendor:<36}  {campaign:<36}  {to:<15}  {why}"


def _summary(count: int, older_than: str) -> str:
    if not count:
        return f"no message has been of unknown outcome for more than {older_than}"
    return (
        f"\n{_messages(count)} of unknown outcome for more than {older_than}:"
        " delivered or not, nobody knows.\n"
        "To send one again, which may deliver it twice:  sidecar unknown resend MESSAGE...\n"
        "To leave it as it is, and count it as failed:   sidecar unknown give-up MESSAGE..."
    )


@unknown.command()
@click.argument("uids", metavar="MESSAGE...", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask.")
def resend(uids: tuple[str, ...], yes: bool) -> None:
    """Send messages again. Whoever has got one already gets it twice."""
    if not yes:
        click.confirm(
            f"Nobody knows whether {_messages(len(uids))} reached the customer."
            " Sending again may deliver it twice. Send again?",
            abort=True,
        )
    _resolve(
        uids,
        ResolveAction.RESEND,
        None,
        "{} to be sent again, as soon as the campaign runs (not if it has expired)",
    )


@unknown.command(name="give-up")
@click.argument("uids", metavar="MESSAGE...", nargs=-1, required=True)
@click.option("--reason", help="Kept with the message, for whoever asks later.")
def give_up(uids: tuple[str, ...], reason: str | None) -> None:
    """Count messages as failed, and never send them again. A status that comes all the same is
    still applied."""
    if reason is not None and len(reason) > 500:
        raise click.BadParameter("at most 500 characters", param_hint="--reason")
    _resolve(uids, ResolveAction.GIVE_UP, reason, "{} given up")


def _resolve(
    uids: tuple[str, ...], action: ResolveAction, reason: str | None, success: str
) -> None:
    async def run(messages: "UnknownMessages") -> None:
        results = await messages.resolve(list(dict.fromkeys(uids)), action, reason)
        done = sum(result.result == "done" for result in results)
        for result in results:
            if result.result != "done":
                why = _REASONS.get(result.reason or "", result.reason or result.result)
                click.echo(f"{result.id}: nothing was done: {why}", err=True)
        click.echo(success.format(_messages(done)))
        if not done:
            raise click.exceptions.Exit(1)

    _with_messages(run)


def _messages(count: int) -> str:
    return "1 message" if count == 1 else f"{count} messages"


def _with_messages(run: "Callable[[UnknownMessages], Awaitable[None]]") -> None:
    # Only here: every command imports this module, and would begin the later.
    from sidecar.commands.start import load_settings
    from sidecar.http.app import make_backend
    from sidecar.php.client import BackendError
    from sidecar.sending.unknown_messages import UnknownMessages

    settings = load_settings("unknown")

    async def connected() -> None:
        backend = make_backend(settings)
        try:
            await run(UnknownMessages(backend))
        except BackendError as error:
            raise click.ClickException(f"PHP cannot be asked: {error}") from None
        finally:
            await backend.close()

    asyncio.run(connected())
