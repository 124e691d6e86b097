"""The command line. What belongs to the workers or the simulator is started as a module of its
own, so that the sidecar imports neither."""

import os
import sys
from collections.abc import Awaitable, Callable

import click
import orjson

from sidecar import embedded, logs
from sidecar.check import check
from sidecar.dead_letters import DeadLetters
from sidecar.modes.adopt_webhooks import adopt_webhooks
from sidecar.modes.command import modes
from sidecar.modes.cutover_command import cutover, rollback, rollout
from sidecar.numbers_command import numbers
from sidecar.redis_command import run_with_redis
from sidecar.settings import InvalidSettings, Settings
from sidecar.shadow.command import parity
from sidecar.status import status
from sidecar.unknown import unknown

PASS_ON = {"ignore_unknown_options": True, "help_option_names": []}


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="whatsapp-sidecar")
def main() -> None:
    """Takes WhatsApp webhooks and campaign sending off a Laravel application."""


def load_settings(process: str) -> Settings:
    """Return the settings, with logging set up by them; or end with one line that says what is
    wrong."""
    try:
        settings = Settings.load()
    except InvalidSettings as error:
        raise click.ClickException(str(error)) from None
    logs.configure(settings.log_level, settings.log_format, process)
    return settings


@main.command()
def serve() -> None:
    """Take webhooks and internal calls (HTTP)."""
    from sidecar.serve import CannotServe
    from sidecar.serve import serve as run

    try:
        run(load_settings("serve"))
    except (CannotServe, embedded.EmbeddedFailed) as error:
        raise click.ClickException(str(error)) from None


@main.group(name="dead-letters")
def dead_letters() -> None:
    """Look at updates that PHP would not take, and have them tried again."""


@dead_letters.command(name="list")
@click.option("--vendor", help="Only this vendor's.")
def list_dead_letters(vendor: str | None) -> None:
    """Print one line of JSON for each, the oldest first, without its payload."""

    async def run(letters: DeadLetters) -> None:
        async for letter in letters.all(vendor):
            click.echo(orjson.dumps(letter.summary).decode())

    _with_dead_letters(run)


@dead_letters.command(name="show")
@click.argument("letter_id", metavar="ID")
def show_dead_letter(letter_id: str) -> None:
    """Print one of them whole. This is a customer's data."""

    async def run(letters: DeadLetters) -> None:
        letter = await letters.get(letter_id)
        if letter is None:
            raise click.ClickException(f"there is no dead letter {letter_id}")
        click.echo(orjson.dumps(letter.update, option=orjson.OPT_INDENT_2).decode())

    _with_dead_letters(run)


@dead_letters.command(name="replay")
@click.argument("letter_ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All of them.")
@click.option("--vendor", help="With --all: only this vendor's.")
def replay_dead_letters(letter_ids: tuple[str, ...], everything: bool, vendor: str | None) -> None:
    """Have them handed to PHP again, as if for the first time."""
    if bool(letter_ids) == everything:
        raise click.UsageError("name the letters, or say --all")

    async def run(letters: DeadLetters) -> None:
        if everything:
            chosen = [letter async for letter in letters.all(vendor)]
        else:
            found = [(letter_id, await letters.get(letter_id)) for letter_id in letter_ids]
            if missing := [letter_id for letter_id, letter in found if letter is None]:
                raise click.ClickException(f"there is no dead letter {', '.join(missing)}")
            chosen = [letter for _, letter in found if letter is not None]
        replayed = [await letters.replay(letter) for letter in chosen]
        click.echo(f"{sum(replayed)} replayed; workers take them up within a second")

    _with_dead_letters(run)


def _with_dead_letters(run: "Callable[[DeadLetters], Awaitable[None]]") -> None:
    run_with_redis(load_settings("dead-letters"), lambda redis: run(DeadLetters(redis)))


main.add_command(check)
main.add_command(status)
main.add_command(numbers)
main.add_command(parity)
main.add_command(unknown)
for _command in (modes, cutover, rollback, rollout, adopt_webhooks):
    main.add_command(_command)


@main.command(context_settings=PASS_ON)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def worker(arguments: tuple[str, ...]) -> None:
    """Drain the inbox and send campaigns (Dramatiq)."""
    _become("workers", *arguments)


@main.command(context_settings=PASS_ON)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def simulate(arguments: tuple[str, ...]) -> None:
    """Run something simulated to develop against: the Cloud API, the PHP backend, an AI, a
    vendor's webhook or a Pusher server."""
    _become("simulator", *arguments)


@main.command(context_settings=PASS_ON)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def demo(arguments: tuple[str, ...]) -> None:
    """Run the main job end to end on this machine, and compare the counts."""
    _become("simulator", "demo", *arguments)


def _become(module: str, *arguments: str) -> None:
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])


if __name__ == "__main__":
    main()
