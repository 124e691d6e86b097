"""``python -m simulator chaos-failover``."""

import tempfile
from pathlib import Path
from typing import Any

import click

from simulator.chaos.command import require_stack, run_rounds
from simulator.chaos.failover_round import run_failover
from simulator.chaos.redis_failover import FailoverStage

#: With none in sync nothing is promised.
IN_SYNC = {"redis_replicas_in_sync": 1}


@click.command("chaos-failover")
@click.option("--rounds", default=10, show_default=True)
@click.option(
    "--seed", default=1, show_default=True, help="Seed of the first round; each next round adds 1."
)
@click.option(
    "--in-sync/--not-in-sync",
    default=True,
    show_default=True,
    help="Whether a replica has what is acknowledged. Without, rounds may fail.",
)
@click.option(
    "--histories",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("var/chaos-failover"),
    show_default=True,
    help="Where to keep the evidence of a round that failed.",
)
def command(rounds: int, seed: int, in_sync: bool, histories: Path) -> None:
    """Take Redis's primary away under load, and count what arrives.

    Three Sentinels watch it. It is killed and its disk thrown away, stands still, or is cut off
    from Sentinels and replicas. Prints a line of JSON for each round, and how many seconds it took
    until webhooks were taken and messages sent again. Exits 1 if a round lost, doubled or left
    anything, or took too long.
    """
    require_stack()
    settings: dict[str, Any] = IN_SYNC if in_sync else {}
    with (
        tempfile.TemporaryDirectory(prefix="chaos-") as folder,
        FailoverStage(Path(folder), settings) as stage,
    ):
        seeds = range(seed, seed + rounds)
        run_rounds(stage, seeds, lambda seed: run_failover(stage, seed, histories))
