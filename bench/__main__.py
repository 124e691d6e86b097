"""``make bench``: measure, write ``bench/results/latest.json``, and make ``docs/performance.md`` of
it."""

import sys
import time
import traceback

import click
import httpx

from bench import page, results
from bench.context import Context
from bench.parts import PARTS, WITHOUT_STACK, load
from bench.peers.hybrid import NODE
from simulator.processes import ProcessFailed
from simulator.stack.packages import missing


@click.command()
@click.argument("parts", nargs=-1, type=click.Choice(PARTS))
@click.option("--runs", default=3, show_default=True, help="How often each part is measured.")
@click.option("--quick", is_flag=True, help="Once, and as small as shows that it works.")
@click.option("--write/--no-write", default=None, help="Keep the results; not if it is quick.")
@click.option("--report", is_flag=True, help="Measure nothing, and make the page anew.")
@click.option("--check", is_flag=True, help="Exit 1 if the page is not that of the results.")
def main(
    parts: tuple[str, ...], runs: int, quick: bool, write: bool | None, report: bool, check: bool
) -> None:
    """Measure all PARTS, or those that are named, beside the peers."""
    if check:
        sys.exit(0 if page.is_up_to_date() else 1)
    failed: list[str] = []
    if not report:
        _refuse_what_is_missing(parts or PARTS)
        keep = not quick if write is None else write
        failed = [name for name in parts or PARTS if not _measured(name, runs, quick, keep)]
    page.write()
    click.echo(page.budget_table(results.read()))
    if failed:
        raise click.ClickException(f"failed: {', '.join(failed)}; see above")


def _refuse_what_is_missing(parts: tuple[str, ...]) -> None:
    if not NODE.exists():
        raise click.ClickException("there is no Node: run scripts/install-peers")
    if (lacking := missing()) and set(parts) - WITHOUT_STACK:
        raise click.ClickException(f"missing: {', '.join(lacking)}; run scripts/install-stack")


def _measured(name: str, runs: int, quick: bool, keep: bool) -> bool:
    """Measure a part, and keep what was found. Tell whether all runs came to their end: a part that
    fails keeps none of the others from being measured."""
    runs = 1 if quick else runs
    figures = []
    started = time.monotonic()
    for number in range(runs):
        click.echo(f"{name}, run {number + 1} of {runs} ...")
        try:
            figures.append(load(name)(Context(quick)))
        except (ProcessFailed, RuntimeError, TimeoutError, httpx.HTTPError):
            traceback.print_exc()
            return False
        click.echo(f"  after {time.monotonic() - started:.0f} s")
        for system, metrics in figures[-1].items():
            values = ", ".join(f"{metric} {value:.4g}" for metric, value in metrics.items())
            click.echo(f"  {system}: {values}")
    if keep:
        results.write(name, figures, time.monotonic() - started, quick)
    return True


if __name__ == "__main__":
    main()
