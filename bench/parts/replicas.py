"""What it costs that a replica must have each webhook before its 200, and each row before it is
sent: without one, with one beside Redis, and with one that is a millisecond away in each direction.

One process each, the embedded backend, and Valkey, which has WAITAOF: whatever waits does so for
the replica's disk. All share the machine's processors, the replica with them.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvloop

from bench.context import Context, installed
from bench.figures import Figures
from bench.load import Load, connected, latencies_ms
from bench.webhooks import PHONE_NUMBER_ID, as_request, webhook_body
from simulator.control import lines
from simulator.distance import Distance
from simulator.embedded import EmbeddedInstallation
from simulator.redis_pair import RedisPair

ALONE, BESIDE, AWAY = "sidecar", "sidecar, a replica", "sidecar, a replica 1 ms away"
AWAY_MS = 1.0
CONNECTIONS, STEADY, RATE = 128, 1000, 1000.0
_TIMEOUT_S = 120.0


def run(context: Context) -> Figures:
    seconds, messages = context.size(3.0, 1.0), context.size(3000, 100)
    figures: Figures = {}
    for name in (ALONE, BESIDE, AWAY):
        figures[name] = ingest(name, seconds)
        with _installation(name) as installation:
            figures[name]["sent_per_s"] = _campaign(installation, messages)
    return figures


@contextmanager
def _installation(name: str) -> Iterator[EmbeddedInstallation]:
    with installed(EmbeddedInstallation) as installation:
        installation.configure(inbox_write_timeout_ms=5000)
        pair = RedisPair(installation.folder)
        installation.configure(redis_url=installation.add(pair.primary).url)
        if name != ALONE:
            installation.add(pair.replica)
            port = pair.primary.port
            if name == AWAY:
                port = installation.add(Distance(installation.folder, port, AWAY_MS)).port
            pair.follow("127.0.0.1", port)
            # Whoever is late is to be measured, not refused.
            installation.configure(redis_replicas_in_sync=1, redis_replicas_timeout_ms=2000)
        installation.start_backend()
        yield installation


def ingest(name: str, seconds: float) -> dict[str, float]:
    """Return how fast webhooks are acknowledged, in one of these ways."""
    with _installation(name) as installation:
        return _ingest(installation, seconds)


def _ingest(installation: EmbeddedInstallation, seconds: float) -> dict[str, float]:
    paths = [f"/webhook/{one.uid}" for one in installation.seed_vendors(vendors=8)]
    port = installation.start_sidecar().port
    requests = [as_request(webhook_body(n), paths[n % len(paths)]) for n in range(20_000)]

    async def measure() -> dict[str, float]:
        async with connected(port, requests, CONNECTIONS) as load:
            await load.at_rate(STEADY / 2, seconds / 4)
            await load.at_rate(STEADY, seconds)
            steady = {f"steady_{what}": value for what, value in _latencies(load).items()}
            per_s = await load.at_saturation(seconds)
            return {**steady, "per_s": per_s, **_latencies(load), "refused": load.refused}

    return uvloop.run(measure())


def _latencies(load: Load) -> dict[str, float]:
    return latencies_ms(load.latencies)


def _campaign(installation: EmbeddedInstallation, messages: int) -> float:
    """Return how many messages a second the Cloud API has accepted of one campaign."""
    [vendor] = installation.seed_vendors(
        phone_number_ids=[PHONE_NUMBER_ID], messages_per_second=RATE
    )
    installation.seed_campaign(vendor.uid, messages, paused=False)
    cloud_api = installation.start_cloud_api(
        *("--phone-number-id", PHONE_NUMBER_ID, "--rate", str(RATE))
    )
    installation.start_worker("campaigns")
    end = time.monotonic() + _TIMEOUT_S
    while len(sent := lines(cloud_api, "messages")) < messages:
        if time.monotonic() > end:
            raise RuntimeError(f"{len(sent)} of {messages} were sent in {_TIMEOUT_S} s")
        time.sleep(0.2)
    times = sorted(float(str(one["accepted_at"])) / 1000 for one in sent)
    return (len(times) - 1) / (times[-1] - times[0])
