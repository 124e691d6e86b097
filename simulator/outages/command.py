"""``python -m simulator outages``."""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import orjson

from simulator.embedded import EmbeddedInstallation
from simulator.installation import Installation
from simulator.outages import network
from simulator.outages.figures import Figures, table
from simulator.outages.plan import SHAPES, Plan
from simulator.outages.run import OutageRun, RunStuck
from simulator.outages.stage import Stage
from simulator.outages.watch import Watch
from simulator.processes import ProcessFailed
from simulator.stack.installation import StackInstallation
from simulator.stack.packages import require_stack


@click.command("outages")
@click.option(
    "--shape",
    "shapes",
    multiple=True,
    type=click.Choice(SHAPES),
    help="May be repeated.  [default: all]",
)
@click.option("--seconds", default=60.0, show_default=True, help="How long an outage lasts.")
@click.option("--messages", default=5000, show_default=True, help="Rows of each campaign.")
@click.option("--rate", default=80.0, show_default=True, help="Messages per second of the number.")
@click.option(
    "--accepted", is_flag=True, help="What an outage hits is accepted; only its answer goes wrong."
)
@click.option("--only-sends", is_flag=True, help="Reads are answered during an outage.")
@click.option("--stack", is_flag=True, help="On nginx, PHP-FPM, Laravel, MariaDB and Redis.")
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), help="Write the figures to a file."
)
@click.option("--keep", type=click.Path(path_type=Path), help="Keep logs and tables in a folder.")
def command(
    shapes: tuple[str, ...],
    seconds: float,
    messages: int,
    rate: float,
    accepted: bool,
    only_sends: bool,
    stack: bool,
    json_file: Path | None,
    keep: Path | None,
) -> None:
    """Send a campaign through an outage of each shape, and count what became of its rows.

    Exits 1 if a row failed, was sent twice, lost or left, if more than 20 are of unknown outcome,
    or if `sidecar status` did not name the outage within 5 s.
    """
    if stack:
        require_stack()
    for shape in shapes or SHAPES:
        if (program := network.lacking(shape)) is not None:
            raise click.ClickException(f"no outage of shape {shape} without {program}: install it")
    figures = []
    for shape in shapes or SHAPES:
        plan = Plan(shape, seconds, messages, rate, accepted and shape != "reset", only_sends)
        with _folder(keep, shape) as folder:
            found = _run(plan, StackInstallation(folder) if stack else EmbeddedInstallation(folder))
        figures.append(found)
        click.echo(orjson.dumps(found.as_dict()), err=True)
        sys.stderr.flush()
    click.echo(table(figures))
    if json_file is not None:
        json_file.write_bytes(orjson.dumps([one.as_dict() for one in figures]) + b"\n")
    if faults := [f"{one.shape}: {'; '.join(one.faults())}" for one in figures if one.faults()]:
        raise click.ClickException("\n".join(faults))


def _run(plan: Plan, installation: Installation) -> Figures:
    try:
        with Stage(installation, 1, plan.rate, plan.shape) as stage, Watch(installation) as watch:
            run = OutageRun(stage, stage.vendors[0], plan)
            run.start()
            run.begin_outage()
            run.end_outage()
            run.finish()
            run.wait_until_over(watch)
            return run.figures(watch)
    except (ProcessFailed, RunStuck) as error:
        raise click.ClickException(str(error)) from None


@contextmanager
def _folder(keep: Path | None, shape: str) -> Iterator[Path]:
    if keep is not None:
        folder = keep.resolve() / shape
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            raise click.ClickException(f"{folder} is there already: remove it first") from None
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="outages-") as temporary:
        yield Path(temporary)
