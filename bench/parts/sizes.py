"""Webhooks of 1 kB to 3 MB, the most that Meta sends: how many are acknowledged per second."""

import uvloop

from bench.context import Context
from bench.figures import Figures
from bench.load import connected
from bench.receivers import FLOOR, HYBRID_AFTER, SIDECAR, receiver
from bench.webhooks import as_request, sized_webhook

SIZES = {"1kb": 1_000, "10kb": 10_000, "100kb": 100_000, "1mb": 1_000_000, "3mb": 3_000_000}
#: So few that the largest stay below `inbox_pending_limit_bytes` together.
CONNECTIONS = 16
#: Of one size, so that Redis need not keep more.
_MOST_BYTES = 150_000_000


def run(context: Context) -> Figures:
    figures: Figures = {}
    for name in (FLOOR, SIDECAR, HYBRID_AFTER):
        figures[name] = {}
        with receiver(name) as one:
            for label in SIZES:
                figures[name] |= uvloop.run(_measure(context, one.process.port, one.paths, label))
            figures[name]["memory_mb"] = one.process.memory_bytes() / 1e6
    return figures


async def _measure(
    context: Context, port: int, paths: tuple[str, ...], label: str
) -> dict[str, float]:
    size = SIZES[label]
    count = max(16, min(5_000, 20_000_000 // size))
    requests = [
        as_request(sized_webhook(number, size), paths[number % len(paths)])
        for number in range(count)
    ]
    async with connected(port, requests, CONNECTIONS) as load:
        most = _MOST_BYTES // size
        per_s = await load.at_saturation(context.size(1.5, 0.3), most)
        return {
            f"per_s_{label}": per_s,
            f"mb_per_s_{label}": per_s * size / 1e6,
            f"refused_{label}": load.refused,
        }
