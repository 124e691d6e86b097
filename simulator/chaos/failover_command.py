"""``python -m simulator chaos-failover``."""

import tempfile
from pathlib import Path
from typing import Any

import click

from simulator.chaos.command import KEPT
from simulator.chaos.failover_round import run_failover
from simulator.chaos.redis_failover import FailoverStage
from simulator.stack.packages import require_stack
from simulator.stack.rounds import SEED, histories_option, rounds_option, run_rounds

#: With none in sync nothing is promised.
IN_SYNC = {"redis_replicas_in_sync": 1}


@click.command("chaos-failover")
@rounds_option(10)
@SEED
@click.option(
    "--in-sync/--not-in-sync",
    default=True,
    show_default=True,
    help="Whether a replica has what is acknowledged. Without, rounds may fail.",
)
@histories_option("chaos-failover")
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
        click.echo(f"on {stage.installation.description()}", err=True)
        seeds = range(seed, seed + rounds)
        run_rounds(seeds, lambda seed: run_failover(stage, seed, histories), KEPT)
