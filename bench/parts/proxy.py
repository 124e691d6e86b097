"""What passing a webhook on to PHP costs: a vendor whose work is still PHP's.

The PHP is a stub that does nothing but answer; it runs in this process, beside the load generator.
The same load goes to it directly first, and then through one sidecar process.
"""

import asyncio
from typing import cast

import orjson
import uvloop

from bench.context import OTHERS_CPU, SERVER_CPU, Context, installed, on_cpu
from bench.figures import Figures
from bench.load import CONTENT_LENGTH
from bench.parts.ingest import STEADY, measure
from bench.receivers import ReceiverInstallation

CONNECTIONS, VENDORS = 64, 8

#: What PHP answers to a webhook, with the headers that Laravel sends.
DONE = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=UTF-8\r\nCache-Control: no-cache, private"
    b"\r\nDate: Mon, 05 Jan 2026 08:00:00 GMT\r\nContent-Length: 4\r\n\r\ndone"
)


class StubPhp(asyncio.Protocol):
    """One connection. ``counts`` counts the webhooks."""

    def __init__(self, counts: list[int]) -> None:
        self.counts = counts
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
        self.transport.write(DONE)


def _vendor_config(request: bytes) -> bytes:
    uids = orjson.loads(request)["vendor_uids"]
    body = orjson.dumps(
        {"vendors": [{"vendor_uid": uid, "modes": {"webhooks": "php"}} for uid in uids]}
    )
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def run(context: Context) -> Figures:
    with installed(ReceiverInstallation) as installation, on_cpu(OTHERS_CPU):
        installation.start_redis()
        return uvloop.run(_run(installation, context.size(3.0, 0.5)))


async def _run(installation: ReceiverInstallation, seconds: float) -> Figures:
    counts = [0]
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: StubPhp(counts), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    installation.configure(backend_url=f"http://127.0.0.1:{port}")
    with on_cpu(SERVER_CPU):
        sidecar = await asyncio.to_thread(installation.start_sidecar)
    paths = [f"/webhook/vendor-{number}" for number in range(VENDORS)]
    figures = {"PHP alone": await measure(port, paths, CONNECTIONS, STEADY, seconds)}
    directly = counts[0]
    figures["sidecar"] = await measure(sidecar.port, paths, CONNECTIONS, STEADY, seconds)
    server.close()
    for name, count in (("PHP alone", directly), ("sidecar", counts[0] - directly)):
        answered = figures[name].pop("answered")
        if figures[name]["refused"] or count != answered:
            raise RuntimeError(f"{name}: {answered} were answered, and {count} came to PHP")
    return figures
