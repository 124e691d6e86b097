"""What only a checkout of the repository has, and the wheel leaves out: what runs on the real
stack, with nginx's files, the Laravel package and MIGRATION.md."""

from importlib.util import find_spec

import click


def has_checkout() -> bool:
    return find_spec("simulator.stack") is not None


def require_checkout(what: str) -> None:
    """End the command with one line where it was installed from the wheel."""
    if not has_checkout():
        raise click.ClickException(
            f"{what} needs a checkout of the repository; the installed package leaves it out"
        )
