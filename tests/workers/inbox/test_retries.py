"""What waits in a lane, as the drain reads it."""

from typing import Any

import pytest

from contracts.jobs import Lane
from sidecar.inbox.partitions import Partition
from sidecar.redis import keys
from sidecar.redis.client import Redis
from tests.workers.payloads import make_update
from workers.inbox.retries import Retries
from workers.inbox.update import Update

LANE = Lane.MESSAGES


async def put(redis: Redis, order_key: str, due_at: int, count: int = 1) -> list[Update]:
    updates = [make_update(order_key=order_key) for _ in range(count)]
    for one in updates:
        await redis.rpush(keys.deferred_updates(LANE, order_key), one.dump())
    await redis.zadd(keys.deferred(LANE), {order_key: due_at})
    return updates


async def due(retries: Retries, now: int, **more: Any) -> list[tuple[str, list[str]]]:
    """Return the ids of what is due, by order key."""
    found = await retries.due(now, **{"limit": 10, **more})
    return [(name, ids(updates)) for name, updates in found.items()]


def ids(updates: list[Update]) -> list[str]:
    return [one.id for one in updates]


async def test_what_is_due_the_longest_due_first_in_order(redis: Redis) -> None:
    late = await put(redis, "late", 300, 2)
    early = await put(redis, "early", 100, 3)
    await put(redis, "not yet", 501)
    retries = Retries(redis, LANE)
    assert await due(retries, 500) == [("early", ids(early)), ("late", ids(late))]
    assert await due(retries, 500, limit=1) == [("early", ids(early))]


async def test_it_is_read_as_it_was_written_and_says_what_it_takes(redis: Redis) -> None:
    [one] = await put(redis, "a", 1)
    [found] = (await Retries(redis, LANE).due(1, limit=1))["a"]
    assert found.stored_bytes == len(one.dump())
    assert found.dump() == one.dump()


async def test_of_each_no_more_than_the_first_few(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.inbox.retries.MAX_OF_KEY", 3)
    many, few = await put(redis, "many", 1, 5), await put(redis, "few", 2, 2)
    assert await due(Retries(redis, LANE), 5) == [("many", ids(many)[:3]), ("few", ids(few))]


async def test_no_more_than_so_many_bytes(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = await put(redis, "a", 1, 5), await put(redis, "b", 2, 5)
    sizes = [len(one.dump()) for one in first + second]
    retries = Retries(redis, LANE)
    for most in range(1, 10):
        monkeypatch.setattr("workers.inbox.retries.MAX_BYTES", sum(sizes[:most]))
        found = [name for _, updates in await due(retries, 5) for name in updates]
        assert found == ids(first + second)[:most]


async def test_the_first_comes_however_large_it_is(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.inbox.retries.MAX_BYTES", 1)
    first, _ = await put(redis, "a", 1, 2)
    await put(redis, "b", 2)
    assert await due(Retries(redis, LANE), 5) == [("a", [first.id])]


async def test_nothing_is_due(redis: Redis) -> None:
    retries = Retries(redis, LANE)
    assert await retries.due(500, limit=10) == {}
    assert await retries.anything_due(500, 0) is False
    await put(redis, "a", 501)
    assert await retries.due(500, limit=10) == {}
    assert await retries.anything_due(500, 0) is False
    assert await retries.anything_due(501, 0) is True


@pytest.mark.parametrize("limit", [2, 3, 100])
async def test_partitions_are_apart_and_together_all_of_it(redis: Redis, limit: int) -> None:
    names = [f"vendor-{n}/contact" for n in range(12)]
    for due_at, name in enumerate(names, 1):
        await put(redis, name, due_at)
    found: list[str] = []
    for index in range(3):
        partition = Partition(index, 3, salt=4)
        retries = Retries(redis, LANE, partition)
        mine = [name for name in names if partition.holds(name.partition("/")[0])]
        assert await retries.due_keys(100, limit=limit) == mine[:limit]
        assert list(await retries.due(100, limit=limit)) == mine[:limit]
        assert await retries.anything_due(100, len(mine) - 1)
        assert not await retries.anything_due(100, len(mine))
        found += mine
    assert sorted(found) == sorted(names)


async def test_lanes_are_apart(redis: Redis) -> None:
    await put(redis, "a", 1)
    other = Retries(redis, Lane.STATUSES)
    assert await other.anything_due(10, 0) is False
    assert await other.held([make_update(order_key="a")]) == set()


async def test_who_has_to_wait_behind_something(redis: Redis) -> None:
    await put(redis, "a", 10**15)
    retries = Retries(redis, LANE)
    updates = [make_update(order_key=key) for key in ("a", "b", "a")]
    assert await retries.held(updates) == {"a"}
    assert await retries.held([]) == set()


async def test_an_order_key_may_hold_any_text(redis: Redis) -> None:
    key = "vendor/\x00 ü:*{}\n"
    [one] = await put(redis, key, 1)
    assert await due(Retries(redis, LANE), 1) == [(key, [one.id])]
    assert await Retries(redis, LANE).due_keys(1, limit=1) == [key]


async def test_what_is_under_way_is_left_out_and_does_not_count(redis: Redis) -> None:
    for name in ("a", "b", "c"):
        await put(redis, name, 1)
    found = await Retries(redis, LANE).due(1, limit=1, in_flight={"a", "b"})
    assert list(found) == ["c"]


async def test_what_stands_aside_comes_later_and_never_sooner(redis: Redis) -> None:
    for name, due_at in (("a", 1), ("b", 900)):
        await put(redis, name, due_at)
    retries = Retries(redis, LANE)
    await retries.postpone(["a", "b", "gone"], 500)
    await retries.postpone([], 10**9)
    index = await redis.zrange(keys.deferred(LANE), 0, -1, withscores=True)
    assert index == [(b"a", 500.0), (b"b", 900.0)]


async def test_what_is_kept_under_an_order_key(redis: Redis) -> None:
    updates = await put(redis, "a", 1, 3)
    retries = Retries(redis, LANE)
    assert await retries.kept("a", count=1) == [updates[0].dump()]
    assert await retries.kept("a", count=2) == [one.dump() for one in updates[:2]]
    assert await retries.kept("a", count=9) == [one.dump() for one in updates]
    assert await retries.kept("b", count=9) == []


async def test_the_keys_of_what_is_due(redis: Redis) -> None:
    for name, due_at in (("late", 300), ("early", 100), ("not yet", 501)):
        await put(redis, name, due_at)
    retries = Retries(redis, LANE)
    assert await retries.due_keys(500, limit=9) == ["early", "late"]
    assert await retries.due_keys(500, limit=1) == ["early"]
