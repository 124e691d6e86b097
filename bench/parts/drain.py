"""How fast webhooks that wait become rows in MariaDB, nine in ten of them statuses.

A backlog is made while the workers stand still, and they are let go. "meanwhile" is what one worker
does while more comes in than it can take. What two workers on free cores give over one is measured
with a fraction of a core for each, because all the others have these two cores as well.
"""

import asyncio
import time
from itertools import islice

import uvloop

from bench.context import Context, installed
from bench.figures import Figures
from bench.load import connected
from bench.peers.crons import CronStack
from bench.peers.hybrid import HybridStack
from bench.quota import limited
from bench.seeding import customers_messages, mixed, seed_sent
from bench.stacks import SidecarStack, Stack
from bench.webhooks import as_request
from simulator.cost import Cost

#: Webhooks come in over so many connections while a backlog is made.
_CONNECTIONS = 64
_TIMEOUT_S = 120.0
_WARM = 40
_SHARE = 0.15
#: A lane is divided by vendor.
_VENDORS = 8
#: Offered while they come in; what the budget asks for, and some.
_OFFERED = 6000.0
#: Webhooks to a message: its three statuses, and a customer's for every nine of them.
_PER_MESSAGE = 3 * 10 / 9


def run(context: Context) -> Figures:
    figures: Figures = {}
    many = context.size(6_000, 90)
    for workers in (1, 2):
        with installed(SidecarStack) as stack:
            figures[f"sidecar, workers: {workers}"] = backlog(stack, many, workers)
    for workers in (1, 2):
        with installed(SidecarStack) as stack:
            name = f"sidecar, workers: {workers}, of {_SHARE} cores"
            figures[name] = backlog(stack, many // 2, workers, vendors=_VENDORS, share=_SHARE)
    with installed(SidecarStack) as stack:
        seconds = context.size(5.0, 0.5)
        figures["sidecar, workers: 1"]["per_s_meanwhile"] = meanwhile(stack, seconds)
    with installed(SidecarStack) as stack:
        vendors = context.size(1_000, 9)
        figures[f"sidecar, vendors: {vendors}"] = backlog(stack, many, 1, vendors=vendors)
    with installed(SidecarStack) as stack:
        figures["sidecar, customers alone"] = backlog(
            stack, 0, 1, customers=context.size(2_000, 50)
        )
    for workers in (1, 2):
        with installed(HybridStack) as stack:
            few = context.size(450, 27)
            figures[f"hybrid, workers: {workers}"] = backlog(stack, few, workers)
    with installed(CronStack) as stack:
        figures["crons"] = backlog(stack, context.size(180, 27), 1)
    return figures


def backlog(
    stack: Stack,
    messages: int,
    workers: int,
    *,
    vendors: int = 1,
    customers: int = 0,
    share: float = 0,
) -> dict[str, float]:
    """Have the webhooks of so many messages wait, or of so many customers alone, and return how
    fast they are drained. A worker has a ``share`` of a core, or all of them."""
    stack.start_all(workers=workers, vendors=vendors)
    requests = _requests(stack, messages, customers)
    # Each worker has done its work once, and stands still.
    uvloop.run(post(stack.receiver_port, requests[:_WARM]))
    stack.wait(lambda: stack.waiting() == 0, _TIMEOUT_S)
    names = [name for name in stack.processes if name.startswith("worker")]
    for name in names:
        stack.suspend(name)
    uvloop.run(post(stack.receiver_port, requests[_WARM:]))
    waiting, before = stack.waiting(), Cost.of(stack)
    if waiting < len(requests) - _WARM:
        raise RuntimeError(f"{waiting} of {len(requests) - _WARM} webhooks wait")
    limited_ones = [stack.processes[name] for name in names] if share else []
    with limited(limited_ones, share) as is_limited:
        for name in names:
            stack.resume(name)
        seconds = stack.wait(lambda: stack.waiting() == 0, _TIMEOUT_S)
    if not is_limited:
        return {}
    cost = Cost.of(stack).since(before)
    spent = sum(s for name, s in cost.cpu_s.items() if name != "cloud-api")
    return {
        "per_s": waiting / seconds,
        "webhooks": waiting,
        "cpu_us": spent / waiting * 1e6,
        "statements_per_webhook": cost.statements / waiting,
        "requests_per_webhook": cost.calls / waiting,
    }


def meanwhile(stack: Stack, seconds: float) -> float:
    """Return how many are applied per second while more come in."""
    messages = round(_OFFERED * seconds / _PER_MESSAGE) + 9
    stack.start_all()
    requests = _requests(stack, messages)
    uvloop.run(post(stack.receiver_port, requests[:_WARM]))
    stack.wait(lambda: stack.waiting() == 0, _TIMEOUT_S)
    return uvloop.run(_offer(stack, requests[_WARM:], seconds))


def _requests(stack: Stack, messages: int, customers: int = 0) -> list[bytes]:
    if customers:
        webhooks = list(islice(customers_messages(stack), customers + _WARM))
    else:
        seed_sent(stack, messages)
        webhooks = mixed(stack, messages)
    return [as_request(body, f"/whatsapp-webhook/{uid}") for uid, body in webhooks]


async def post(port: int, requests: list[bytes]) -> None:
    """Have each taken."""
    async with connected(port, requests, _CONNECTIONS, again=True) as load:
        load.at = -1
        await load.at_saturation(_TIMEOUT_S, len(requests))


async def _offer(stack: Stack, requests: list[bytes], seconds: float) -> float:
    async with connected(stack.receiver_port, requests, _CONNECTIONS, again=True) as load:
        load.at = -1
        started = time.perf_counter()
        offered = asyncio.create_task(load.at_rate(_OFFERED, seconds))
        await asyncio.sleep(seconds)
        waiting, answered = await asyncio.to_thread(stack.waiting), len(load.latencies)
        took = time.perf_counter() - started
        await offered
    return (answered - waiting) / took
