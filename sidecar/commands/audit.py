"""``sidecar audit``: who did what, and when."""

from typing import Any

import click
import orjson

from sidecar.clock import now_ms, utc_text
from sidecar.commands.context import Context, with_context
from sidecar.commands.durations import Duration, DurationType
from sidecar.commands.tables import print_table
from sidecar.ops.audit import Entry, Filter, as_json

NAMES = ("AT", "WHO", "ACTION", "TARGET", "OUTCOME", "DETAILS")


@click.command()
@click.option("--who", default="", help="Only of users whose name contains this.")
@click.option("--kind", type=click.Choice(["console", "command", "php"]), help="Only from there.")
@click.option("--action", default="", help="Only this: campaign.pause, or campaign for all of it.")
@click.option("--target", default="", help="Only of targets that contain this.")
@click.option("--outcome", default="", help="Only with this outcome, such as failed.")
@click.option("--since", type=DurationType(), help="Only of so long: 90s, 30m, 12h or 7d.")
@click.option(
    "--limit",
    type=click.IntRange(1, 100_000),
    default=50,
    show_default=True,
    help="At most so many.",
)
@click.option("--json", "as_lines", is_flag=True, help="One line of JSON for each action.")
@with_context("audit", log_level="error")
async def audit(
    context: Context,
    /,
    kind: str | None,
    since: Duration | None,
    limit: int,
    as_lines: bool,
    **texts: str,
) -> None:
    """Show who changed something, and when.

    From the console, the command line and PHP; the newest last. What crons, workers and customers
    do is not among it.
    """
    since_ms = 0 if since is None else now_ms() - 1000 * since.seconds
    wanted = Filter(kind=kind or "", since_ms=since_ms, **texts)
    found = await context.audit.read(count=limit, wanted=wanted)
    if as_lines:
        for entry in reversed(found):
            click.echo(orjson.dumps(as_json(entry)).decode())
    elif not print_table(NAMES, map(_row, reversed(found))):
        click.echo("nothing of the kind is recorded")


def _row(entry: Entry) -> tuple[str, ...]:
    role = f" ({entry.who.role})" if entry.who.role else ""
    who = f"{entry.who.kind} {entry.who.name}{role}".rstrip()
    details = ", ".join(f"{name} {_words(value)}" for name, value in entry.details.items())
    return (utc_text(entry.at_ms), who, entry.action, entry.target, entry.outcome, details)


def _words(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(_words, value))
    if isinstance(value, dict):
        return ", ".join(f"{name} {_words(one)}" for name, one in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else str(value)
