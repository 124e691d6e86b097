"""``python -m simulator chaos``."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import click

from simulator.chaos.fault import LONGEST_OUTAGE_S
from simulator.chaos.round import run_round
from simulator.chaos.snapshot import run_snapshot
from simulator.chaos.stage import Stage
from simulator.chaos.wipe import run_wipe
from simulator.stack.packages import require_stack
from simulator.stack.rounds import (
    SEED,
    Outcome,
    histories_option,
    rounds_option,
    run_rounds,
)

KEPT = "nothing lost, doubled or stuck"


class RunCampaign(Protocol):
    """Sends one campaign, and does something to Redis meanwhile."""

    def __call__(self, folder: Path, *, seed: int, messages: int, rate: float) -> Outcome: ...


@click.command("chaos")
@rounds_option(20)
@SEED
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
@histories_option("chaos")
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
            click.echo(f"on {stage.installation.description()}", err=True)
            seeds = range(seed, seed + rounds)
            run_rounds(seeds, lambda seed: run_round(stage, seed, histories, longest), KEPT)


def _campaigns(run: RunCampaign, seeds: Sequence[int], messages: int, rate: float) -> None:
    def one(seed: int) -> Outcome:
        with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
            return run(Path(folder), seed=seed, messages=messages, rate=rate)

    run_rounds(seeds, one, KEPT)
