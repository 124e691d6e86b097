"""``sidecar demo``: runs the demo, shows it, and ends with an error if anything differs."""

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import click
import orjson

from simulator.checkout import require_checkout
from simulator.comparison import Comparison
from simulator.control import read
from simulator.cost import Cost
from simulator.demo import Demo
from simulator.demo_odd import OddDemo
from simulator.demo_stay import invitation, stay
from simulator.embedded import EmbeddedInstallation
from simulator.installation import Installation
from simulator.odd_outcome import table
from simulator.processes import ProcessFailed
from simulator.status_watch import StatusWatch


@click.command(name="demo")
@click.option("--messages", default=1000, show_default=True, help="Messages of the campaign.")
@click.option(
    "--rate", default=250.0, show_default=True, help="Messages per second that the number allows."
)
@click.option(
    "--replies",
    type=int,
    help="Messages that customers send meanwhile.  [default: a tenth of messages]",
)
@click.option(
    "--stack",
    is_flag=True,
    help="Use nginx, PHP-FPM, Laravel, MariaDB and Redis; scripts/install-stack installs them.",
)
@click.option(
    "--odd",
    is_flag=True,
    help="Send webhooks as they occur in the wild meanwhile, and say what became of each kind.",
)
@click.option(
    "--marketing",
    type=click.Choice(["off", "fallback", "strict"]),
    default="off",
    show_default=True,
    help="How marketing templates are sent: by the Marketing Messages API, or as any other (off).",
)
@click.option(
    "--watch-status",
    is_flag=True,
    help="Look at sidecar status all the while: anything that it calls wrong is an error.",
)
@click.option(
    "--stay",
    "stays",
    is_flag=True,
    help="Keep everything running afterwards, and say how to look at it.",
)
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), help="Write the figures to a file."
)
@click.option("--keep", type=click.Path(path_type=Path), help="Keep tables and logs in a folder.")
def command(
    messages: int,
    rate: float,
    replies: int | None,
    stack: bool,
    odd: bool,
    marketing: str,
    watch_status: bool,
    stays: bool,
    json_file: Path | None,
    keep: Path | None,
) -> None:
    """Run the whole job on this machine, and compare the counts."""
    count = messages // 10 if replies is None else replies
    with _folder(keep) as folder:
        try:
            with _installation(folder, stack, odd) as installation:
                installation.configure(console=stays)
                demo = (OddDemo if odd else Demo)(
                    installation, messages=messages, rate=rate, marketing_messages=marketing
                )
                figures, differences = run(
                    demo, count, alone_first=stack and not odd, watch_status=watch_status
                )
                _tell(figures, differences, json_file, installation.description())
                if stays:
                    click.echo(invitation(demo))
                    stay()
        except ProcessFailed as error:
            raise click.ClickException(str(error)) from None


def _tell(
    figures: dict[str, Any], differences: list[str], json_file: Path | None, ran_on: str
) -> None:
    click.echo("\n" + _table(figures))
    if json_file is not None:
        json_file.write_bytes(orjson.dumps(figures, option=orjson.OPT_INDENT_2) + b"\n")
    if differences:
        raise click.ClickException("the counts differ: " + "; ".join(differences))
    click.echo(
        "every message was sent once, and everything that was acknowledged has arrived, "
        f"on {ran_on}"
    )


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        if any(keep.iterdir()):
            raise click.ClickException(f"{keep} is not empty; name an empty folder")
        yield keep.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="sidecar-demo-") as folder:
        yield Path(folder)


def _installation(folder: Path, stack: bool, odd: bool) -> Installation:
    if not stack:
        return EmbeddedInstallation(folder)
    require_checkout("demo --stack")
    # Only here: the wheel leaves them out.
    from simulator.stack.engines import HOST_ROUTINE
    from simulator.stack.installation import StackInstallation
    from simulator.stack.packages import require_stack

    require_stack()
    # What becomes of odd payloads is known of the package's own engine; a host decides for itself.
    return StackInstallation(folder, php=None if odd else HOST_ROUTINE)


def run(
    demo: Demo, replies: int, *, alone_first: bool, watch_status: bool = False
) -> tuple[dict[str, Any], list[str]]:
    """Run the demo and return its figures, and what does not fit. With ``alone_first`` a campaign
    without customers goes before, to see what it costs by itself; with ``watch_status`` what
    ``sidecar status`` calls wrong meanwhile does not fit."""
    click.echo("starting everything ...")
    demo.start()
    for name, process in demo.installation.processes.items():
        click.echo(f"  {name:<18} pid {process.pid:<8} {process.url if process.port else ''}")
    differences: list[str] = []
    figures: dict[str, Any] = {}
    if alone_first:
        comparison, figures["campaign_alone"] = _campaign(demo, 0)
        differences += comparison.differences
    with StatusWatch(demo.installation) if watch_status else nullcontext() as watch:
        comparison, cost = _campaign(demo, replies)
    differences += comparison.differences
    if watch is not None:
        figures["status"] = watch.as_dict()
        click.echo(f"sidecar status: {watch.looks} looks, {watch.longest_s:.1f} s at most each")
        differences += watch.wrong
    report = read(demo.cloud_api, "report")
    figures |= {
        **_odd(demo, differences),
        **comparison.as_dict(),
        **cost,
        "by_marketing_messages_api": demo.by_marketing_messages_api(),
        "throughput": demo.throughput(),
        "refused_by_cloud_api": report["refused"],
        "webhooks": report["webhooks"],
        "memory_mb": demo.memory_mb(),
        "backend_errors": demo.installation.backend_errors(),
    }
    if isinstance(demo.installation, EmbeddedInstallation):
        figures["backend_requests_with_customers_messages"] = demo.installation.report()[
            "calls_with_messages"
        ]
    return figures, differences


def _odd(demo: Demo, differences: list[str]) -> dict[str, Any]:
    """Show what became of odd payloads, and add what should not have."""
    if not isinstance(demo, OddDemo):
        return {}
    outcome = demo.outcome()
    click.echo("\n" + table(outcome))
    for problem in outcome.problems:
        click.echo(f"{problem.promise}: {problem.kind}: {problem.what}")
    if counts := outcome.counts():
        differences.append(", ".join(f"{name} {count}" for name, count in counts.items()))
    else:
        click.echo("nothing odd was dropped, doubled, or answered that must not be")
    return {"odd": {kind: row.as_dict() for kind, row in outcome.rows.items()}}


def _campaign(demo: Demo, replies: int) -> tuple[Comparison, dict[str, Any]]:
    """Run one campaign. Return what arrived, and what it has cost."""
    before, started = Cost.of(demo.installation), time.monotonic()
    state = demo.start_campaign(replies)
    beside = f" while {replies} messages come from customers" if replies else ""
    click.echo(f"campaign of {demo.messages} messages started{beside}: {state['state']}")
    _show(demo.watch())
    seconds = round(time.monotonic() - started, 1)
    cost = Cost.of(demo.installation).since(before)
    return demo.compare(), {"seconds": seconds, **cost.as_dict()}


def _show(lines: Iterator[str]) -> None:
    live = sys.stdout.isatty()
    line = ""
    for number, line in enumerate(lines):
        if live:
            click.echo(f"\r{line}", nl=False)
        elif number % 4 == 0:
            click.echo(line)
    click.echo(f"\r{line}" if live else line)


def _table(figures: dict[str, Any]) -> str:
    rows = [
        ("", "Cloud API counted", "backend's tables say"),
        ("messages sent", figures["accepted"], figures["settled"]),
        ("statuses", figures["statuses_received"], figures["statuses_applied"]),
        ("customers' messages", figures["replies_received"], figures["replies_applied"]),
    ]
    throughput = figures["throughput"]
    memory = ", ".join(
        f"{name} {mb['early']} -> {mb['end']}" for name, mb in figures["memory_mb"].items()
    )
    cpu = ", ".join(
        f"{part} {spent:.1f}" for part, spent in figures["cpu_s"].items() if part != "cloud-api"
    )
    return "\n".join(
        [
            *(f"{name:<22}{a!s:>18}{b!s:>24}" for name, a, b in rows),
            f"sent twice {figures['sent_twice']}, lost {figures['lost']}",
            *_marketing(figures["by_marketing_messages_api"]),
            *_costs(figures),
            f"rate: {throughput['average_per_s']:.1f}/s on average, at most "
            f"{throughput['worst_second']} in any second, {throughput['throttled']} throttled",
            f"CPU seconds: {cpu}",
            f"memory in MB, early -> end: {memory}",
            f"took {figures['seconds']} s",
            *_errors(figures["backend_errors"]),
        ]
    )


def _marketing(count: int) -> list[str]:
    return [f"by the Marketing Messages API: {count}"] if count else []


def _errors(logged: list[str]) -> list[str]:
    if not logged:
        return []
    return [f"errors that the backend has logged: {len(logged)}; the first: {logged[0][:500]}"]


def _costs(figures: dict[str, Any]) -> list[str]:
    """Say what the calls to the backend were, those with customers' messages by themselves."""
    with_messages = figures.get("backend_requests_with_customers_messages")
    if with_messages is not None:
        others = figures["backend_requests"] - with_messages
        return [f"requests to the backend: {others}, and {with_messages} with customers' messages"]
    alone = figures.get("campaign_alone")
    return [
        *([f"a campaign alone: {_calls(alone)}"] if alone is not None else []),
        f"with customers' messages: {_calls(figures)}",
    ]


def _calls(cost: dict[str, Any]) -> str:
    return f"{cost['backend_requests']} requests to PHP, {cost['sql_statements']} SQL statements"
