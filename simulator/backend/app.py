"""The embedded backend as an ASGI application."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from starlette.applications import Starlette

from simulator.backend.config import BackendConfig
from simulator.backend.control import control_routes
from simulator.backend.engine import Engine
from simulator.backend.internal import internal_routes
from simulator.backend.public import public_routes


def create_app(config: BackendConfig, clock: Callable[[], float] = time.time) -> Starlette:
    """Return the application. Its lifespan opens and closes the database.

    ``clock`` gives unix seconds.
    """
    engine = Engine(config, clock)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        await engine.start()
        try:
            yield
        finally:
            await engine.close()

    routes = [*internal_routes(engine), *public_routes(engine), *control_routes(engine)]
    return Starlette(routes=routes, lifespan=lifespan)
