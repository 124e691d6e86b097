"""Which vendors a partition of a lane holds."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.jobs import Lane
from sidecar.inbox.partitions import MAX_PARTITIONS, Partition, drain_lease, drain_leases
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


@settings(
    deadline=None,
    max_examples=examples(30),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(VENDORS, st.integers(1, MAX_PARTITIONS))
async def test_every_vendor_is_in_one_and_redis_says_the_same(
    redis: Redis, vendors: list[str], count: int
) -> None:
    heads = script(redis, "inbox/oldest_entry")
    for vendor in vendors:
        holders = [index for index in range(count) if Partition(index, count).holds(vendor)]
        assert len(holders) == 1
        await redis.flushall()
        await redis.sadd(keys.ready(Lane.STATUSES), vendor)
        await redis.xadd(keys.inbox(Lane.STATUSES, vendor), {"signature": "body"})
        for index in range(count):
            _, found = await heads(
                keys=[keys.ready(Lane.STATUSES)],
                args=[keys.inbox(Lane.STATUSES, ""), 10, index, count],
            )
            assert bool(found) == (holders == [index])
