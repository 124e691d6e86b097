"""``sidecar status``: how everything is doing. Changes nothing."""

import asyncio
from typing import TYPE_CHECKING, Any

import click
import orjson

if TYPE_CHECKING:
    from sidecar.settings import Settings


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Everything, as one JSON object.")
def status(as_json: bool) -> None:
    """Show how everything is doing: what is wrong first, and what to do about it.

    Ends with 1 if something that came in is not accounted for, or if Redis cannot be asked.
    """
    # Only here: every command imports this module, and would begin the later.
    from sidecar.commands.start import load_settings
    from sidecar.redis import embedded

    settings = load_settings("status")
    try:
        with embedded.redis_url(settings) as redis_url:
            text, failed = asyncio.run(_look(settings, redis_url, as_json))
    except embedded.EmbeddedFailed as error:
        text, failed = _without_redis(str(error), as_json), True
    click.echo(text)
    if failed:
        raise click.exceptions.Exit(1)


async def _look(settings: "Settings", redis_url: str, as_json: bool) -> tuple[str, bool]:
    """Return what is to be printed, and whether the command fails."""
    from sidecar.commands.status_text import render
    from sidecar.http.app import make_backend
    from sidecar.ops.problems import problems
    from sidecar.ops.report import as_json as report_json
    from sidecar.ops.report import read_report
    from sidecar.redis.client import UNAVAILABLE, RedisError, connect

    redis = connect(redis_url, timeout_s=5.0)
    backend = make_backend(settings)
    try:
        report = await read_report(redis, backend)
    except (*UNAVAILABLE, RedisError) as error:
        return _without_redis(str(error) or type(error).__name__, as_json), True
    finally:
        await redis.aclose()
        await backend.close()
    found = problems(report, settings)
    if not as_json:
        return render(report, found), not report.balanced
    return _dump({"problems": found, **report_json(report)}), not report.balanced


def _without_redis(reason: str, as_json: bool) -> str:
    from sidecar.commands.status_text import render_problems
    from sidecar.ops.problems import redis_unavailable

    problem = redis_unavailable(reason)
    if not as_json:
        return "\n".join(render_problems([problem]))
    return _dump({"problems": [problem], "redis": {"up": False, "error": reason}})


def _dump(value: dict[str, Any]) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
