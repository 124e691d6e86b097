"""``python -m simulator adversary``."""

import tempfile
from pathlib import Path

import click

from simulator.adversary.plan import draw_plan
from simulator.adversary.round import run_round
from simulator.adversary.shapes import SHAPES
from simulator.adversary.stage import AdversaryStage
from simulator.stack.packages import require_stack
from simulator.stack.rounds import SEED, histories_option, rounds_option, run_rounds


@click.command("adversary")
@rounds_option(10)
@SEED
@click.option(
    "--shape",
    "shapes",
    multiple=True,
    type=click.Choice(list(SHAPES)),
    help="Attackers, one of each, instead of those that the seed draws. May be repeated.",
)
@histories_option("adversary")
def command(rounds: int, seed: int, shapes: tuple[str, ...], histories: Path) -> None:
    """Attack the real stack as a vendor could who holds only their own app secret, and check that
    no other vendor, process or Redis suffers.

    Prints a line of JSON for each round. Exits 1 if a round broke a promise; repeat that round with
    --rounds 1 and its seed.
    """
    require_stack()
    with (
        tempfile.TemporaryDirectory(prefix="adv-") as folder,
        AdversaryStage(Path(folder)) as stage,
    ):
        click.echo(f"on {stage.installation.description()}", err=True)
        run_rounds(
            range(seed, seed + rounds),
            lambda seed: run_round(stage, draw_plan(seed, shapes), histories),
            "nobody but the attackers suffered",
        )
