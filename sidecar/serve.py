"""``sidecar serve``: the HTTP face under uvicorn."""

import socket

import click
import uvicorn
import uvloop

from sidecar import embedded
from sidecar.app import create_app
from sidecar.settings import Settings


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. Requests under way are finished first."""
    with embedded.redis_url(settings) as redis_url:
        uvloop.run(_serve(settings, redis_url))


async def _serve(settings: Settings, redis_url: str) -> None:
    listening = socket.create_server((settings.host, settings.port), backlog=2048)
    port = listening.getsockname()[1]
    config = uvicorn.Config(
        create_app(settings, redis_url),
        http="httptools",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=int(settings.shutdown_timeout_s),
    )
    server = _Server(config, f"http://{settings.host}:{port}")
    await server.serve(sockets=[listening])


class _Server(uvicorn.Server):
    """Says on standard output when it listens, for whoever has started it."""

    def __init__(self, config: uvicorn.Config, url: str) -> None:
        super().__init__(config)
        self._url = url

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        click.echo(f"listening on {self._url}")
