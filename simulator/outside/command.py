"""Running a simulated server outside as a command."""

import asyncio
import logging
import signal
import sys
from typing import Any

import click

from simulator.outside.app import Outside, running


def serve(app: Outside[Any], host: str, port: int) -> None:
    """Serve until told to stop; say on stdout where."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    try:
        asyncio.run(_serve(app, host, port))
    except OSError as error:
        raise click.ClickException(f"cannot listen on {host}:{port}: {error.strerror}") from error


async def _serve(app: Outside[Any], host: str, port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with running(app, host, port):
        click.echo(f"listening on {app.url}")
        sys.stdout.flush()
        await stop.wait()
