"""The limiter: never faster than the number's rate, over all workers together."""

import asyncio
import itertools
import subprocess
import sys

import pytest

from sidecar import keys
from sidecar.campaigns import campaign_lease
from sidecar.lease import Lease, Leases
from sidecar.redis_client import Redis, connect
from tests.workers import slots
from tests.workers.rows import CAMPAIGN, NUMBER
from tests.workers.slots import slots_of, take
from workers.ledger import Halted, NotTheHolder
from workers.limiter import AHEAD_S, Limiter

#: Slots are given out in whole microseconds.
ROUNDING_S = 2e-6


def assert_exact(taken: list[float], rate: float) -> None:
    """No two slots are closer than the rate allows, so no window has more than its share."""
    gaps = [later - earlier for earlier, later in itertools.pairwise(sorted(taken))]
    assert min(gaps) >= 1 / rate - ROUNDING_S


@pytest.fixture
def lease(campaign_lease_held: Lease) -> Lease:
    return campaign_lease_held


async def test_slots_are_evenly_spaced(redis: Redis, lease: Lease) -> None:
    taken = await take(Limiter(redis), lease, CAMPAIGN, 2000, 1000)
    assert_exact(taken, 2000)
    assert taken == sorted(taken)
    busy = max(taken) - min(taken)
    assert busy == pytest.approx(999 / 2000, rel=0.5), "slots are not left out while asked for"


async def test_many_campaigns_and_clients_share_a_number(redis_url: str) -> None:
    async def worker(campaign: str) -> list[float]:
        client = connect(redis_url, timeout_s=5)
        try:
            async with Leases(client, 10_000).hold(campaign_lease(campaign)) as lease:
                assert lease is not None
                return await take(Limiter(client), lease, campaign, 4000, 500)
        finally:
            await client.aclose()

    taken = await asyncio.gather(*(worker(f"c{number}") for number in range(8)))
    assert_exact(sorted(itertools.chain(*taken)), 4000)


def test_processes_share_a_number(redis_url: str) -> None:
    takers = [
        subprocess.Popen(
            [sys.executable, slots.__file__, redis_url, f"c{number}", "3000", "700"],
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(3)
    ]
    taken: list[float] = []
    for taker in takers:
        output, _ = taker.communicate(timeout=60)
        assert taker.returncode == 0
        taken += map(float, output.split())
    assert len(taken) == 2100
    assert_exact(taken, 3000)


@pytest.mark.parametrize("rate", [0.4, 19.8, 79.2, 1000.0])
async def test_slots_are_given_out_a_little_ahead_and_no_more(
    redis: Redis, lease: Lease, rate: float
) -> None:
    limiter = Limiter(redis)
    grant = await limiter.grant(lease, CAMPAIGN, NUMBER, rate=rate, wanted=5000)
    assert grant.delay_s == 0
    assert grant.gap_s == pytest.approx(1 / rate)
    assert grant.count == int(AHEAD_S * rate) + 1
    again = await limiter.grant(lease, CAMPAIGN, NUMBER, rate=rate, wanted=1)
    if again.count == 0:
        ahead = slots_of(grant)[-1] + grant.gap_s - again.clock_s
        assert again.delay_s == pytest.approx(ahead - AHEAD_S, abs=0.001)


async def test_an_idle_number_saves_nothing_up(redis: Redis, lease: Lease) -> None:
    limiter = Limiter(redis)
    first = await limiter.grant(lease, CAMPAIGN, NUMBER, rate=100, wanted=1)
    await asyncio.sleep(0.1)
    second = await limiter.grant(lease, CAMPAIGN, NUMBER, rate=100, wanted=100)
    assert second.delay_s == 0
    assert second.count <= 26
    assert slots_of(second)[0] >= slots_of(first)[0] + 0.1


async def test_numbers_do_not_wait_for_each_other(redis: Redis, lease: Lease) -> None:
    limiter = Limiter(redis)
    await limiter.grant(lease, CAMPAIGN, "1", rate=10, wanted=100)
    other = await limiter.grant(lease, CAMPAIGN, "2", rate=10, wanted=1)
    assert (other.count, other.delay_s) == (1, 0)


async def test_a_number_is_held(redis: Redis, lease: Lease) -> None:
    limiter = Limiter(redis)
    await limiter.hold(NUMBER, 2.0)
    grant = await limiter.grant(lease, CAMPAIGN, NUMBER, rate=100, wanted=5)
    assert grant.count == 0
    assert grant.delay_s == pytest.approx(2.0 - AHEAD_S, abs=0.2)
    await limiter.hold(NUMBER, 0.5)
    again = await limiter.grant(lease, CAMPAIGN, NUMBER, rate=100, wanted=5)
    assert again.delay_s > 1.0, "a shorter hold does not end a longer one"


async def test_a_hold_does_not_take_back_slots(redis: Redis, lease: Lease) -> None:
    limiter = Limiter(redis)
    before = await limiter.grant(lease, CAMPAIGN, NUMBER, rate=20, wanted=5)
    await limiter.hold(NUMBER, 0.01)
    after = await limiter.grant(lease, CAMPAIGN, NUMBER, rate=20, wanted=1)
    assert_exact(slots_of(before) + slots_of(after), 20)


async def test_what_is_kept_of_a_number_expires(redis: Redis, lease: Lease) -> None:
    limiter = Limiter(redis)
    await limiter.grant(lease, CAMPAIGN, NUMBER, rate=10, wanted=3)
    assert 60_000 <= await redis.pttl(keys.rate(NUMBER)) <= 61_000
    await limiter.hold(NUMBER, 30)
    assert 89_000 <= await redis.pttl(keys.rate(NUMBER)) <= 91_000


# -- refusals --


async def test_no_slots_without_the_lease(redis: Redis, lease: Lease) -> None:
    await redis.set(lease.key, lease.token + 1)
    with pytest.raises(NotTheHolder):
        await Limiter(redis).grant(lease, CAMPAIGN, NUMBER, rate=10, wanted=3)
    await redis.delete(lease.key)
    with pytest.raises(NotTheHolder):
        await Limiter(redis).grant(lease, CAMPAIGN, NUMBER, rate=10, wanted=3)
    assert not await redis.exists(keys.rate(NUMBER))


async def test_no_slots_for_a_halted_campaign(redis: Redis, lease: Lease) -> None:
    await redis.set(keys.halt(CAMPAIGN), "cancelled")
    with pytest.raises(Halted):
        await Limiter(redis).grant(lease, CAMPAIGN, NUMBER, rate=10, wanted=3)
    assert not await redis.exists(keys.rate(NUMBER))
