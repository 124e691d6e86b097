"""``sidecar check``: does everything that the sidecar needs work, and what to do if not."""

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import click
import orjson

if TYPE_CHECKING:
    from sidecar.commands.checks.deep import Public
    from sidecar.commands.checks.line import Line
    from sidecar.settings import Settings


@click.command()
@click.option("--deep", is_flag=True, help="Look at everything a step of a migration needs.")
@click.option(
    "--public-url",
    metavar="URL",
    help="With --deep: where Meta posts webhooks, to be tried. Default: the setting public_url.",
)
@click.option(
    "--vendor",
    metavar="UID",
    help="With --deep: the vendor whose webhook is verified there, with its right token; PHP marks "
    "it as verified.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object, with all lines.")
def check(deep: bool, public_url: str | None, vendor: str | None, as_json: bool) -> None:
    """Check settings, Redis, PHP and the signature round trip, and say what to do.

    Ends with 1 if a line says FAIL. --deep is for before each step of a migration: versions,
    tables and indexes, crons, clocks, the signed calls in both directions, Redis, workers, limits.
    """
    # Only here: every command imports this module, and would begin the later.
    from sidecar import logs
    from sidecar.commands.checks.basic import check_settings
    from sidecar.commands.checks.deep import Public
    from sidecar.commands.checks.line import Level, fail
    from sidecar.redis import embedded
    from sidecar.settings import InvalidSettings, Settings

    lines: list[Line] = []
    out = _Printer(as_json)
    try:
        settings = Settings.load(**({} if public_url is None else {"public_url": public_url}))
    except InvalidSettings as error:
        lines.append(out.line(fail("settings", str(error))))
    else:
        logs.configure("error", "console", "check")
        url = settings.public_url
        public = Public(url, vendor) if deep and url is not None else None
        if vendor is not None and public is None:
            raise click.UsageError("--vendor needs --deep, and --public-url or the setting")
        lines += [out.line(line) for line in check_settings(settings)]
        try:
            with embedded.redis_url(settings) as redis_url:
                lines += asyncio.run(_collect(settings, redis_url, deep, public, out))
        except embedded.EmbeddedFailed as error:
            lines.append(out.line(fail("redis", str(error))))
    out.end(lines)
    if any(line.level is Level.FAIL for line in lines):
        raise click.exceptions.Exit(1)


class _Printer:
    """Prints lines as they come, or all of them as JSON at the end."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json

    def line(self, line: "Line") -> "Line":
        if not self._as_json:
            click.echo(line.text)
        return line

    def end(self, lines: "list[Line]") -> None:
        if self._as_json:
            healthy = not any(line.level == "FAIL" for line in lines)
            found = {"ok": healthy, "lines": [line.json for line in lines]}
            click.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())


async def _collect(
    settings: "Settings", redis_url: str, deep: bool, public: "Public | None", out: _Printer
) -> "list[Line]":
    return [out.line(line) async for line in _look(settings, redis_url, deep, public)]


async def _look(
    settings: "Settings", redis_url: str, deep: bool, public: "Public | None"
) -> "AsyncIterator[Line]":
    from sidecar.commands.checks.basic import check_backend, check_redis
    from sidecar.commands.checks.deep import check_deep
    from sidecar.commands.checks.line import Level
    from sidecar.http.app import make_backend
    from sidecar.redis.client import connect
    from sidecar.settings import dramatiq_url

    redis = connect(redis_url, timeout_s=2.0)
    dramatiq = connect(dramatiq_url(settings, redis_url), timeout_s=2.0)
    backend = make_backend(settings)
    try:
        redis_answers = True
        async for line in check_redis(redis, dramatiq):
            yield line
            redis_answers = redis_answers and not (
                line.what == "redis" and line.level is Level.FAIL
            )
        php_answers = True
        async for line in check_backend(backend, settings):
            yield line
            php_answers = php_answers and line.level is not Level.FAIL
        if deep:
            looked = check_deep(
                settings,
                redis if redis_answers else None,
                backend if php_answers else None,
                public,
            )
            async for line in looked:
                yield line
    finally:
        await redis.aclose()
        await dramatiq.aclose()
        await backend.close()
