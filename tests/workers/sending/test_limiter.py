"""The limiter: never faster than the number's rate, over all workers together."""

import asyncio
import itertools
import subprocess
import sys
import time

import pytest

from sidecar.redis import keys
from sidecar.redis.client import Redis, connect
from sidecar.redis.lease import Lease, LeaseLost, Leases
from sidecar.sending.campaigns import campaign_lease
from tests.workers import slots
from tests.workers.rows import CAMPAIGN, NUMBER
from tests.workers.simulated_time import START, Clock, held_lease, simulated_limiter
from tests.workers.slots import limits, recipients, slots_of, take
from workers.sending.ledger import BEGIN_AHEAD_S, Halted
from workers.sending.limiter import AHEAD_S, Grant, Limiter

#: Slots are given out in whole microseconds.
ROUNDING_S = 2e-6


def assert_exact(taken: list[float], rate: float) -> None:
    """No two slots are closer than the rate allows, so no window has more than its share."""
    gaps = [later - earlier for earlier, later in itertools.pairwise(sorted(taken))]
    assert min(gaps) >= 1 / rate - ROUNDING_S


@pytest.fixture
def lease(campaign_lease_held: Lease) -> Lease:
    return campaign_lease_held


async def ask(
    limiter: Limiter, lease: Lease, *, rate: float, wanted: int, number: str = NUMBER
) -> Grant:
    return await limiter.grant(lease, CAMPAIGN, limits(rate, number), recipients(wanted))


async def test_slots_are_evenly_spaced(
    redis: Redis, lease: Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    limiter, clock = simulated_limiter(redis, monkeypatch), Clock(redis)
    await clock.set(START)
    taken: list[float] = []
    while len(taken) < 1000:
        wanted = min(7 + len(taken) % 40, 1000 - len(taken))
        grant = await ask(limiter, lease, rate=2000, wanted=wanted)
        taken += slots_of(grant)
        await clock.set(clock.now + grant.again_s)
    assert_exact(taken, 2000)
    assert taken == sorted(taken)
    busy = max(taken) - min(taken)
    assert busy == pytest.approx(999 / 2000, abs=0.001), "none is left out while asked for"


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
    grant = await ask(limiter, lease, rate=rate, wanted=1000)
    assert grant.delay_s == BEGIN_AHEAD_S
    assert grant.gap_s == pytest.approx(1 / rate, abs=ROUNDING_S)
    assert grant.count == int(round((AHEAD_S - BEGIN_AHEAD_S) * rate, 6)) + 1
    ahead_s = BEGIN_AHEAD_S + grant.count * grant.gap_s
    assert grant.again_s == pytest.approx(ahead_s - AHEAD_S / 2, abs=ROUNDING_S)
    assert (grant.refused, grant.reason) == ({}, None)


async def test_who_asks_too_early_is_told_when_to_come(
    redis: Redis, lease: Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    limiter = simulated_limiter(redis, monkeypatch)
    await Clock(redis).set(START)
    first = await ask(limiter, lease, rate=2, wanted=5)
    again = await ask(limiter, lease, rate=2, wanted=5)
    assert (first.count, again.count) == (1, 0)
    free_at = slots_of(first)[0] + first.gap_s
    assert again.again_s == pytest.approx(free_at - again.clock_s - AHEAD_S / 2, abs=0.001)
    assert again.reason is None


async def test_an_idle_number_saves_nothing_up(redis: Redis, lease: Lease) -> None:
    limiter = Limiter(redis)
    first = await ask(limiter, lease, rate=100, wanted=1)
    await asyncio.sleep(0.1)
    second = await ask(limiter, lease, rate=100, wanted=100)
    assert second.delay_s == BEGIN_AHEAD_S
    assert second.count <= AHEAD_S * 100
    assert slots_of(second)[0] >= slots_of(first)[0] + 0.1


async def test_numbers_do_not_wait_for_each_other(redis: Redis, lease: Lease) -> None:
    limiter = Limiter(redis)
    await ask(limiter, lease, rate=10, wanted=100, number="1")
    other = await ask(limiter, lease, rate=10, wanted=1, number="2")
    assert (other.count, other.delay_s) == (1, BEGIN_AHEAD_S)


async def test_the_clock_is_learned_from_the_answers(redis: Redis, lease: Lease) -> None:
    """An answer's way is all that the clock may be wrong by."""
    limiter = Limiter(redis)
    before = time.monotonic()
    await ask(limiter, lease, rate=10, wanted=1)
    seconds, micros = await redis.time()
    clock_s = limiter.clock.now()
    way_s = time.monotonic() - before
    assert clock_s == pytest.approx(seconds + micros / 1e6, abs=way_s)


async def test_a_clock_that_is_set_back_does_not_stop_the_number(
    redis: Redis, lease: Lease
) -> None:
    limiter = Limiter(redis)
    grant = await ask(limiter, lease, rate=100, wanted=5)
    in_an_hour = int((grant.clock_s + 3600) * 1_000_000)
    await redis.hset(keys.number(NUMBER), "next", in_an_hour)
    await redis.zadd(keys.turns(NUMBER), {CAMPAIGN: in_an_hour})
    await redis.zadd(keys.wanting(NUMBER), {"another": in_an_hour})
    grant = await ask(limiter, lease, rate=100, wanted=5)
    assert grant.count == 0
    assert grant.again_s <= AHEAD_S


async def test_everything_that_is_kept_expires(redis: Redis, lease: Lease) -> None:
    limiter = Limiter(redis)
    await limiter.grant(lease, CAMPAIGN, limits(10, daily_recipients=9), recipients(100))
    await limiter.throttled("another", limiter.clock.now())
    await limiter.hold_pair(NUMBER, "1", 30)
    kept = [key async for key in redis.scan_iter()]
    assert len(kept) >= 8
    ours = {lease.key, keys.fence(campaign_lease(CAMPAIGN)), keys.NUMBERS, keys.EPOCH}
    for key in kept:
        if key.decode() not in ours:
            assert 0 < await redis.pttl(key) <= 86_460_000, key


# -- refusals --


async def test_no_slots_without_the_lease(redis: Redis, lease: Lease) -> None:
    await redis.set(lease.key, lease.token + 1)
    with pytest.raises(LeaseLost):
        await ask(Limiter(redis), lease, rate=10, wanted=3)
    await redis.delete(lease.key)
    with pytest.raises(LeaseLost):
        await ask(Limiter(redis), lease, rate=10, wanted=3)
    assert not await redis.exists(keys.number(NUMBER))


async def test_no_slots_for_a_halted_campaign(redis: Redis, lease: Lease) -> None:
    await redis.set(keys.halt(CAMPAIGN), "cancelled")
    with pytest.raises(Halted):
        await ask(Limiter(redis), lease, rate=10, wanted=3)
    assert not await redis.exists(keys.number(NUMBER))


@pytest.mark.parametrize("more", [True, False])
async def test_what_comes_first_keeps_others_back_until_its_last_row_has_a_slot(
    redis: Redis, lease: Lease, more: bool
) -> None:
    """Also if it got all that it asked for: it does not ask for all of its rows at once."""
    limiter = Limiter(redis)
    other = await held_lease(redis, "replies")
    first = await limiter.grant(
        other, "replies", limits(1000), recipients(2), urgent=True, more=more
    )
    assert first.count == 2
    assert (await ask(limiter, lease, rate=1000, wanted=2)).count == (0 if more else 2)


@pytest.mark.parametrize("more", [True, False])
async def test_a_campaign_with_more_rows_than_it_asks_about_shares(
    redis: Redis, lease: Lease, more: bool
) -> None:
    limiter = Limiter(redis)
    other = await held_lease(redis, "other")
    await limiter.grant(other, "other", limits(1000), recipients(2), more=more)
    granted = await ask(limiter, lease, rate=1000, wanted=300)
    assert granted.count < 150 if more else granted.count > 200
