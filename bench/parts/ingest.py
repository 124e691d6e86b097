"""Webhooks acknowledged per second by one process, each on disk before its 200, and how long an
answer takes at saturation and at 1,000/s.

The crons have no process for it: PHP-FPM answers, behind nginx, and may use both processors.
"""

import uvloop

from bench.context import Context, installed
from bench.figures import Figures
from bench.load import Load, connected, latencies_ms
from bench.peers.crons import CronStack
from bench.receivers import EVERYSEC, FLOOR, HYBRID_AFTER, HYBRID_FIRST, SIDECAR, receiver
from bench.webhooks import as_request, webhook_body

CONNECTIONS = 128
STEADY = 1000
RECEIVERS = (
    *(FLOOR, SIDECAR, HYBRID_FIRST, HYBRID_AFTER),
    *(HYBRID_FIRST + EVERYSEC, HYBRID_AFTER + EVERYSEC),
)
#: PHP needs some 3 ms of processor time for a webhook.
_STEADY_CRONS, _CRON_CONNECTIONS = 100, 40


def run(context: Context) -> Figures:
    seconds = context.size(3.0, 1.0)
    figures: Figures = {}
    for name in RECEIVERS:
        with receiver(name) as one:
            started = one.process.cpu_s()
            figures[name] = uvloop.run(
                measure(one.process.port, list(one.paths), CONNECTIONS, STEADY, seconds)
            )
            spent = one.process.cpu_s() - started
            figures[name]["cpu_us"] = spent / figures[name].pop("answered") * 1e6
    with installed(CronStack) as stack:
        stack.start_redis()
        stack.start_backend()
        stack.vendors = stack.seed_vendors()
        path = f"/whatsapp-webhook/{stack.vendor.uid}"
        figures[CronStack.name] = uvloop.run(
            measure(stack.receiver_port, [path], _CRON_CONNECTIONS, _STEADY_CRONS, seconds)
        )
        del figures[CronStack.name]["answered"]
    return figures


async def measure(
    port: int, paths: list[str], connections: int, steady: float, seconds: float
) -> dict[str, float]:
    """Return what has been measured, and how many were ``answered`` in all."""
    requests = [as_request(webhook_body(n), paths[n % len(paths)]) for n in range(20_000)]
    async with connected(port, requests, connections) as load:
        await load.at_rate(steady / 2, seconds / 4)
        answered = len(load.latencies)
        await load.at_rate(steady, seconds)
        answered += len(load.latencies)
        figures = {f"steady_{name}": value for name, value in _latencies(load).items()}
        figures["per_s"] = await load.at_saturation(seconds)
        answered += len(load.latencies)
        return {**figures, **_latencies(load), "refused": load.refused, "answered": answered}


def _latencies(load: Load) -> dict[str, float]:
    return latencies_ms(load.latencies)
