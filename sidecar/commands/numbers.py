"""``sidecar numbers``: how fast numbers send, why one is slow or silent, resuming those that are
paused, and lifting what holds them."""

import time
from dataclasses import asdict

import click
import orjson

from sidecar.clock import utc_text
from sidecar.commands.context import Context, whoami, with_context
from sidecar.commands.tables import print_table
from sidecar.format import duration
from sidecar.ops.audit import DONE, NOTHING
from sidecar.ops.lifting import Lifting
from sidecar.ops.numbers import Line, read_lines, resumed_text, state_text
from sidecar.ops.numbers import resume as resume_named
from sidecar.sending.numbers import NumberState, number_of
from sidecar.sending.pauses import Paused, Pauses


@click.group()
def numbers() -> None:
    """Show, resume and release the numbers that send.

    A number, an account or a vendor's access token is paused when the Cloud API says that sending
    must stop until a person acts: a payment problem, a lock, a spam limit, an expired token. Its
    campaigns are paused with the reason. Starting or resuming a campaign of the vendor also resumes
    it. A pause stops the vendor whose message it was, and others only if Meta has confirmed that
    the number or the account is theirs too.
    """


@numbers.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON for each.")
@with_context("numbers")
async def list_numbers(context: Context, as_json: bool) -> None:
    """List what is paused, and how numbers stand.

    First what a person has to resume, then one line for each number that has sent within 24 hours:
    how fast it is, and why it is slow, held or silent, and until when.
    """
    redis = context.redis()
    paused = await Pauses(redis).all()
    states = await read_lines(redis)
    if as_json:
        _print_json(paused, states)
    else:
        _print(paused, states)


def _print_json(paused: list[Paused], states: list[Line]) -> None:
    for one in paused:
        click.echo(orjson.dumps({"paused": asdict(one)}).decode())
    for name, state in states:
        number, vendor_uid = number_of(name)
        known = state and {
            **asdict(state),
            "present_rate": state.present_rate,
            "reason": state.reason,
        }
        click.echo(orjson.dumps(known or {"number": number, "vendor_uid": vendor_uid}).decode())


def _print(paused: list[Paused], states: list[Line]) -> None:
    for one in paused:
        click.echo(f"PAUSED since {utc_text(one.at)}: {one.what}{one.by}")
        click.echo(f"    {one.reason}")
        fix = one.fix[0].upper() + one.fix[1:]
        click.echo(f"    {fix}. Then: sidecar numbers resume {one.id or one.vendor_uid}")
    if not states:
        click.echo("no number was used within 24 hours")
        return
    print_table(("NUMBER", "VENDOR", "PER SECOND", "LAST USED", "STATE"), map(_row, states))


def _row(line: Line) -> tuple[str, ...]:
    name, state = line
    number, vendor_uid = number_of(name)
    vendor = vendor_uid or "(shared)"
    if state is None:
        return (number, vendor, "-", "not lately", "idle")
    rate = f"{state.present_rate:.1f} of {state.configured_rate:.1f}"
    asked = f"{duration(max(0.0, time.time() - state.asked_at))} ago"
    return (number, vendor, rate, asked, _stands(state))


def _stands(state: NumberState) -> str:
    if (paused := state.paused) is None:
        return state_text(state)
    return f"paused{'' if paused.scope == 'number' else f' with {paused.what}'}, see above"


@numbers.command()
@click.argument("ids", metavar="NUMBER|ACCOUNT|VENDOR...", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="One line of JSON for each.")
@with_context("numbers")
async def resume(context: Context, ids: tuple[str, ...], as_json: bool) -> None:
    """Resume paused numbers, accounts or access tokens.

    A VENDOR names all that is paused for it alone, such as its access token. If the problem
    persists, the first message pauses them again. Campaigns that were paused with them stay paused
    until they are resumed themselves.
    """
    async with context.audit.doing(whoami(), "number.resume", ", ".join(ids)) as doing:
        resumed, missing = await resume_named(context.redis(), ids)
        doing.outcome = DONE if resumed else NOTHING
        doing.details["resumed"] = [one.name for one in resumed]
    for one in resumed:
        told = orjson.dumps({"resumed": asdict(one)}).decode() if as_json else resumed_text(one)
        click.echo(told)
    if missing:
        raise click.ClickException(f"not paused: {', '.join(missing)}")


@numbers.command()
@click.argument("names", metavar="[NUMBER|ACCOUNT|APP|VENDOR]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All that is held.")
@click.option(
    "--recipient",
    metavar="PHONE",
    help="Lift what keeps this recipient from getting more from the number, and nothing else.",
)
@click.option("--json", "as_json", is_flag=True, help="One line of JSON for each.")
@with_context("numbers")
async def lift(
    context: Context,
    names: tuple[str, ...],
    everything: bool,
    recipient: str | None,
    as_json: bool,
) -> None:
    """Lift holds, outages and slowed rates now.

    All of them end by themselves: numbers list says when. If the cause stands, the next messages
    hold the number again; an outage of the Cloud API ends by itself as soon as it answers. A
    NUMBER names it for all vendors that send from it; a VENDOR all of its numbers, accounts and
    apps. What is paused until a person acts is resumed with sidecar numbers resume.
    """
    if bool(names) == everything:
        raise click.UsageError("name what to lift (sidecar numbers list shows it), or say --all")
    redis = context.redis()
    target = ", ".join(names) or "all"
    async with context.audit.doing(whoami(), "number.lift", target) as doing:
        lifted = await Lifting(redis, await read_lines(redis)).lift(names, recipient)
        doing.outcome = DONE if lifted else NOTHING
        doing.details["lifted"] = [f"{one.scope} {one.name}" for one in lifted]
    for one in lifted:
        click.echo(orjson.dumps(asdict(one)).decode() if as_json else f"lifted: {one}")
    if missing := [name for name in names if not any(name in one.names for one in lifted)]:
        raise click.ClickException(f"nothing was held: {', '.join(missing)}")
    if everything and not lifted and not as_json:
        click.echo("nothing was held")
