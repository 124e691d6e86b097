"""``sidecar check``: whether everything that the sidecar needs works, and what to do if not."""

import asyncio
from collections.abc import AsyncIterator

import click
import orjson

from sidecar import logs
from sidecar.commands.checks.basic import check_backend, check_redis, check_settings
from sidecar.commands.checks.deep import Public, check_deep
from sidecar.commands.checks.line import Level, Line, fail
from sidecar.commands.context import Context
from sidecar.redis.embedded import EmbeddedFailed
from sidecar.settings import InvalidSettings, Settings, dramatiq_url


@click.command()
@click.option("--deep", is_flag=True, help="Check everything that a migration step needs.")
@click.option(
    "--public-url",
    metavar="URL",
    help="With --deep: try the address that Meta posts webhooks to. Default: the setting "
    "public_url.",
)
@click.option(
    "--vendor",
    metavar="UID",
    help="With --deep: verify this vendor's webhook there, with its right token; PHP marks it as "
    "verified.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object, with all lines.")
def check(deep: bool, public_url: str | None, vendor: str | None, as_json: bool) -> None:
    """Check settings, Redis, PHP and signatures.

    Each line says what to do. Exits 1 if a line says FAIL. Run --deep before each migration step:
    it checks versions, tables and indexes, crons, clocks, signed calls in both directions, Redis,
    workers and limits.
    """
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
        lines += asyncio.run(_collect(settings, deep, public, out))
    out.end(lines)
    if any(line.level is Level.FAIL for line in lines):
        raise click.exceptions.Exit(1)


class _Printer:
    """Prints lines as they come, or all of them as JSON at the end."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json

    def line(self, line: Line) -> Line:
        if not self._as_json:
            click.echo(line.text)
        return line

    def end(self, lines: list[Line]) -> None:
        if self._as_json:
            healthy = not any(line.level == "FAIL" for line in lines)
            found = {"ok": healthy, "lines": [line.json for line in lines]}
            click.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())


async def _collect(
    settings: Settings, deep: bool, public: Public | None, out: _Printer
) -> list[Line]:
    async with Context(settings) as context:
        try:
            return [out.line(line) async for line in _look(context, deep, public)]
        except EmbeddedFailed as error:
            return [out.line(fail("redis", str(error)))]


async def _look(context: Context, deep: bool, public: Public | None) -> AsyncIterator[Line]:
    settings = context.settings
    redis = context.redis(timeout_s=2.0)
    dramatiq = context.redis(dramatiq_url(settings, context.redis_url), timeout_s=2.0)
    backend = context.backend()
    redis_answers = php_answers = True
    async for line in check_redis(redis, dramatiq):
        yield line
        redis_answers = redis_answers and not (line.what == "redis" and line.level is Level.FAIL)
    async for line in check_backend(backend, settings):
        yield line
        php_answers = php_answers and line.level is not Level.FAIL
    if deep:
        looked = check_deep(
            settings, redis if redis_answers else None, backend if php_answers else None, public
        )
        async for line in looked:
            yield line
