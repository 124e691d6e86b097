"""How long a customer's message takes to PHP while statuses flood in.

A real Valkey, sidecar and workers (one process for each queue); this process plays Meta, which
sends a status per webhook at a steady rate, and PHP as far as it is asked for configuration and
takes updates, so that one clock measures both ends.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp
import click
import redis.asyncio as redis
import uvloop

from bench.figures import publish
from bench.handover import VENDOR, Php, hand_over
from bench.ingest import Connection, Load, request
from simulator.embedded import EmbeddedInstallation

CONNECTIONS = 64
#: Enough for the flood, so that hardly a status comes twice.
STATUSES = 60_000


async def measure(folder: Path, rate: float, seconds: float, pause_s: float) -> dict[str, Any]:
    php = Php()
    runner, url = await php.start()
    with EmbeddedInstallation(folder) as installation:
        server = await asyncio.to_thread(installation.start_redis)
        installation.configure(backend_url=url)
        sidecar = await asyncio.to_thread(installation.start_sidecar)
        workers = [
            await asyncio.to_thread(installation.start_worker, queue)
            for queue in ("messages", "statuses")
        ]
        load, connections = await _connect(sidecar.port)
        flood = asyncio.create_task(load.at_rate(rate, seconds))
        took: list[float] = []
        async with aiohttp.ClientSession() as session:
            while not flood.done():
                took.append(await hand_over(session, sidecar.url, php, len(took)))
                await asyncio.sleep(pause_s)
        sent_per_s = await flood
        left = await _waiting(server.url)
        cpu = {p.name: round(p.cpu_s(), 2) for p in (sidecar, *workers)}
        for connection in connections:
            connection.transport.close()
    await runner.cleanup()
    took.sort()
    return {
        "statuses_per_s": round(sent_per_s),
        "refused": load.refused,
        "waiting_at_the_end": left,
        "messages": len(took),
        "p50_ms": round(statistics.median(took) * 1000, 1),
        "p95_ms": round(took[int(len(took) * 0.95)] * 1000, 1),
        "p99_ms": round(took[int(len(took) * 0.99)] * 1000, 1),
        "max_ms": round(took[-1] * 1000, 1),
        "cpu_s": cpu,
    }


async def _connect(port: int) -> tuple[Load, list[Connection]]:
    # Those that 10 divides are customers' messages.
    load = Load([request(number, [VENDOR]) for number in range(STATUSES) if number % 10])
    loop = asyncio.get_running_loop()
    connections = [
        (await loop.create_connection(lambda: Connection(load), "127.0.0.1", port))[1]
        for _ in range(CONNECTIONS)
    ]
    load.idle = list(connections)
    return load, connections


async def _waiting(url: str) -> int:
    """Return how many webhooks were not handed over yet."""
    client = redis.Redis.from_url(url)
    counts = await client.hmget(f"count:{VENDOR}", "webhooks_received", "webhooks_done")
    await client.aclose()
    received, done = (int(count or 0) for count in counts)
    return received - done


@click.command()
@click.option("--rate", default=3000.0, show_default=True, help="Statuses a second.")
@click.option("--seconds", default=15.0, show_default=True)
@click.option("--pause", "pause_s", default=0.05, show_default=True, help="Between two messages.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the figures.")
def main(rate: float, seconds: float, pause_s: float, json_file: Path | None) -> None:
    """Measure the time from a customer's message to PHP under a flood of statuses."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        figures = uvloop.run(measure(Path(folder), rate, seconds, pause_s))
    figures["seconds"] = round(time.perf_counter() - started, 1)
    publish(figures, json_file)
    sys.exit(1 if figures["refused"] else 0)


if __name__ == "__main__":
    main()
