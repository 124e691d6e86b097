"""``sidecar worker``: a worker process."""

import click

from sidecar.commands import program


@click.command(context_settings=program.PASS_ON)
@program.arguments
def worker(arguments: tuple[str, ...]) -> None:
    """Deliver webhooks to PHP, and send campaigns."""
    program.become("workers", *arguments)
