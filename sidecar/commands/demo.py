"""``sidecar demo``: the whole job on this machine."""

import click

from sidecar.commands import program


@click.command(context_settings=program.PASS_ON)
@program.arguments
def demo(arguments: tuple[str, ...]) -> None:
    """Run the whole job on this machine."""
    program.become("simulator", "demo", *arguments)
