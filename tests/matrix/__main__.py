"""Run what PHP, the databases and nginx have a part in on several Debian suites."""

import fcntl
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from tests.matrix import namespace
from tests.matrix.run import CHROOTS, PARTS
from tests.matrix.suites import SUITES, machine
from tests.matrix.table import table

FAILED = 7


@click.command()
@click.argument("suites", nargs=-1, type=click.Choice(list(SUITES)))
@click.option("--parts", default=",".join(PARTS), show_default=True, help="migration is another")
@click.option("-k", "expression", help="choose tests, as pytest's -k does")
def main(suites: tuple[str, ...], parts: str, expression: str | None) -> None:
    """Run the parts on SUITES, all if none is given. Exits with 1 if something failed.

    What is not this machine's own suite is made in var/chroots, and kept: remove a folder there to
    have it made of the newest packages.
    """
    names = suites or tuple(SUITES)
    if reason := refusal(names):
        raise click.ClickException(f"the matrix cannot be run here: {reason}")
    rows = [row for name in names if (row := run(name, parts.split(","), expression))]
    if rows:
        click.echo(table(rows))
    failed = [row[0] for row in rows if row[FAILED] != "0"]
    sys.exit(1 if failed or len(rows) < len(names) else 0)


def refusal(names: tuple[str, ...]) -> str | None:
    """Return why these suites cannot be run here, in one line; None if they can."""
    if (reason := namespace.refusal()) is not None:
        return reason
    if set(names) - {machine()} and shutil.which("debootstrap") is None:
        return "there is no debootstrap: apt-get install debootstrap"
    return None


def run(name: str, parts: list[str], expression: str | None) -> list[str]:
    """Return the suite's row of the table; nothing where it could not be run."""
    options = ["-k", expression] if expression else []
    command = [sys.executable, "-m", "tests.matrix.run", *options]
    with TemporaryDirectory(prefix="matrix-") as folder, only_one(name):
        namespace.run([*command, name, folder, *parts])
        row = Path(folder, "row")
        return row.read_text().split("\n") if row.exists() else []


@contextmanager
def only_one(name: str) -> Iterator[None]:
    """Keep others off a suite's chroot."""
    CHROOTS.mkdir(parents=True, exist_ok=True)
    with (CHROOTS / f"{name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise click.ClickException(f"another run uses {name}") from None
        yield


if __name__ == "__main__":
    main()
