"""``sidecar numbers``: how fast the numbers are, why one is slow or silent, and letting those send
again that are paused."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

import click
import orjson

from sidecar.clock import utc_text
from sidecar.commands.with_redis import run_with_redis
from sidecar.format import duration

if TYPE_CHECKING:
    from sidecar.redis.client import Redis
    from sidecar.sending.numbers import NumberState
    from sidecar.sending.pauses import Paused


@click.group()
def numbers() -> None:
    """Look at the numbers that campaigns are sent from, and resume what is paused.

    A number, an account or a vendor's access token is paused when the Cloud API says that nothing
    more should be sent with it until a person has acted: a payment problem, a lock, a spam limit, a
    token that has expired. Its campaigns are paused with the reason. Starting or resuming a
    campaign of the vendor resumes it as well. A pause stops the vendor whose message it was, and
    others only where Meta has confirmed that the number or the account is theirs too.
    """


@numbers.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON for each.")
def list_numbers(as_json: bool) -> None:
    """Print what is paused, then one line for each number of the last 24 hours."""

    async def run(redis: "Redis") -> None:
        from sidecar.sending.numbers import number_state
        from sidecar.sending.numbers import numbers as known_numbers
        from sidecar.sending.pauses import Pauses

        paused = await Pauses(redis).all()
        names = await known_numbers(redis)
        states = [(name, await number_state(redis, name)) for name in names]
        if as_json:
            _print_json(paused, states)
        else:
            _print(paused, states)

    _with_redis(run)


def _print_json(paused: "list[Paused]", states: "list[tuple[str, NumberState | None]]") -> None:
    from sidecar.sending.numbers import number_of

    for one in paused:
        click.echo(orjson.dumps({"paused": asdict(one)}).decode())
    for name, state in states:
        number, vendor_uid = number_of(name)
        known = None if state is None else {**asdict(state), "reason": state.reason}
        click.echo(orjson.dumps(known or {"number": number, "vendor_uid": vendor_uid}).decode())


def _print(paused: "list[Paused]", states: "list[tuple[str, NumberState | None]]") -> None:
    from sidecar.sending.numbers import number_of

    for one in paused:
        by = f", for all its vendors, by a message of {one.vendor_uid}" if one.shared else ""
        click.echo(f"PAUSED since {utc_text(one.at)}: {one.what}{by}")
        click.echo(f"    {one.reason}")
        click.echo(f"    Once fixed: sidecar numbers resume {one.id or one.vendor_uid}")
    if not states:
        click.echo("no number has been asked for slots within 24 hours")
        return
    click.echo(_line("NUMBER", "VENDOR", "PER SECOND", "LAST ASKED", "STATE"))
    for name, state in states:
        number, vendor_uid = number_of(name)
        vendor = vendor_uid or "(shared)"
        if state is None:
            click.echo(_line(number, vendor, "-", "not lately", "idle"))
            continue
        rate = f"{state.effective_rate:.1f} of {state.configured_rate:.1f}"
        asked = f"{duration(max(0.0, time.time() - state.asked_at))} ago"
        click.echo(_line(number, vendor, rate, asked, _state(state)))


def _state(state: "NumberState") -> str:
    held = [held for held in (state.held, state.account_held, state.app_held) if held]
    if state.paused is None and held:
        longest = max(held, key=lambda one: one.until)
        left = duration(max(0.0, longest.until - time.time()))
        return f"held for {left}: {longest.reason}"
    return state.reason or "sends at full rate"


def _line(number: str, vendor: str, rate: str, asked: str, state: str) -> str:
    return f"{number:<20}  {vendor:<36}  {rate:<16}  {asked:<12}  {state}"


@numbers.command()
@click.argument("ids", metavar="NUMBER|ACCOUNT|VENDOR...", nargs=-1, required=True)
def resume(ids: tuple[str, ...]) -> None:
    """Let paused numbers and accounts send again, or all that is paused for a vendor alone, its
    access token among it. If the fault stands, the first message pauses them again. Campaigns that
    were paused with them stay so until they are resumed themselves."""

    async def run(redis: "Redis") -> None:
        from sidecar.sending.pauses import Pauses

        pauses = Pauses(redis)
        standing = await pauses.all()
        named = {one: {one.id} if one.shared else {one.id, one.vendor_uid} for one in standing}
        lifted = [one for one, names in named.items() if names & {*ids}]
        await pauses.lift(lifted)
        for one in lifted:
            click.echo(f"{one.what} may send again; it was paused for: {one.reason}")
        if missing := [id_ for id_ in ids if not any(id_ in named[one] for one in lifted)]:
            raise click.ClickException(f"not paused: {', '.join(missing)}")

    _with_redis(run)


def _with_redis(run: "Callable[[Redis], Awaitable[None]]") -> None:
    from sidecar.commands.start import load_settings

    run_with_redis(load_settings("numbers"), run)
