"""``sidecar serve``: the HTTP face under uvicorn."""

import asyncio
import signal
import socket
import sys
from types import FrameType

import click
import uvicorn
import uvloop

from sidecar import garbage
from sidecar.http.app import create_app
from sidecar.http.connection import make_connection_class
from sidecar.redis import embedded
from sidecar.settings import Settings


class CannotServe(Exception):
    """Cannot listen on the address. The message is one line that says why."""


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; requests in flight are finished. Raises
    :class:`CannotServe`, and ``EmbeddedFailed`` if the embedded Valkey does not start."""
    # uvicorn puts its own handlers in front of these, and calls these when it has shut down.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _exit)
    with _listen(settings) as listening, embedded.redis_url(settings) as redis_url:
        uvloop.run(_serve(settings, redis_url, listening))


def _exit(number: int, frame: FrameType | None) -> None:
    sys.exit(0)


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except OSError as error:
        reason = (error.strerror or str(error)).partition(" (")[0]
        raise CannotServe(
            f"cannot listen on {settings.host} port {settings.port}: {reason}; "
            "look at the settings host and port"
        ) from None


def configure(settings: Settings, redis_url: str) -> uvicorn.Config:
    """Return uvicorn's configuration."""
    app = create_app(settings, redis_url)
    return uvicorn.Config(
        app,
        http=make_connection_class(taker=app.direct),
        lifespan="on",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=int(settings.shutdown_timeout_s),
    )


async def _serve(settings: Settings, redis_url: str, listening: socket.socket) -> None:
    port = listening.getsockname()[1]
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    server = _Server(configure(settings, redis_url), f"http://{host}:{port}")
    await server.serve(sockets=[listening])


class _Server(uvicorn.Server):
    """Prints a line on standard output when it listens, for whoever started it. Waits for its end;
    uvicorn's looks ten times a second whether it has come."""

    def __init__(self, config: uvicorn.Config, url: str) -> None:
        super().__init__(config)
        self._url = url
        self._loop = asyncio.get_running_loop()
        self._ending = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        garbage.calm()
        click.echo(f"listening on {self._url}")

    async def main_loop(self) -> None:
        if not await self.on_tick(0):
            await self._ending.wait()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        self._loop.call_soon_threadsafe(self._ending.set)
