"""What grows with what waits, and with the vendors: webhooks acknowledged per second from none to a
million that wait, and from one vendor to a thousand; the memory of those that wait."""

from contextlib import closing

import redis
import uvloop

from bench.context import Context
from bench.figures import Figures
from bench.load import connected
from bench.receivers import HYBRID_AFTER, SIDECAR, Receiver, receiver
from bench.webhooks import as_request, webhook_body

CONNECTIONS = 128
VENDORS = (1, 10, 100, 1000)
#: How many wait when it is measured.
WAITING = (0, 250_000, 500_000, 750_000, 1_000_000)
_REQUESTS = 20_000
_TIMEOUT_S = 240.0


def run(context: Context) -> Figures:
    figures: Figures = {SIDECAR: {}}
    window = context.size(20_000, 500)
    waiting = WAITING if not context.quick else (0, 2_000)
    with receiver(SIDECAR) as one:
        figures[SIDECAR] |= fill(one, waiting, window)
        figures[SIDECAR]["memory_mb"] = one.process.memory_bytes() / 1e6
    for vendors in VENDORS[: context.size(len(VENDORS), 2)]:
        with receiver(SIDECAR, vendors) as one:
            fill(one, (), vendors + window // 10)  # it has learnt who they are
            per_s = uvloop.run(_post(one, window))[0]
            figures[SIDECAR][f"per_s_{vendors}_vendors"] = per_s
    with receiver(HYBRID_AFTER) as one:
        figures[HYBRID_AFTER] = fill(one, (0, context.size(50_000, 1_000)), window // 4)
    return figures


def fill(one: Receiver, waiting: tuple[int, ...], window: int) -> dict[str, float]:
    """Have more and more wait. Return how many are acknowledged per second over a ``window`` of
    them, each time that so many wait, and the memory that Redis needs for a byte of theirs."""
    figures: dict[str, float] = {}
    before, size = _memory(one), 0
    count = 0
    for target in waiting or (0,):
        if target > count:
            size += uvloop.run(_post(one, target - count))[1]
            count = target
        per_s, more = uvloop.run(_post(one, window))
        count, size = count + window, size + more
        figures[f"per_s_{target}_waiting"] = per_s
    figures["memory_per_byte"] = (_memory(one) - before) / size
    return figures


async def _post(one: Receiver, count: int) -> tuple[float, int]:
    """Post so many. Return how many were acknowledged per second, and the bytes of all."""
    bodies = [webhook_body(number) for number in range(min(count, _REQUESTS))]
    requests = [as_request(b, one.paths[n % len(one.paths)]) for n, b in enumerate(bodies)]
    async with connected(one.process.port, requests, CONNECTIONS, again=True) as load:
        per_s = await load.at_saturation(_TIMEOUT_S, count)
    return per_s, round(sum(map(len, bodies)) / len(bodies) * count)


def _memory(one: Receiver) -> int:
    with closing(redis.Redis.from_url(one.installation.redis_url)) as client:
        return int(client.info("memory")["used_memory"])
