"""How many webhooks a second one sidecar process acknowledges, each on disk before its 200.

Runs a real Valkey with ``fsync`` always, a backend, one sidecar process on core 0 and the load
generator (this process) on core 1. First at saturation, then at a steady 1,000/s.
"""

import asyncio
import os
import re
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import cast

import click
import redis
import uvloop

from bench.figures import publish
from bench.webhooks import webhook_body
from contracts.cloud_api.webhook import sign
from simulator.embedded import EmbeddedInstallation

VENDORS = 8
CONTENT_LENGTH = re.compile(rb"(?i)content-length: (\d+)")


def request(number: int, vendors: list[str]) -> bytes:
    body = webhook_body(number)
    signature = sign(EmbeddedInstallation.APP_SECRET.encode(), body)
    return (
        f"POST /webhook/{vendors[number % len(vendors)]} HTTP/1.1\r\nHost: sidecar\r\n"
        f"Content-Type: application/json\r\nX-Hub-Signature-256: {signature}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


class Connection(asyncio.Protocol):
    """One keep-alive connection that has at most one request under way."""

    def __init__(self, load: "Load") -> None:
        self.load = load
        self.sent_at = 0.0
        self.answer = b""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def send(self) -> None:
        self.sent_at = time.perf_counter()
        self.transport.write(self.load.next_request())

    def data_received(self, data: bytes) -> None:
        self.answer += data
        head, blank, body = self.answer.partition(b"\r\n\r\n")
        length = CONTENT_LENGTH.search(head)
        if blank and length and len(body) >= int(length[1]):
            self.answer = b""
            self.load.answered(self, head.startswith(b"HTTP/1.1 200"), self.sent_at)


class Load:
    """Sends prepared requests; closed loop at saturation, open loop at a steady rate."""

    def __init__(self, requests: list[bytes]) -> None:
        self.requests = requests
        self.at = 0
        self.latencies: list[float] = []
        self.refused = 0
        self.saturate = False
        self.idle: list[Connection] = []

    def next_request(self) -> bytes:
        self.at = (self.at + 1) % len(self.requests)
        return self.requests[self.at]

    def answered(self, connection: Connection, accepted: bool, sent_at: float) -> None:
        self.latencies.append(time.perf_counter() - sent_at)
        self.refused += not accepted
        if self.saturate:
            connection.send()
        else:
            self.idle.append(connection)

    async def at_saturation(self, connections: list[Connection], seconds: float) -> float:
        self.saturate = True
        started = time.perf_counter()
        for connection in connections:
            connection.send()
        await asyncio.sleep(seconds)
        done = len(self.latencies)
        took = time.perf_counter() - started
        self.saturate = False
        await asyncio.sleep(0.5)
        return done / took

    async def at_rate(self, rate: float, seconds: float) -> float:
        started = time.perf_counter()
        due = 0
        while (elapsed := time.perf_counter() - started) < seconds:
            while due < elapsed * rate and self.idle:
                self.idle.pop().send()
                due += 1
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.5)
        return len(self.latencies) / seconds

    def summary(self) -> dict[str, float]:
        ordered = sorted(self.latencies)

        def at(share: float) -> float:
            return round(ordered[int(share * (len(ordered) - 1))] * 1000, 2) if ordered else 0.0

        result = {"p50_ms": at(0.5), "p95_ms": at(0.95), "p99_ms": at(0.99), "max_ms": at(1.0)}
        self.latencies = []
        return result


async def measure(
    port: int, vendors: list[str], connections: int, seconds: float
) -> dict[str, object]:
    load = Load([request(number, vendors) for number in range(20_000)])
    loop = asyncio.get_running_loop()
    opened = [
        (await loop.create_connection(lambda: Connection(load), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    load.idle = list(opened)
    await load.at_rate(500, 1.0)
    load.summary()
    steady = {"per_s": round(await load.at_rate(1000, seconds)), **load.summary()}
    rate = await load.at_saturation(opened, seconds)
    saturated = {"per_s": round(rate), **load.summary()}
    for connection in opened:
        connection.transport.close()
    return {"saturation": saturated, "at_1000_per_s": steady, "refused": load.refused}


@click.command()
@click.option("--seconds", default=8.0, show_default=True, help="Length of each phase.")
@click.option("--connections", default=128, show_default=True)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the figures.")
def main(seconds: float, connections: int, json_file: Path | None) -> None:
    """Measure webhooks acknowledged on disk per second."""
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedInstallation(Path(folder)) as installation,
    ):
        server = installation.start_redis()
        installation.start_backend()
        vendors = [v.uid for v in installation.seed_vendors(vendors=VENDORS)]
        sidecar = installation.start_sidecar()
        os.sched_setaffinity(sidecar.pid, {0})
        for pid in (0, server.pid):
            os.sched_setaffinity(pid, {1})
        figures = uvloop.run(measure(sidecar.port, vendors, connections, seconds))
        client = redis.Redis.from_url(server.url)
        figures["stored"] = sum(
            int(client.hget(f"count:{vendor}", "webhooks_received") or 0) for vendor in vendors
        )
        figures["cpu_s"] = {"sidecar": sidecar.cpu_s()}
        client.close()
        cpu = resource.getrusage(resource.RUSAGE_SELF)
        figures["load_generator_cpu_s"] = round(cpu.ru_utime + cpu.ru_stime, 2)
    publish(figures, json_file)
    sys.exit(1 if figures["refused"] else 0)


if __name__ == "__main__":
    main()
