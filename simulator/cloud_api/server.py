"""Serving the simulated Cloud API, in a process of its own or beside a test."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from simulator.cloud_api.app import create_app
from simulator.cloud_api.config import CloudApiConfig
from simulator.cloud_api.engine import Engine
from simulator.server import Server, serving


@dataclass(frozen=True, slots=True)
class Running:
    """``url`` has no slash at its end."""

    url: str
    engine: Engine
    server: Server

    @property
    def control_url(self) -> str:
        return f"{self.url}/_simulator"


@contextlib.asynccontextmanager
async def running(
    config: CloudApiConfig | None = None, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[Running]:
    """Serve while the context is open. Port 0: any free one."""
    app = create_app(config)
    async with serving(app, host, port) as (url, server):
        yield Running(url, app.engine, server)
