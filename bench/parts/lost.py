"""What is answered with 200 and gone, when the receiver is killed while Redis is away."""

import asyncio
from contextlib import suppress

import uvloop

from bench.context import Context
from bench.figures import Figures
from bench.load import connected
from bench.receivers import HYBRID_AFTER, HYBRID_FIRST, SIDECAR, receiver
from bench.webhooks import as_request, webhook_body

CONNECTIONS = 32
#: How long those that wait for Redis are given.
_AWAY_S = 3.0


def run(context: Context) -> Figures:
    count = context.size(1000, 100)
    figures: Figures = {}
    for name in (SIDECAR, HYBRID_FIRST, HYBRID_AFTER):
        with receiver(name) as one:
            installation = one.installation
            uvloop.run(_answered(one.process.port, one.paths, 10))  # it knows its vendors
            before = one.stored()
            installation.crash("redis")
            acknowledged = uvloop.run(_answered(one.process.port, one.paths, count))
            installation.crash(one.process.name)
            installation.start("redis")
            stored = one.stored() - before
        figures[name] = {
            "webhooks": count,
            "acknowledged": acknowledged,
            "lost": max(0, acknowledged - stored),
        }
    return figures


async def _answered(port: int, paths: tuple[str, ...], count: int) -> int:
    """Send webhooks, and return how many were answered with 200 in time."""
    requests = [as_request(webhook_body(n), paths[n % len(paths)]) for n in range(count)]
    async with connected(port, requests, CONNECTIONS) as load:
        with suppress(TimeoutError):
            async with asyncio.timeout(_AWAY_S):
                await load.at_saturation(_AWAY_S, count)
        return len(load.latencies) - load.refused
