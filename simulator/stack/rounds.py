"""What commands share that run rounds on the real stack, each from a seed."""

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import orjson

#: What became of a round, and whether the promises were kept.
Outcome = tuple[dict[str, Any], bool]

SEED = click.option(
    "--seed", default=1, show_default=True, help="Seed of the first round; each next round adds 1."
)


def rounds_option(default: int) -> Callable[[Any], Any]:
    """Return the option for how many rounds there are."""
    return click.option("--rounds", default=default, show_default=True)


def histories_option(name: str) -> Callable[[Any], Any]:
    """Return the option for the folder with the evidence of rounds that failed, in ``var``."""
    return click.option(
        "--histories",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path("var", name),
        show_default=True,
        help="Where to keep the evidence of a round that failed.",
    )


def run_rounds(seeds: Sequence[int], run: Callable[[int], Outcome], kept: str) -> None:
    """Run the round of each seed, and print its line; in the end say what was ``kept``. Raises if
    one broke a promise."""
    failed = []
    began = time.monotonic()
    for seed in seeds:
        line, good = run(seed)
        click.echo(orjson.dumps(line))
        sys.stdout.flush()
        if not good:
            failed.append(seed)
    seconds = time.monotonic() - began
    if failed:
        raise click.ClickException(f"{len(failed)} of {len(seeds)} rounds failed: seeds {failed}")
    click.echo(f"{len(seeds)} rounds in {seconds:.0f} s: {kept}", err=True)
