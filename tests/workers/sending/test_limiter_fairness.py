"""Campaigns of one number: equal shares, and nothing left unused."""

import pytest

from sidecar.redis.client import Redis
from tests.workers.simulated_time import World, simulated_limiter
from tests.workers.slots import limits

RATE = 79.2


@pytest.fixture
def world(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> World:
    limiter = simulated_limiter(redis, monkeypatch)
    return World(redis, limiter, limits(RATE), allowed=80)


def shares(world: World, begin_s: float, end_s: float) -> list[float]:
    sent = world.sent_per_s(begin_s, end_s)
    return [one / sum(sent) for one in sent]


@pytest.mark.parametrize("campaigns", [2, 5])
async def test_shares_are_equal_and_the_rate_is_kept(world: World, campaigns: int) -> None:
    for number in range(campaigns):
        await world.add(f"c{number}", begins_s=number * 0.037)
    await world.run(6)
    equal = 1 / campaigns
    assert shares(world, 1, 6) == [pytest.approx(equal, rel=0.1)] * campaigns
    assert sum(world.sent_per_s(1, 6)) == pytest.approx(RATE, rel=0.01)
    assert world.worst_second() <= 80
    assert world.refused(0, 6) == 0


async def test_one_that_joins_gets_its_share_at_once(world: World) -> None:
    await world.add("first")
    await world.add("second", begins_s=3)
    await world.run(8)
    assert shares(world, 0, 3) == [1, 0]
    assert shares(world, 3.5, 8) == [pytest.approx(0.5, rel=0.1)] * 2
    assert sum(world.sent_per_s(3, 8)) == pytest.approx(RATE, rel=0.01)


async def test_what_one_that_vanishes_leaves_is_used_within_two_seconds(world: World) -> None:
    """Its process died, so nobody says that it wants nothing any more."""
    first = await world.add("first")
    await world.add("second", ends_s=4)
    await world.run(10)
    assert sum(world.sent_per_s(6, 10)) == pytest.approx(RATE, rel=0.01)
    assert len(first.sent) > 0.5 * 4 * RATE + 4.5 * RATE


@pytest.mark.parametrize("demand", [0.8, 10.0, 30.0])
async def test_one_that_wants_less_gets_it_and_leaves_the_rest(world: World, demand: float) -> None:
    await world.add("all it can get")
    await world.add("little", demand=demand)
    await world.run(10)
    greedy, modest = world.sent_per_s(2, 10)
    assert modest == pytest.approx(demand, rel=0.1, abs=0.3)
    assert greedy + modest == pytest.approx(RATE, rel=0.015)


async def test_no_campaign_starves(world: World) -> None:
    """More of them than slots in the time that is given out ahead."""
    for number in range(40):
        await world.add(f"c{number}", begins_s=number * 0.013)
    await world.run(12)
    sent = world.sent_per_s(2, 12)
    assert min(sent) > 0.7 * RATE / 40
    assert max(sent) < 1.3 * RATE / 40
    assert sum(sent) == pytest.approx(RATE, rel=0.02)
