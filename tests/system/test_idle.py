"""An installation in which nothing happens: what its processes ask of Redis, and how often they
wake up. Both are counted: the time that they take depends on what else goes on."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis as blocking_redis

from simulator.embedded import EmbeddedInstallation
from simulator.processes import Process
from tests.eventually import eventually

WINDOW_S = 3.0

#: Every second: the reconciler's look, whether Redis was wiped (configuration, nonces), and whether
#: there is shadow work. Every few seconds: heartbeats, leases, and each consumer's wait.
ROUND_TRIPS_PER_S = 12
#: Of ``serve``, and of a worker.
WAKE_UPS_PER_S = (6, 15)


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[EmbeddedInstallation]:
    with EmbeddedInstallation(tmp_path) as installation:
        installation.start_redis()
        installation.start_backend()
        installation.start_sidecar()
        installation.start_worker()
        yield installation


def wake_ups(process: Process) -> int:
    """Return how often threads of it have gone to sleep."""
    found = 0
    for status in Path(f"/proc/{process.pid}/task").glob("*/status"):
        [line] = [one for one in status.read_text().splitlines() if one.startswith("voluntary_")]
        found += int(line.split()[1])
    return found


async def test_it_asks_for_little_and_sleeps_for_long(installation: EmbeddedInstallation) -> None:
    with blocking_redis.Redis.from_url(installation.redis_url) as client:

        def info() -> dict[str, Any]:
            found: Any = client.info()
            return dict(found)

        await eventually(lambda: info()["blocked_clients"] >= 4 + 2)
        serve, worker = installation.processes["sidecar"], installation.processes["worker"]
        before = info()["total_reads_processed"], wake_ups(serve), wake_ups(worker)
        await asyncio.sleep(WINDOW_S)
        after = info()["total_reads_processed"], wake_ups(serve), wake_ups(worker)
    asked, *woken = ((b - a) / WINDOW_S for a, b in zip(before, after, strict=True))
    assert asked < ROUND_TRIPS_PER_S
    assert woken[0] < WAKE_UPS_PER_S[0]
    assert woken[1] < WAKE_UPS_PER_S[1]
