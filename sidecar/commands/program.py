"""Commands of other packages: they are started as modules of their own, because the sidecar imports
neither the workers nor the simulator."""

import os
import sys

import click

#: All arguments, ``--help`` included, are the program's.
PASS_ON = {"ignore_unknown_options": True, "help_option_names": []}

arguments = click.argument("arguments", nargs=-1, type=click.UNPROCESSED)


def become(module: str, *arguments: str) -> None:
    """Run a module in place of this process."""
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])
