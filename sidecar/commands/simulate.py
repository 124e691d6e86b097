"""``sidecar simulate``: servers to develop against."""

import click

from sidecar.commands import program


@click.command(context_settings=program.PASS_ON)
@program.arguments
def simulate(arguments: tuple[str, ...]) -> None:
    """Run a simulated server to develop against."""
    program.become("simulator", *arguments)
