"""``sidecar status``: how everything is doing. Changes nothing."""

import asyncio
from dataclasses import replace
from typing import Any

import click
import orjson

from sidecar.commands.context import Context, with_context
from sidecar.commands.status_text import render, render_problems
from sidecar.ops.problems import problems, redis_unavailable
from sidecar.ops.reach import read_reached
from sidecar.ops.report import as_json as report_json
from sidecar.ops.report import read_report
from sidecar.redis.client import RedisUnavailable
from sidecar.redis.embedded import EmbeddedFailed


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Everything, as one JSON object.")
@with_context("status")
async def status(context: Context, as_json: bool) -> None:
    """Show what is wrong, what to do, and how all is doing.

    Exits 0 if all is well, 1 if something is wrong, and 2 if it cannot be told: a setting is wrong,
    or the command itself failed.
    """
    text, failed = await look(context, as_json=as_json)
    click.echo(text)
    if failed:
        raise click.exceptions.Exit(1)


async def look(context: Context, *, as_json: bool) -> tuple[str, bool]:
    """Return what is to be printed, and whether anything is wrong."""
    try:
        report, reached = await asyncio.gather(
            read_report(context.redis(), context.backend()),
            read_reached(context.settings, context.redis_url),
        )
    except (EmbeddedFailed, *RedisUnavailable) as error:
        return _without_redis(str(error) or type(error).__name__, as_json), True
    report = replace(report, reached=reached)
    found = problems(report, context.settings)
    if not as_json:
        return render(report, found), bool(found)
    return _dump({"problems": found, **report_json(report)}), bool(found)


def _without_redis(reason: str, as_json: bool) -> str:
    problem = redis_unavailable(reason)
    if not as_json:
        return "\n".join(render_problems([problem]))
    return _dump({"problems": [problem], "redis": {"up": False, "error": reason}})


def _dump(value: dict[str, Any]) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
