"""``python -m simulator adversary``."""

import sys
import tempfile
import time
from pathlib import Path

import click
import orjson

from simulator.adversary.plan import draw_plan
from simulator.adversary.round import run_round
from simulator.adversary.shapes import SHAPES
from simulator.adversary.stage import AdversaryStage
from simulator.stack.packages import missing


@click.command("adversary")
@click.option("--rounds", default=10, show_default=True)
@click.option(
    "--seed", default=1, show_default=True, help="Seed of the first round; each next round adds 1."
)
@click.option(
    "--shape",
    "shapes",
    multiple=True,
    type=click.Choice(list(SHAPES)),
    help="Attackers, one of each, instead of those that the seed draws. May be repeated.",
)
@click.option(
    "--histories",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("var/adversary"),
    show_default=True,
    help="Where to keep the evidence of a round that failed.",
)
def command(rounds: int, seed: int, shapes: tuple[str, ...], histories: Path) -> None:
    """Attack the real stack as a vendor could who holds only their own app secret, and check that
    no other vendor, process or Redis suffers.

    Prints a line of JSON for each round. Exits 1 if a round broke a promise; repeat that round with
    --rounds 1 and its seed.
    """
    if lacking := missing():
        raise click.ClickException(
            f"no real stack without {', '.join(lacking)}: run scripts/install-stack as root"
        )
    failed = []
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="adv-") as folder,
        AdversaryStage(Path(folder)) as stage,
    ):
        click.echo(f"on {stage.installation.description()}", err=True)
        for number in range(seed, seed + rounds):
            line, kept = run_round(stage, draw_plan(number, shapes), histories)
            click.echo(orjson.dumps(line))
            sys.stdout.flush()
            if not kept:
                failed.append(number)
    seconds = time.monotonic() - began
    if failed:
        raise click.ClickException(f"{len(failed)} of {rounds} rounds failed: seeds {failed}")
    click.echo(f"{rounds} rounds in {seconds:.0f} s: nobody but the attackers suffered", err=True)
