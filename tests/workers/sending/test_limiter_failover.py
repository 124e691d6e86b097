"""The limiter after a failover to a host with another clock: no number is faster, and none waits
until the clocks meet."""

import asyncio
import itertools
import time
from contextlib import aclosing
from pathlib import Path
from typing import Any, cast

import pytest

from contracts import backend as contract
from sidecar.php.client import Backend, BackendMissing
from sidecar.redis.client import Redis, RedisUnavailable, connect
from sidecar.redis.clock import redis_now_us
from sidecar.redis.lease import Leases
from sidecar.sending.campaigns import campaign_lease
from sidecar.sending.epoch import Begun
from sidecar.tasks import cancel
from simulator.chaos.clocks import Clocks, library
from simulator.redis_group import RedisGroup
from simulator.stack.packages import find
from tests.conftest import MakeSettings
from tests.eventually import PATIENCE_S
from tests.workers.rows import CAMPAIGN
from tests.workers.slots import limits, recipients
from workers.sending.epoch_watch import EpochWatch
from workers.sending.limiter import Limiter

RATE = 40.0
LEASE_TTL_MS = 3000
#: How long an answer may be on its way, more than another one: slots are seen by that much apart.
WAY_S = 0.1

pytestmark = pytest.mark.timeout(180)


class OldPhp:
    """Keeps no epoch."""

    async def call(self, endpoint: str, *_: Any) -> Any:
        if endpoint == contract.EPOCH:
            raise BackendMissing(endpoint)


class Taker:
    """Takes slots as a worker does: under the campaign's lease, which it takes when it can.
    ``slots`` are when they are, by this machine's clock."""

    def __init__(self, client: Redis) -> None:
        self._leases = Leases(client, LEASE_TTL_MS)
        self._limiter = Limiter(client)
        self.slots: list[float] = []

    async def take(self, count: int) -> None:
        end = len(self.slots) + count
        while len(self.slots) < end:
            try:
                await self._hold(end)
            except RedisUnavailable:
                await asyncio.sleep(0.05)

    async def _hold(self, end: int) -> None:
        async with self._leases.hold(campaign_lease(CAMPAIGN)) as lease:
            while lease is not None and not lease.lost.is_set() and len(self.slots) < end:
                grant = await self._limiter.grant(lease, CAMPAIGN, limits(RATE), recipients(10))
                now = time.monotonic()
                self.slots += [now + grant.delay_s + n * grant.gap_s for n in range(grant.count)]
                await asyncio.sleep(min(grant.again_s, 1.0))
        await asyncio.sleep(0.05)


def most_within(slots: list[float], seconds: float) -> int:
    """Return how many slots are in the fullest time of this length."""
    return max(sum(begin <= slot < begin + seconds for slot in slots) for begin in slots)


@pytest.mark.parametrize("off_s", [-600, 600])
async def test_a_new_primary_by_another_clock(
    make_settings: MakeSettings, tmp_path: Path, off_s: int
) -> None:
    program = find("redis-server")
    if program is None or library() is None:
        pytest.skip("there is no redis-server, or no libfaketime: run scripts/install-stack")
    clocks = Clocks(tmp_path)
    environment = clocks.redis("redis-2")
    with (
        clocks.off("redis-2", off_s),
        RedisGroup(
            tmp_path / "group", program=program, environments={"redis-2": environment}
        ) as group,
    ):
        async with aclosing(connect(group.url, timeout_s=2.0)) as client:
            taker = Taker(client)
            settings = make_settings(redis_url=group.url, redis_replicas_in_sync=1)
            php = cast(Backend, OldPhp())
            watch = EpochWatch(settings, client, php, Leases(client, LEASE_TTL_MS), Begun())
            watching = asyncio.create_task(watch.keep_comparing())
            await taker.take(60)
            old, before = group.primary, len(taker.slots)
            clock_before = await redis_now_us(client) / 1e6 - time.time()
            taking = asyncio.create_task(taker.take(120))
            await asyncio.to_thread(group.lose, old)
            lost_at = time.monotonic()
            await taking
            await cancel([watching])
            clock_after = await redis_now_us(client) / 1e6 - time.time()
    assert clock_after - clock_before == pytest.approx(off_s, abs=5)
    later = [slot for slot in taker.slots[before:] if slot > lost_at + 1.0]
    assert len(later) > 60
    assert min(later) < lost_at + PATIENCE_S
    assert most_within(taker.slots, 1.0) <= RATE * (1.0 + WAY_S) + 1
    gaps = [second - first for first, second in itertools.pairwise(sorted(later))]
    assert max(gaps) < 2.0, "it goes on at its rate"
