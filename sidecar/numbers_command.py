"""``sidecar numbers``: how fast the numbers are, why one is slow or silent, and letting those send
again that are paused."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

import click
import orjson

from sidecar.clock import utc_text
from sidecar.duration import duration
from sidecar.redis_command import run_with_redis

if TYPE_CHECKING:
    from sidecar.numbers import NumberState
    from sidecar.pauses import Paused
    from sidecar.redis_client import Redis


@click.group()
def numbers() -> None:
    """Look at the numbers that campaigns are sent from, and resume what is paused.

    A number or an account is paused when the Cloud API says that nothing more should be sent from
    it until a person has acted: a payment problem, a lock, a spam limit. Its campaigns are paused
    with the reason. Starting or resuming a campaign of the vendor resumes it as well.
    """


@numbers.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON for each.")
def list_numbers(as_json: bool) -> None:
    """Print what is paused, then one line for each number of the last 24 hours."""

    async def run(redis: "Redis") -> None:
        from sidecar.numbers import number_state
        from sidecar.numbers import numbers as known_numbers
        from sidecar.pauses import Pauses

        paused = await Pauses(redis).all()
        names = await known_numbers(redis)
        states = [(name, await number_state(redis, name)) for name in names]
        if as_json:
            _print_json(paused, states)
        else:
            _print(paused, states)

    _with_redis(run)


def _print_json(paused: "list[Paused]", states: "list[tuple[str, NumberState | None]]") -> None:
    for one in paused:
        click.echo(orjson.dumps({"paused": asdict(one)}).decode())
    for name, state in states:
        known = None if state is None else {**asdict(state), "reason": state.reason}
        click.echo(orjson.dumps(known or {"number": name}).decode())


def _print(paused: "list[Paused]", states: "list[tuple[str, NumberState | None]]") -> None:
    for one in paused:
        click.echo(
            f"PAUSED since {utc_text(one.at)}: {one.scope} {one.id} of vendor {one.vendor_uid}"
        )
        click.echo(f"    {one.reason}")
        click.echo(f"    When that is mended: sidecar numbers resume {one.id}")
    if not states:
        click.echo("no number has been asked for slots within 24 hours")
        return
    click.echo(_line("NUMBER", "PER SECOND", "LAST ASKED", "STATE"))
    for name, state in states:
        if state is None:
            click.echo(_line(name, "-", "not lately", "idle"))
            continue
        rate = f"{state.effective_rate:.1f} of {state.configured_rate:.1f}"
        asked = f"{duration(max(0.0, time.time() - state.asked_at))} ago"
        click.echo(_line(name, rate, asked, _state(state)))


def _state(state: "NumberState") -> str:
    held = [held for held in (state.held, state.account_held, state.app_held) if held]
    if state.paused is None and held:
        longest = max(held, key=lambda one: one.until)
        left = duration(max(0.0, longest.until - time.time()))
        return f"held for {left}: {longest.reason}"
    return state.reason or "sends at full rate"


def _line(number: str, rate: str, asked: str, state: str) -> str:
    return f"{number:<20}  {rate:<16}  {asked:<12}  {state}"


@numbers.command()
@click.argument("ids", metavar="NUMBER|ACCOUNT...", nargs=-1, required=True)
def resume(ids: tuple[str, ...]) -> None:
    """Let paused numbers and accounts send again. If the fault stands, the first message pauses
    them again. Campaigns that were paused with them stay so until they are resumed themselves."""

    async def run(redis: "Redis") -> None:
        from sidecar.pauses import Pauses

        pauses = Pauses(redis)
        standing = await pauses.all()
        lifted = [one for one in standing if one.id in ids]
        await pauses.lift(lifted)
        for one in lifted:
            click.echo(f"{one.scope} {one.id} may send again; it was paused for: {one.reason}")
        if missing := [id_ for id_ in ids if id_ not in {one.id for one in lifted}]:
            raise click.ClickException(f"not paused: {', '.join(missing)}")

    _with_redis(run)


def _with_redis(run: "Callable[[Redis], Awaitable[None]]") -> None:
    from sidecar.cli import load_settings

    run_with_redis(load_settings("numbers"), run)
