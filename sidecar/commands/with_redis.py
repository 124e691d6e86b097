"""What the commands have in common that look into Redis."""

import asyncio
from collections.abc import Awaitable, Callable

import click

from sidecar.redis import embedded
from sidecar.redis.client import UNAVAILABLE, Redis, RedisError, connect
from sidecar.settings import Settings


def run_with_redis(settings: Settings, run: Callable[[Redis], Awaitable[None]]) -> None:
    """Run a command's work with a client of the settings' Redis. Ends the command with one line
    that says why, where Redis cannot be used."""

    async def connected(redis_url: str) -> None:
        client = connect(redis_url, timeout_s=5.0)
        try:
            await run(client)
        except (*UNAVAILABLE, RedisError) as error:
            raise click.ClickException(f"Redis cannot be used: {error}") from None
        finally:
            await client.aclose()

    try:
        with embedded.redis_url(settings) as redis_url:
            asyncio.run(connected(redis_url))
    except embedded.EmbeddedFailed as error:
        raise click.ClickException(str(error)) from None
