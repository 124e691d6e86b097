"""``sidecar status``: how everything is doing. Changes nothing."""

from typing import Any

import click
import orjson

from sidecar.commands.context import Context, with_context
from sidecar.commands.status_text import render, render_problems
from sidecar.ops.problems import problems, redis_unavailable
from sidecar.ops.report import as_json as report_json
from sidecar.ops.report import read_report
from sidecar.redis.client import RedisUnavailable
from sidecar.redis.embedded import EmbeddedFailed


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Everything, as one JSON object.")
@with_context("status")
async def status(context: Context, as_json: bool) -> None:
    """Show what is wrong, what to do, and how all is doing.

    Exits 1 if the accounting does not balance, or if Redis is unavailable.
    """
    text, failed = await look(context, as_json=as_json)
    click.echo(text)
    if failed:
        raise click.exceptions.Exit(1)


async def look(context: Context, *, as_json: bool) -> tuple[str, bool]:
    """Return what is to be printed, and whether the command fails."""
    try:
        report = await read_report(context.redis(), context.backend())
    except (EmbeddedFailed, *RedisUnavailable) as error:
        return _without_redis(str(error) or type(error).__name__, as_json), True
    found = problems(report, context.settings)
    if not as_json:
        return render(report, found), not report.balanced
    return _dump({"problems": found, **report_json(report)}), not report.balanced


def _without_redis(reason: str, as_json: bool) -> str:
    problem = redis_unavailable(reason)
    if not as_json:
        return "\n".join(render_problems([problem]))
    return _dump({"problems": [problem], "redis": {"up": False, "error": reason}})


def _dump(value: dict[str, Any]) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
