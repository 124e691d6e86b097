"""What waits in a lane, as the drain reads it."""

from contracts.jobs import Lane
from sidecar import keys
from sidecar.redis_client import Redis
from tests.workers.payloads import item
from workers.inbox.retries import Retries
from workers.inbox.update import Update

LANE = Lane.MESSAGES


async def put(redis: Redis, order_key: str, due_at: int, count: int = 1) -> list[Update]:
    items = [item(order_key=order_key) for _ in range(count)]
    for one in items:
        await redis.rpush(keys.deferred_items(LANE, order_key), one.dump())
    await redis.zadd(keys.deferred(LANE), {order_key: due_at})
    return items


async def test_the_first_of_each_that_is_due_the_longest_due_first(redis: Redis) -> None:
    late = await put(redis, "late", 300, 2)
    early = await put(redis, "early", 100, 3)
    await put(redis, "not yet", 501)
    deferred = Retries(redis, LANE)
    assert list((await deferred.due(500, limit=10, whole=False)).items()) == [
        ("early", early[:1]),
        ("late", late[:1]),
    ]
    assert await deferred.due(500, limit=10, whole=True) == {"early": early, "late": late}
    assert list(await deferred.due(500, limit=1, whole=False)) == ["early"]


async def test_nothing_is_due(redis: Redis) -> None:
    deferred = Retries(redis, LANE)
    assert await deferred.due(500, limit=10, whole=True) == {}
    assert await deferred.how_many_due(500) == 0
    await put(redis, "a", 501)
    assert await deferred.due(500, limit=10, whole=True) == {}
    assert await deferred.how_many_due(500) == 0
    assert await deferred.how_many_due(501) == 1


async def test_lanes_are_apart(redis: Redis) -> None:
    await put(redis, "a", 1)
    other = Retries(redis, Lane.STATUSES)
    assert await other.how_many_due(10) == 0
    assert await other.held([item(order_key="a")]) == set()


async def test_who_has_to_wait_behind_something(redis: Redis) -> None:
    await put(redis, "a", 10**15)
    deferred = Retries(redis, LANE)
    items = [item(order_key=key) for key in ("a", "b", "a")]
    assert await deferred.held(items) == {"a"}
    assert await deferred.held([]) == set()


async def test_an_order_key_may_hold_any_text(redis: Redis) -> None:
    key = "vendor/\x00 ü:*{}\n"
    [one] = await put(redis, key, 1)
    assert await Retries(redis, LANE).due(1, limit=1, whole=False) == {key: [one]}


async def test_what_is_under_way_is_left_out_and_does_not_count(redis: Redis) -> None:
    for name in ("a", "b", "c"):
        await put(redis, name, 1)
    found = await Retries(redis, LANE).due(1, limit=1, whole=False, under_way={"a", "b"})
    assert list(found) == ["c"]


async def test_what_stands_aside_comes_later_and_never_sooner(redis: Redis) -> None:
    for name, due_at in (("a", 1), ("b", 900)):
        await put(redis, name, due_at)
    deferred = Retries(redis, LANE)
    await deferred.postpone(["a", "b", "gone"], 500)
    await deferred.postpone([], 10**9)
    index = await redis.zrange(keys.deferred(LANE), 0, -1, withscores=True)
    assert index == [(b"a", 500.0), (b"b", 900.0)]


async def test_what_is_kept_under_an_order_key(redis: Redis) -> None:
    items = await put(redis, "a", 1, 3)
    deferred = Retries(redis, LANE)
    assert await deferred.kept("a", whole=False) == [items[0].dump()]
    assert await deferred.kept("a", whole=True) == [one.dump() for one in items]
    assert await deferred.kept("b", whole=True) == []
