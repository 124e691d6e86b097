"""How many webhooks a second one sidecar process passes on to PHP, and what it adds to PHP's time.

The PHP is a stub that does nothing but answer; it runs in this process, on core 1, beside the load
generator. The same load goes to it directly first, and then through one sidecar process on core 0,
in one run.
"""

import asyncio
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, cast

import click
import orjson
import uvloop

from bench.figures import publish
from bench.ingest import CONTENT_LENGTH, VENDORS, measure
from simulator.embedded import EmbeddedInstallation

#: What PHP answers to a webhook, with the headers that Laravel sends.
DONE = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=UTF-8\r\nCache-Control: no-cache, private"
    b"\r\nDate: Mon, 05 Jan 2026 08:00:00 GMT\r\nContent-Length: 4\r\n\r\ndone"
)


class StubPhp(asyncio.Protocol):
    """One connection. ``counts`` counts the webhooks; each takes ``delay_s``."""

    def __init__(self, counts: list[int], delay_s: float) -> None:
        self.counts = counts
        self.delay_s = delay_s
        self.received = b""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, blank, body = self.received.partition(b"\r\n\r\n")
        length = CONTENT_LENGTH.search(head)
        if not blank or length is None or len(body) < int(length[1]):
            return
        self.received = b""
        if head.startswith(b"POST /internal/"):
            self.transport.write(_vendor_config(body))
            return
        self.counts[0] += 1
        if self.delay_s:
            asyncio.get_running_loop().call_later(self.delay_s, self.transport.write, DONE)
        else:
            self.transport.write(DONE)


def _vendor_config(request: bytes) -> bytes:
    uids = orjson.loads(request)["vendor_uids"]
    body = orjson.dumps(
        {"vendors": [{"vendor_uid": uid, "modes": {"webhooks": "php"}} for uid in uids]}
    )
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


async def run(
    installation: EmbeddedInstallation, connections: int, seconds: float, delay_s: float
) -> dict[str, Any]:
    counts = [0]
    server = await asyncio.get_running_loop().create_server(
        lambda: StubPhp(counts, delay_s), "127.0.0.1", 0
    )
    port = server.sockets[0].getsockname()[1]
    installation.configure(backend_url=f"http://127.0.0.1:{port}")
    sidecar = await asyncio.to_thread(installation.start_sidecar)
    os.sched_setaffinity(sidecar.pid, {0})
    vendors = [f"vendor-{number}" for number in range(VENDORS)]
    direct = await measure(port, vendors, connections, seconds)
    directly = counts[0]
    proxied = await measure(sidecar.port, vendors, connections, seconds)
    figures = {
        "direct": direct,
        "proxied": proxied,
        "webhooks_at_php": {"direct": directly, "proxied": counts[0] - directly},
        "cpu_s": {"sidecar": sidecar.cpu_s()},
    }
    server.close()
    return figures


@click.command()
@click.option("--seconds", default=8.0, show_default=True, help="Length of each phase.")
@click.option("--connections", default=64, show_default=True)
@click.option("--php-ms", default=0.0, show_default=True, help="What PHP takes for a webhook.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the figures.")
def main(seconds: float, connections: int, php_ms: float, json_file: Path | None) -> None:
    """Measure webhooks passed on to PHP per second, beside PHP alone."""
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedInstallation(Path(folder)) as installation,
    ):
        server = installation.start_redis()
        for pid in (0, server.pid):
            os.sched_setaffinity(pid, {1})
        figures = uvloop.run(run(installation, connections, seconds, php_ms / 1000))
    publish(figures, json_file)
    sys.exit(1 if figures["direct"]["refused"] or figures["proxied"]["refused"] else 0)


if __name__ == "__main__":
    main()
