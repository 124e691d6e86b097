"""A number that was throttled: slower at once, and back again without going to and fro."""

import pytest

from sidecar.redis import keys
from sidecar.redis.client import Redis
from tests.workers.rows import CAMPAIGN, NUMBER
from tests.workers.simulated_time import (
    START,
    Clock,
    World,
    held_lease,
    simulated_limiter,
)
from tests.workers.slots import limits, recipients
from workers.sending.limiter import AHEAD_S, Grant, Limiter


@pytest.fixture
def limiter(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> Limiter:
    return simulated_limiter(redis, monkeypatch)


class Number:
    """A number of 100 per second, at times of the test's choice (seconds from the start)."""

    def __init__(self, redis: Redis, limiter: Limiter) -> None:
        self.redis = redis
        self.limiter = limiter
        self.clock = Clock(redis)

    async def ask(self, at: float) -> Grant:
        await self.clock.set(START + at)
        lease = await held_lease(self.redis, CAMPAIGN)
        return await self.limiter.grant(lease, CAMPAIGN, limits(100.0), recipients(1))

    async def rate(self, at: float) -> float:
        return 1 / (await self.ask(at)).gap_s

    async def throttled(self, at: float, sent_at: float | None = None) -> None:
        await self.clock.set(START + at)
        await self.limiter.throttled(NUMBER, START + (at if sent_at is None else sent_at))

    async def held_until(self) -> float:
        return int(await self.redis.hget(keys.number(NUMBER), "until") or 0) / 1e6 - START


@pytest.fixture
async def number(redis: Redis, limiter: Limiter) -> Number:
    number = Number(redis, limiter)
    assert await number.rate(0) == pytest.approx(100)
    return number


async def test_it_pauses_and_goes_on_more_slowly(number: Number) -> None:
    await number.throttled(1)
    assert await number.held_until() == pytest.approx(2)
    held = await number.ask(1.1)
    assert held.count == 0
    assert held.reason == "130429 throughput of the number reached"
    assert held.again_s == pytest.approx(0.9 - AHEAD_S / 2)
    grant = await number.ask(1.9)
    assert grant.count == 1
    assert grant.delay_s == pytest.approx(0.1), "not before the pause is over"
    assert 1 / grant.gap_s == pytest.approx(80, rel=0.001)


async def test_it_climbs_back_to_what_was_refused_and_then_beyond(number: Number) -> None:
    await number.throttled(1)
    await number.rate(5)
    await number.throttled(6)
    refused = await number.rate(7)
    rates = [await number.rate(7 + second) for second in range(90)]
    assert rates == sorted(rates), "it only climbs"
    assert rates[-1] == pytest.approx(100)
    around = sum(abs(rate / (refused / 0.8) - 1) < 0.05 for rate in rates)
    assert around > 20, "it lingers where it was refused"
    assert not await number.redis.hexists(keys.number(NUMBER), "ceiling")


async def test_a_burst_of_refusals_counts_as_one(number: Number) -> None:
    for at in range(20):
        await number.throttled(1 + at / 20, sent_at=0.9)
    await number.throttled(3, sent_at=1.5)
    assert await number.held_until() == pytest.approx(2)
    assert await number.rate(2) == pytest.approx(80, rel=0.001)


async def test_a_status_that_is_late_says_nothing_new(number: Number) -> None:
    await number.throttled(1)
    await number.throttled(30, sent_at=0.5)
    assert await number.held_until() == pytest.approx(2)
    await number.throttled(31, sent_at=10)
    assert await number.held_until() == pytest.approx(32)


async def test_a_send_of_the_future_is_one_of_now(number: Number) -> None:
    """The clocks of two machines differ."""
    await number.throttled(1, sent_at=500)
    await number.throttled(1.5, sent_at=500)
    assert await number.held_until() == pytest.approx(2)


async def test_the_pause_doubles_while_it_goes_on(number: Number) -> None:
    at, pauses = 1.0, []
    for _ in range(9):
        await number.throttled(at)
        pauses.append(await number.held_until() - at)
        at += pauses[-1]
        assert await number.rate(at) > 0
    assert pauses == [pytest.approx(pause) for pause in (1, 2, 4, 8, 16, 32, 60, 60, 60)]
    at += 61
    await number.throttled(at)
    assert await number.held_until() - at == pytest.approx(1)


async def test_it_never_slows_to_nothing(number: Number) -> None:
    at = 1.0
    for _ in range(40):
        await number.throttled(at)
        at = await number.held_until()
        assert await number.rate(at) >= 4.99


async def test_a_pause_is_stretched_by_chance(redis: Redis, number: Number) -> None:
    number.limiter._jitter = lambda: 1.0
    await number.throttled(1)
    assert await number.held_until() == pytest.approx(2.25)


async def test_a_number_of_which_nothing_is_known_is_held_all_the_same(
    redis: Redis, limiter: Limiter
) -> None:
    number = Number(redis, limiter)
    await number.throttled(1)
    assert (await number.ask(1.1)).count == 0
    assert await number.rate(2) == pytest.approx(80, rel=0.001)


# -- as a whole --


async def test_it_finds_what_the_api_allows_and_stays_there(redis: Redis, limiter: Limiter) -> None:
    """80 per second are configured, and 50 allowed."""
    world = World(redis, limiter, limits(79.2), allowed=50)
    for campaign in range(2):
        await world.add(f"c{campaign}")
    await world.run(20)
    rates = []
    for second in range(20, 140):
        await world.run(second)
        rates.append(await world.effective_rate())
    assert min(rates) > 38
    assert max(rates) < 54
    assert world.accepted_per_s(20, 140) > 0.88 * 50
    assert world.refused(0, 20) <= 15
    assert world.refused(20, 140) <= 12, "about one in a thousand"
    world.allow(80)
    await world.run(240)
    assert world.refused(140, 240) == 0
    assert world.accepted_per_s(220, 240) == pytest.approx(79.2, rel=0.01)


async def test_a_storm_ends_and_the_number_recovers(redis: Redis, limiter: Limiter) -> None:
    world = World(redis, limiter, limits(79.2), allowed=0.01)
    await world.add("c")
    await world.run(30)
    assert world.refused(0, 30) < 40, "it does not knock all the time"
    world.allow(80)
    await world.run(200)
    assert world.accepted_per_s(180, 200) == pytest.approx(79.2, rel=0.01)
