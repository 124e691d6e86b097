"""``python -m simulator cloud-api``."""

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import structlog
import uvloop
from pydantic import ValidationError

from simulator.cloud_api.config import CloudApiConfig
from simulator.cloud_api.server import running

#: Few of the many records are ever garbage, so looking for it often is wasted.
_GC_THRESHOLD = 50_000

_Command = Callable[..., None]

_DELAY = click.Tuple([float, float])
_DELAY_HELP = "Least and most milliseconds."


def _option(name: str, kind: Any, text: str) -> Callable[[_Command], _Command]:
    return click.option(name, type=kind, default=None, help=text)


@click.command("cloud-api")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=0, show_default=True, help="Port to listen on; 0 picks a free one.")
@click.option(
    "--config",
    "config_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON file with settings (CloudApiConfig); other options override it.",
)
@click.option("--phone-number-id", "phone_number_ids", multiple=True, help="May be repeated.")
@_option("--rate", float, "Messages per second that each number accepts.")
@_option("--burst-s", float, "Seconds of throughput that may go at once.")
@_option("--webhook-url", str, "Where webhooks go.")
@_option("--app-secret", str, "Key of the webhooks' signatures.")
@_option("--access-token", str, "Token that sends must carry.")
@_option("--account-id", str, "WhatsApp business account of the numbers.")
@_option("--sent-delay-ms", _DELAY, _DELAY_HELP)
@_option("--delivered-delay-ms", _DELAY, _DELAY_HELP)
@_option("--read-delay-ms", _DELAY, _DELAY_HELP)
@_option("--reply-delay-ms", _DELAY, _DELAY_HELP)
@_option("--delivered-share", float, "Share of messages that are delivered.")
@_option("--read-share", float, "Share of delivered messages that are read.")
@_option("--reply-share", float, "Share of delivered messages that are answered.")
@_option("--duplicate-share", float, "Share of webhooks that are posted twice.")
@_option("--reorder-share", float, "Share of statuses that are overtaken by the next one.")
@_option("--early-share", float, "Share of messages with a status before the send's answer.")
@_option("--inbound-per-s", float, "Customers' messages per second that nobody asked for.")
@_option("--inbound-total", int, "How many of those.")
@_option("--hidden-share", float, "Share of those customers who hide their number.")
@_option("--service-window-s", float, "How long a customer may be answered freely; 0: always.")
@_option("--webhook-connections", int, "Connections to one webhook URL.")
@_option("--seed", int, "Same seed, same draws.")
@click.option("--log-level", default="info", show_default=True)
def command(
    host: str,
    port: int,
    config_file: Path | None,
    phone_number_ids: tuple[str, ...],
    rate: float | None,
    log_level: str,
    **settings: Any,
) -> None:
    """Run a simulated WhatsApp Cloud API until SIGTERM.

    Prints `listening on http://HOST:PORT` when it is ready. Error codes on demand, fault rules
    and the report: see the module simulator.cloud_api and GET /_simulator/report.
    """
    given = {name: value for name, value in settings.items() if value is not None}
    if rate is not None:
        given["messages_per_s"] = rate
    if phone_number_ids:
        given["phone_numbers"] = [{"phone_number_id": one} for one in phone_number_ids]
    config = _read_config(config_file, given)
    _log_to_stderr(log_level)
    gc.set_threshold(_GC_THRESHOLD, 20, 100)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(config, host, port))
    except OSError as error:
        raise click.ClickException(f"cannot listen on {host}:{port}: {error.strerror}") from error


def _read_config(config_file: Path | None, given: dict[str, Any]) -> CloudApiConfig:
    try:
        config = CloudApiConfig()
        if config_file is not None:
            config = CloudApiConfig.model_validate_json(config_file.read_bytes())
        return CloudApiConfig.model_validate(config.model_dump() | given)
    except ValidationError as error:
        lines = [
            f"{'.'.join(map(str, one['loc'])) or 'settings'}: {one['msg']}"
            for one in error.errors(include_url=False)
        ]
        raise click.ClickException("; ".join(lines)) from None


async def _serve(config: CloudApiConfig, host: str, port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with running(config, host, port) as simulator:
        click.echo(f"listening on {simulator.url}")
        sys.stdout.flush()
        await stop.wait()


def _log_to_stderr(level: str) -> None:
    logging.basicConfig(stream=sys.stderr, level=level.upper(), format="%(levelname)s %(message)s")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
