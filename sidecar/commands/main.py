"""The command line. What belongs to the workers or the simulator is started as a module of its
own, so that the sidecar imports neither."""

import os
import sys

import click

from sidecar.commands.adopt_webhooks import adopt_webhooks
from sidecar.commands.check import check
from sidecar.commands.cutover import cutover, rollback, rollout
from sidecar.commands.dead_letters import dead_letters
from sidecar.commands.modes import modes
from sidecar.commands.numbers import numbers
from sidecar.commands.parity import parity
from sidecar.commands.start import load_settings
from sidecar.commands.status import status
from sidecar.commands.unknown import unknown
from sidecar.redis import embedded

PASS_ON = {"ignore_unknown_options": True, "help_option_names": []}


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="whatsapp-sidecar")
def main() -> None:
    """Takes WhatsApp webhooks and campaign sending off a Laravel application."""


@main.command()
def serve() -> None:
    """Take webhooks and internal calls (HTTP)."""
    from sidecar.http.serve import CannotServe
    from sidecar.http.serve import serve as run

    try:
        run(load_settings("serve"))
    except (CannotServe, embedded.EmbeddedFailed) as error:
        raise click.ClickException(str(error)) from None


main.add_command(check)
main.add_command(dead_letters)
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
