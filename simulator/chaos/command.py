"""``python -m simulator chaos``."""

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import click
import orjson

from simulator.chaos.fault import LONGEST_OUTAGE_S
from simulator.chaos.round import run_round
from simulator.chaos.snapshot import run_snapshot
from simulator.chaos.stage import Stage
from simulator.chaos.wipe import run_wipe
from simulator.stack.packages import missing


class RunCampaign(Protocol):
    """Sends one campaign, and does something to Redis meanwhile. Returns what became of it, and
    whether the promises were kept."""

    def __call__(
        self, folder: Path, *, seed: int, messages: int, rate: float
    ) -> tuple[dict[str, Any], bool]: ...


@click.command("chaos")
@click.option("--rounds", default=20, show_default=True)
@click.option(
    "--seed", default=1, show_default=True, help="Seed of the first round; each next round adds 1."
)
@click.option(
    "--longest",
    default=LONGEST_OUTAGE_S,
    show_default=True,
    help="Outages of the Cloud API end after so many seconds.",
)
@click.option(
    "--host-routine/--schema-engine",
    default=True,
    show_default=True,
    help="Who handles customers' messages: the application's own routine, or the package's engine.",
)
@click.option(
    "--wipe",
    is_flag=True,
    help="Send one campaign and wipe Redis in the middle of it, instead of rounds.",
)
@click.option(
    "--snapshot",
    is_flag=True,
    help="The same, but Redis goes back to how it was some seconds ago. A campaign for each round.",
)
@click.option(
    "--messages",
    default=10_000,
    show_default=True,
    help="Messages of the campaign with --wipe or --snapshot.",
)
@click.option("--rate", default=1000.0, show_default=True, help="Its rate, in messages per second.")
@click.option(
    "--histories",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("var/chaos"),
    show_default=True,
    help="Where to keep the evidence of a round that failed.",
)
def command(
    rounds: int,
    seed: int,
    longest: float,
    host_routine: bool,
    wipe: bool,
    snapshot: bool,
    messages: int,
    rate: float,
    histories: Path,
) -> None:
    """Kill, suspend and cut off parts of the real stack under load, and count what arrives.

    Prints a line of JSON for each round. Exits 1 if a round lost, doubled or left anything; repeat
    that round with --rounds 1 and its seed.
    """
    require_stack()
    if wipe:
        _campaigns(run_wipe, [seed], messages, rate)
    elif snapshot:
        _campaigns(run_snapshot, range(seed, seed + rounds), messages, rate)
    else:
        with (
            tempfile.TemporaryDirectory(prefix="chaos-") as folder,
            Stage(Path(folder), host_routine=host_routine) as stage,
        ):
            if "redis" not in stage.clocks.names:
                click.echo("the clock of Redis stays right: there is no libfaketime", err=True)
            seeds = range(seed, seed + rounds)
            run_rounds(stage, seeds, lambda seed: run_round(stage, seed, histories, longest))


def require_stack() -> None:
    """Raise what says what there is no real stack without."""
    if lacking := missing():
        raise click.ClickException(
            f"no real stack without {', '.join(lacking)}: run scripts/install-stack as root"
        )


def _campaigns(run: RunCampaign, seeds: Sequence[int], messages: int, rate: float) -> None:
    failed = []
    for seed in seeds:
        with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
            line, kept = run(Path(folder), seed=seed, messages=messages, rate=rate)
        click.echo(orjson.dumps(line))
        sys.stdout.flush()
        if not kept:
            failed.append(seed)
    if failed:
        raise click.ClickException(f"a message was lost, sent twice or left: seeds {failed}")


def run_rounds(
    stage: Stage, seeds: range, run: Callable[[int], tuple[dict[str, Any], bool]]
) -> None:
    """Run the round of each seed, and print its line. Raises if one broke a promise."""
    click.echo(f"on {stage.installation.description()}", err=True)
    failed = []
    began = time.monotonic()
    for seed in seeds:
        line, kept = run(seed)
        click.echo(orjson.dumps(line))
        sys.stdout.flush()
        if not kept:
            failed.append(seed)
    seconds = time.monotonic() - began
    if failed:
        raise click.ClickException(f"{len(failed)} of {len(seeds)} rounds failed: seeds {failed}")
    click.echo(f"{len(seeds)} rounds in {seconds:.0f} s: nothing lost, doubled or stuck", err=True)
