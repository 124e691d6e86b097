"""How long a customer's message takes from the webhook to its committed row, while statuses come
in.

Both come in at an even rate over the receiver's own connections, and a message's time counts from
the moment that it is due (:mod:`bench.load`). Another connection to MariaDB looks for the rows
every three milliseconds, which is in the figures. ``applied_per_s`` are the statuses that were done
by the time that the last was sent, and ``left`` those that were not.
"""

import asyncio
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import uvloop

from bench.context import Context, installed
from bench.figures import Figures
from bench.load import connected, latencies_ms
from bench.parts.drain import post
from bench.peers.crons import CronStack
from bench.peers.hybrid import HybridStack
from bench.seeding import customers_messages, seed_sent, sent_statuses
from bench.stacks import SidecarStack, Stack
from bench.webhooks import as_request
from simulator.stack.packages import program
from simulator.stack.sql_server import DATABASE

WATCH = Path(__file__).parents[1] / "arrivals.php"
#: Customers' messages per second.
CUSTOMERS_PER_S = 20.0
_PAUSE_US = 3000
_WARM = 20
_CONNECTIONS = 64
_TIMEOUT_S = 120.0
#: The peers' rate: what they can do, many times over.
_PEERS = 500


def run(context: Context) -> Figures:
    seconds = context.size(6.0, 1.0)
    figures: Figures = {}
    for statuses in (0, 500, 3000) if not context.quick else (0, 100):
        with installed(SidecarStack) as stack:
            figures[f"sidecar beside {statuses}/s"] = measure(stack, statuses, seconds)
    beside = context.size(_PEERS, 50)
    for kind in (HybridStack, CronStack):
        with installed(kind) as stack:
            figures[f"{kind.name} beside {beside}/s"] = measure(stack, beside, seconds / 2)
    return figures


def measure(stack: Stack, statuses_per_s: int, seconds: float) -> dict[str, float]:
    stack.start_all()
    count = round(statuses_per_s * seconds)
    messages = (count + _WARM) // 3 + 1
    seed_sent(stack, messages)
    statuses = [
        as_request(body, f"/whatsapp-webhook/{uid}")
        for uid, body in islice(sent_statuses(stack, messages), _WARM + count)
    ]
    customers = _customers(stack, _WARM + round(CUSTOMERS_PER_S * seconds))
    warm = statuses[:_WARM] + [request for _, request in customers[:_WARM]]
    uvloop.run(post(stack.receiver_port, warm))
    stack.wait(lambda: stack.waiting() == 0, _TIMEOUT_S)
    with _arrivals(stack) as arrived:
        due, applied, took = uvloop.run(
            _offer(stack, statuses[_WARM:], [request for _, request in customers[_WARM:]], seconds)
        )
        left = count - applied
        wamids = [wamid for wamid, _ in customers[_WARM:]]
        stack.wait(lambda: arrived().keys() >= set(wamids), _TIMEOUT_S)
        rows = arrived()
    latencies = [rows[wamid] - at for wamid, at in zip(wamids, due, strict=True)]
    return {**latencies_ms(latencies), "applied_per_s": applied / took, "left": left}


def _customers(stack: Stack, count: int) -> list[tuple[str, bytes]]:
    """Return wamid and request of each."""
    found = []
    for number, (uid, body) in enumerate(islice(customers_messages(stack), count)):
        wamid = f"wamid.CUSTOMER{number:010d}"
        assert wamid.encode() in body
        found.append((wamid, as_request(body, f"/whatsapp-webhook/{uid}")))
    return found


async def _offer(
    stack: Stack, statuses: list[bytes], customers: list[bytes], seconds: float
) -> tuple[list[float], int, float]:
    """Return when each customer's message was due, how many statuses were applied when the last one
    was sent, and after how many seconds that was."""
    port = stack.receiver_port
    async with (
        connected(port, statuses or customers, _CONNECTIONS, again=True) as flood,
        connected(port, customers, 8, again=True) as load,
    ):
        flood.at = load.at = -1
        started, clock = time.time(), time.perf_counter()
        writing = asyncio.create_task(load.at_rate(CUSTOMERS_PER_S, seconds))
        if statuses:
            await flood.at_rate(len(statuses) / seconds, seconds)
        await asyncio.sleep(max(0.0, clock + seconds - time.perf_counter()))
        waiting = await asyncio.to_thread(stack.waiting)
        took = time.perf_counter() - clock
        await writing
    due = [started + number / CUSTOMERS_PER_S for number in range(len(customers))]
    return due, max(0, len(statuses) - waiting), took


@contextmanager
def _arrivals(stack: Stack) -> "Iterator[Arrivals]":
    socket = str(stack.mariadb.socket)
    command = [program("php"), str(WATCH), socket, DATABASE, str(_PAUSE_US)]
    file = stack.folder / "arrivals"
    with file.open("wb") as output:
        watch = subprocess.Popen(command, stdout=output)
    try:
        arrivals = Arrivals(file)
        stack.wait(arrivals.begun, _TIMEOUT_S)
        yield arrivals
    finally:
        watch.kill()
        watch.wait()


class Arrivals:
    """When each wamid has its row, Unix seconds."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def begun(self) -> bool:
        return bool(self._file.read_text())

    def __call__(self) -> dict[str, float]:
        lines = self._file.read_text().split("\n")[1:-1]
        return {wamid: float(at) for at, wamid in (line.split(" ") for line in lines)}
