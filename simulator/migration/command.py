"""``python -m simulator migration``."""

import sys
import tempfile
import time
from pathlib import Path

import click
import orjson

from simulator.migration.rehearsal import Rehearsal
from simulator.stack.packages import require_stack


@click.command("migration")
@click.option("--vendors", default=10, show_default=True)
@click.option(
    "--messages", default=10, show_default=True, help="Messages of each vendor in each wave."
)
@click.option(
    "--customers",
    default=3,
    show_default=True,
    help="Customers who write to each vendor in each wave.",
)
@click.option("--verbose", is_flag=True, help="Also print the output of the commands.")
def command(vendors: int, messages: int, customers: int, verbose: bool) -> None:
    """Run through MIGRATION.md from the first step to the last and back, on the real stack.

    Executes the page's commands under load, with the crons running, and prints a line of JSON for
    each step. Exits 1 if anything is lost, doubled or not executed.
    """
    require_stack()
    began = time.monotonic()
    failed = []
    with (
        tempfile.TemporaryDirectory(prefix="migration-") as folder,
        Rehearsal(
            Path(folder), vendors=vendors, messages=messages, customers=customers
        ) as rehearsal,
    ):
        click.echo(f"on {rehearsal.installation.description()}", err=True)
        for report in rehearsal.walk():
            click.echo(orjson.dumps(report.as_json()))
            sys.stdout.flush()
            for done in report.commands if verbose or not report.held else []:
                click.echo(f"$ {done.command}\n{done.output}", err=True)
            if not report.held:
                failed.append(report.step)
                click.echo(f"lost: {report.lost[:5]}, twice: {report.twice[:5]}", err=True)
        failures = rehearsal.crons.failures
    for failure in failures[:3]:
        click.echo(f"a cron has failed: {failure}", err=True)
    if failed or failures:
        raise click.ClickException(f"these steps failed: {', '.join(failed) or 'the crons'}")
    seconds = time.monotonic() - began
    click.echo(f"there and back in {seconds:.0f} s: nothing lost, nothing done twice", err=True)
