"""``sidecar top``: how everything is doing, live in the terminal."""

import asyncio
import time
from dataclasses import dataclass, replace

import click
import orjson
from rich.console import Console, Group, RenderableType
from rich.live import Live

from sidecar.commands.context import Context, with_context
from sidecar.commands.tables import make_console
from sidecar.commands.top_text import Frame, lost, page
from sidecar.ops.campaigns import read_all, read_all_of_redis
from sidecar.ops.problems import problems
from sidecar.ops.rates import Counts, count, grown
from sidecar.ops.reach import read_reached
from sidecar.ops.report import Reached, read_report
from sidecar.ops.report import as_json as report_json
from sidecar.php.client import Backend, BackendError
from sidecar.redis.client import AnyRedisError, Redis, reason_of
from sidecar.settings import Settings

#: How wide one frame may be that goes into a pipe or a file: nothing is cut.
_PLAIN_WIDTH = 100_000
#: What :func:`read_reached` tries is tried again after so long, not for each frame.
REACHED_S = 10.0


@dataclass(slots=True)
class Reader:
    """Reads frame after frame. Rates are those since the frame before."""

    settings: Settings
    redis: Redis
    redis_url: str
    backend: Backend
    _before: tuple[float, Counts] | None = None
    _reached: tuple[float, Reached] | None = None

    async def read(self) -> Frame:
        """Return how everything is doing. Raises redis-py's errors."""
        report, reached = await asyncio.gather(read_report(self.redis, self.backend), self._reach())
        report = replace(report, reached=reached)
        at, counts = time.monotonic(), count(report.overview.metrics)
        before, self._before = self._before, (at, counts)
        try:
            campaigns = await read_all(self.redis, self.backend)
        except BackendError as error:
            campaigns = await read_all_of_redis(self.redis, str(error))
        return Frame(
            report,
            problems(report, self.settings),
            campaigns,
            None if before is None else grown(before[1], counts),
            0.0 if before is None else max(at - before[0], 0.001),
        )

    async def _reach(self) -> Reached:
        if self._reached is None or time.monotonic() - self._reached[0] > REACHED_S:
            self._reached = time.monotonic(), await read_reached(self.settings, self.redis_url)
        return self._reached[1]


@click.command()
@click.option(
    "--every",
    "every_s",
    type=click.FloatRange(0.05, 3600),
    default=2.0,
    show_default=True,
    help="Seconds between two looks.",
)
@click.option("--once", is_flag=True, help="Print it once, and end.")
@click.option("--json", "as_json", is_flag=True, help="Print it once, as one JSON object.")
@with_context("top", log_level="critical")
async def top(context: Context, every_s: float, once: bool, as_json: bool) -> None:
    """Show rates, lanes, campaigns, numbers and problems, live.

    Ctrl-C ends it. Into a pipe it prints them once. While Redis is away it says so, and goes on.
    Exits 1 if it was to print once and Redis is away.
    """
    redis = context.redis(timeout_s=3.0)
    reader = Reader(context.settings, redis, context.redis_url, context.backend())
    console = make_console()
    if once or as_json or not console.is_terminal:
        await _once(reader, console, every_s, as_json=as_json)
        return
    await live(reader, console, every_s)


async def live(reader: Reader, console: Console, every_s: float) -> None:
    """Show frame after frame until the task is cancelled, as Ctrl-C does. Then, and after an error,
    the terminal is as it was."""
    task = asyncio.current_task()
    assert task is not None
    with Live(console=console, screen=True, auto_refresh=False) as screen:
        try:
            # What is under way when it is cancelled may end all the same.
            while not task.cancelling():
                screen.update(await _look(reader), refresh=True)
                await asyncio.sleep(every_s)
        except asyncio.CancelledError:
            return


async def _look(reader: Reader) -> RenderableType:
    try:
        return page(await reader.read())
    except AnyRedisError as error:
        return lost(reason_of(error))


async def _once(reader: Reader, console: Console, every_s: float, *, as_json: bool) -> None:
    """Print one frame, with the rates of as long as there is between two."""
    try:
        await reader.read()
        await asyncio.sleep(every_s)
        frame = await reader.read()
    except AnyRedisError as error:
        raise click.ClickException(
            f"Redis is unavailable: {reason_of(error)}; sidecar check tries it"
        ) from None
    if as_json:
        found = {"rates": frame.rates, "problems": frame.problems, **report_json(frame.report)}
        click.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())
        return
    if not console.is_terminal:
        console.width = _PLAIN_WIDTH
    console.print(Group(page(frame)))
