"""Which vendors a partition of a lane holds."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.jobs import Lane
from sidecar.inbox.partitions import (
    MAX_PARTITIONS,
    SALTS,
    Partition,
    best_salt,
    drain_lease,
    drain_leases,
    place_of,
)
from sidecar.redis import keys
from sidecar.redis.client import Redis, script
from tests.examples import examples

VENDORS = st.lists(st.text(min_size=1, max_size=40), min_size=1, max_size=8, unique=True)


def test_each_has_a_lease_of_its_own_and_the_first_is_the_lanes() -> None:
    names = [name for lane in Lane for name in drain_leases(lane)]
    assert len(set(names)) == len(names) == len(Lane) * MAX_PARTITIONS
    assert drain_lease(Lane.STATUSES) == drain_leases(Lane.STATUSES)[0] == "drain:statuses"


def test_one_holds_all() -> None:
    assert all(Partition().holds(vendor) for vendor in ("", "a", "ü"))


def test_vendors_spread_over_all() -> None:
    for count in range(2, MAX_PARTITIONS + 1):
        for index in range(count):
            mine = sum(Partition(index, count).holds(f"vendor-{n}") for n in range(400))
            assert 0.6 * 400 / count < mine < 1.4 * 400 / count


@pytest.mark.parametrize("count", [2, 3])
def test_work_is_spread_evenly(count: int) -> None:
    for number in range(20):
        waiting = {f"{number} {vendor}": 100 for vendor in range(4 * count)}
        salt = best_salt(waiting, count)
        loads = [0] * count
        for vendor, webhooks in waiting.items():
            loads[place_of(vendor, count, salt)] += webhooks
        assert max(loads) <= 1.25 * sum(loads) / count


def test_one_vendor_has_most_of_it() -> None:
    waiting = {"flood": 1000, **{f"quiet-{number}": 10 for number in range(6)}}
    salt = best_salt(waiting, 2)
    beside = [v for v in waiting if place_of(v, 2, salt) == place_of("flood", 2, salt)]
    assert len(beside) <= 2


def test_nothing_waits() -> None:
    assert best_salt({}, 3) in range(SALTS)


@settings(
    deadline=None,
    max_examples=examples(30),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(VENDORS, st.integers(1, MAX_PARTITIONS), st.integers(0, SALTS))
async def test_every_vendor_is_in_one_and_redis_says_the_same(
    redis: Redis, vendors: list[str], count: int, salt: int
) -> None:
    heads = script(redis, "inbox/oldest_entry")
    for vendor in vendors:
        holders = [index for index in range(count) if Partition(index, count, salt).holds(vendor)]
        assert len(holders) == 1
        await redis.flushall()
        await redis.sadd(keys.ready(Lane.STATUSES), vendor)
        await redis.xadd(keys.inbox(Lane.STATUSES, vendor), {"signature": "body"})
        for index in range(count):
            _, found, _ = await heads(
                keys=[keys.ready(Lane.STATUSES), keys.waiting(Lane.STATUSES)],
                args=[keys.inbox(Lane.STATUSES, ""), 10, *Partition(index, count, salt).words],
            )
            assert bool(found) == (holders == [index])
