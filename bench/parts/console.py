"""What the web console takes of a processor beside 1,000 webhooks/s, one by one: switched on while
nobody looks, and while somebody has its overview open."""

import asyncio
import os
import statistics
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import uvloop

from bench.context import Context
from bench.figures import Figures
from bench.load import Load, connected
from bench.parts.idle import run_s
from bench.receivers import SIDECAR, Receiver, receiver
from bench.webhooks import as_request, webhook_body
from simulator.processes import python

RATE = 1000.0
CONNECTIONS = 128
_FIRST_S = 30.0
_NAME, _PASSWORD = "viewer", "a password of the benchmark"


def run(context: Context) -> Figures:
    turns, seconds = context.size(5, 1), context.size(6.0, 1.0)
    figures: Figures = {}
    with receiver(SIDECAR, console=False) as one:
        figures["no console"] = _medians(uvloop.run(_measure(one, turns, seconds, viewed=False)))
    with receiver(SIDECAR, console=True) as one:
        _add_viewer(one)
        shares = uvloop.run(_measure(one, turns, seconds, viewed=True))
    figures["nobody looks"] = _medians(shares[::2])
    figures["one viewer"] = _medians(shares[1::2])
    # Of neighbours in time: a machine's speed changes from minute to minute.
    figures["one viewer"]["more_percent"] = statistics.median(
        seen["both_percent"] - unseen["both_percent"]
        for unseen, seen in zip(shares[::2], shares[1::2], strict=True)
    )
    return figures


def _medians(shares: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(share[name] for share in shares) for name in shares[0]}


async def _measure(
    one: Receiver, turns: int, seconds: float, *, viewed: bool
) -> list[dict[str, float]]:
    """Return what serve and Redis took in each turn; if ``viewed``, somebody looks at every other
    one."""
    requests = [as_request(webhook_body(n), one.paths[n % len(one.paths)]) for n in range(20_000)]
    shares = []
    async with connected(one.process.port, requests, CONNECTIONS) as load:
        await load.at_rate(RATE, seconds)
        for _ in range(turns):
            shares.append(await _share(one, load, seconds))
            if viewed:
                async with _viewer(one.process.port):
                    shares.append(await _share(one, load, seconds))
    return shares


async def _share(one: Receiver, load: Load, seconds: float) -> dict[str, float]:
    groups = {"serve": one.process.pid, "redis": one.installation.processes["redis"].pid}
    before = {name: run_s(pid) for name, pid in groups.items()}
    await load.at_rate(RATE, seconds)
    percent = {
        f"{name}_percent": (run_s(pid) - before[name]) / seconds * 100
        for name, pid in groups.items()
    }
    return {**percent, "both_percent": sum(percent.values())}


def _add_viewer(one: Receiver) -> None:
    subprocess.run(
        python("sidecar.commands.main", "console", "add-user", _NAME),
        input=_PASSWORD, text=True, check=True, capture_output=True, timeout=60,
        env={**os.environ, **one.installation.environment},
    )  # fmt: skip


@asynccontextmanager
async def _viewer(port: int) -> AsyncIterator[None]:
    """Look at the overview for a block, as its page's script does; it shows something when the
    block begins. Raises TimeoutError if it does not."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/sidecar") as client:
        await client.post("/sign-in", data={"name": _NAME, "password": _PASSWORD})
        seen = asyncio.Event()
        looking = asyncio.create_task(_look(client, seen))
        try:
            await asyncio.wait_for(seen.wait(), _FIRST_S)
            yield
        finally:
            looking.cancel()
            await asyncio.wait([looking])


async def _look(client: httpx.AsyncClient, seen: asyncio.Event) -> None:
    headers = {"Accept": "text/event-stream"}
    async with client.stream("GET", "/overview/live?span=hour", headers=headers) as answer:
        async for line in answer.aiter_lines():
            if line.startswith("event: "):
                seen.set()
