"""``sidecar check``: whether everything that the sidecar needs works, and what to do if not."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import click
import orjson

from sidecar import logs
from sidecar.commands.checks.basic import check_backend, check_redis, check_settings
from sidecar.commands.checks.cloud_api import check_cloud_api
from sidecar.commands.checks.deep import Public, check_deep
from sidecar.commands.checks.line import Level, Line, fail
from sidecar.commands.checks.replicas import check_replicas
from sidecar.commands.checks.sentinels import check_sentinels
from sidecar.commands.context import CANNOT_TELL, Context, one_line_errors
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
    help="Try this vendor's numbers only. With --deep and a public address, verify its webhook "
    "there too, with its right token; PHP marks it as verified.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object, with all lines.")
def check(deep: bool, public_url: str | None, vendor: str | None, as_json: bool) -> None:
    """Check settings, Redis, PHP, Cloud API, and numbers.

    Each line says what to do. Sends nothing: Meta is asked about each number with the vendor's
    access token, for some seconds at most. Run --deep before each migration step: it checks
    versions, tables and indexes, crons, clocks, signed calls in both directions, Redis, workers
    and limits, and the numbers of vendors who are still on PHP.

    Exits 1 if a line says FAIL, and 2 if a setting is wrong.
    """
    out = Printer(as_json)
    try:
        settings = Settings.load(**({} if public_url is None else {"public_url": public_url}))
    except InvalidSettings as error:
        out.end([out.line(fail("settings", str(error)))])
        raise click.exceptions.Exit(CANNOT_TELL) from None
    logs.configure("error", "console", "check")
    lines = run_checks(settings, Wanted(deep, settings.public_url, vendor), out)
    out.end(lines)
    if any(line.level is Level.FAIL for line in lines):
        raise click.exceptions.Exit(1)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to look at, as the options say."""

    deep: bool = False
    public_url: str | None = None
    vendor_uid: str | None = None

    @property
    def public(self) -> Public | None:
        if not self.deep or self.public_url is None:
            return None
        return Public(self.public_url, self.vendor_uid)


class Printer:
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


def run_checks(settings: Settings, wanted: Wanted, out: Printer) -> list[Line]:
    """Look at everything, and return the lines. Logging must be set up."""
    lines = [out.line(line) for line in check_settings(settings)]
    with one_line_errors():
        return lines + asyncio.run(_collect(settings, wanted, out))


async def _collect(settings: Settings, wanted: Wanted, out: Printer) -> list[Line]:
    async with Context(settings) as context:
        try:
            return [out.line(line) async for line in _look(context, wanted)]
        except EmbeddedFailed as error:
            return [out.line(fail("redis", str(error)))]


async def _look(context: Context, wanted: Wanted) -> AsyncIterator[Line]:
    settings = context.settings
    redis = context.redis(timeout_s=2.0)
    dramatiq = context.redis(dramatiq_url(settings, context.redis_url), timeout_s=2.0)
    backend = context.backend()
    redis_answers = php_answers = True
    async for line in check_redis(redis, dramatiq):
        yield line
        redis_answers = redis_answers and not (line.what == "redis" and line.level is Level.FAIL)
    redis_urls = (context.redis_url, dramatiq_url(settings, context.redis_url))
    in_sync = settings.redis_replicas_in_sync > 0
    async for line in check_sentinels(redis_urls, deep=wanted.deep, in_sync=in_sync):
        yield line
    if redis_answers:
        async for line in check_replicas(redis, settings):
            yield line
    async for line in check_backend(backend, settings):
        yield line
        php_answers = php_answers and line.level is not Level.FAIL
    async for line in check_cloud_api(
        settings,
        backend if php_answers else None,
        vendor_uid=wanted.vendor_uid,
        deep=wanted.deep,
    ):
        yield line
    if wanted.deep:
        looked = check_deep(
            settings,
            redis if redis_answers else None,
            backend if php_answers else None,
            wanted.public,
        )
        async for line in looked:
            yield line
