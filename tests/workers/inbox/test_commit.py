"""What is recorded about a batch is recorded at once, or not at all."""

from typing import Any, cast

import orjson
import pytest

from contracts.jobs import Lane
from sidecar.inbox import ignored
from sidecar.inbox.store import EntryHead
from sidecar.ops.ignored import last_ignored, read_ignored, read_ignored_messages
from sidecar.redis import keys
from sidecar.redis.client import Redis, ResponseError
from sidecar.redis.lease import Lease, LeaseLost
from tests.workers.payloads import VENDOR, make_update
from workers.inbox.commit import Commit
from workers.inbox.update import Update

LANE = Lane.STATUSES
STREAM = keys.inbox(LANE, VENDOR)


@pytest.fixture
def commit(redis: Redis, drain_lease_held: Lease) -> Commit:
    return Commit(redis, LANE, drain_lease_held)


async def put(redis: Redis, count: int, vendor: str = VENDOR) -> list[str]:
    await redis.sadd(keys.ready(LANE), vendor)
    pipeline = redis.pipeline()
    for _ in range(count):
        pipeline.xadd(keys.inbox(LANE, vendor), {"signature": "body"})
    return [entry_id.decode() for entry_id in await pipeline.execute()]


async def snapshot(redis: Redis) -> dict[Any, Any]:
    """Return everything that is in Redis."""
    return {key: await redis.dump(key) for key in await redis.keys("*")}


def heads(entry_ids: list[str], webhooks: int = 1, size: int = 100) -> list[EntryHead]:
    return [EntryHead(entry_id, webhooks, size) for entry_id in entry_ids]


async def kept(redis: Redis, order_key: str) -> list[Update]:
    """Return what waits under an order key."""
    updates = keys.deferred_updates(LANE, order_key)
    found = cast("list[bytes]", await redis.lrange(updates, 0, -1))
    return [Update.load(dumped) for dumped in found]


async def counts(redis: Redis, vendor: str = VENDOR) -> dict[str, int]:
    found = cast("dict[bytes, bytes]", await redis.hgetall(keys.counters(vendor)))
    return {name.decode(): int(count) for name, count in found.items() if int(count)}


def waiting(*updates: Update) -> dict[str, int]:
    """Return what is counted of updates that wait."""
    stored = sum(len(update.dump()) for update in updates)
    names = keys.deferred_count(LANE), keys.deferred_bytes(LANE), keys.STORED_BYTES
    return {n: c for n, c in zip(names, (len(updates), stored, stored), strict=True) if c}


async def wait(redis: Redis, lease: Lease, *updates: Update, due_at: int = 5) -> None:
    """Have updates wait."""
    commit = Commit(redis, LANE, lease)
    for update in updates:
        commit.defer(update, due_at)
    await commit.commit()


def everything(commit: Commit, entry_ids: list[str]) -> None:
    """Have one of each thing recorded."""
    commit.delete_entries(VENDOR, heads(entry_ids))
    commit.move_cursor(VENDOR, "9-0 1 2")
    commit.count(VENDOR, "updates", 3)
    commit.defer(make_update(order_key="a"), 5)
    commit.take_deferred([make_update(order_key="b")], next_due_at=6)
    commit.take_unread(VENDOR, "d", b"{}", next_due_at=6)
    commit.put_back([make_update(order_key="c")], 7)
    commit.dead_letter(make_update(), 8)
    commit.dead_letter_unread(make_update().dump(), VENDOR, "worker died", 8)
    commit.add_command("SET", "other", 1, "EX", 60)
    commit.record_backend_ok(9)


async def test_nothing_happens_before_the_commit(redis: Redis, commit: Commit) -> None:
    before = await snapshot(redis)
    everything(commit, ["1-0"])
    assert await snapshot(redis) == before


async def test_nothing_is_recorded_when_the_lease_is_lost(
    redis: Redis, commit: Commit, drain_lease_held: Lease
) -> None:
    entry_ids = await put(redis, 2)
    await redis.set(drain_lease_held.key, drain_lease_held.token + 1)
    before = await snapshot(redis)
    everything(commit, entry_ids)
    with pytest.raises(LeaseLost, match="statuses"):
        await commit.commit()
    assert await snapshot(redis) == before


async def test_nothing_is_recorded_when_the_lease_has_expired(
    redis: Redis, commit: Commit, drain_lease_held: Lease
) -> None:
    await redis.delete(drain_lease_held.key)
    before = await snapshot(redis)
    everything(commit, ["1-0"])
    with pytest.raises(LeaseLost):
        await commit.commit()
    assert await snapshot(redis) == before


async def test_everything_is_recorded(redis: Redis, commit: Commit) -> None:
    entry_ids = await put(redis, 3)
    everything(commit, entry_ids[:2])
    await commit.commit()
    assert await redis.xlen(STREAM) == 1
    found = await counts(redis)
    assert (found["webhooks_done"], found["updates"], found["dead"]) == (2, 3, 2)
    assert await redis.hget(keys.cursor(LANE), VENDOR) == b"9-0 1 2"
    assert await redis.zrange(keys.deferred(LANE), 0, -1, withscores=True) == [
        (b"a", 5.0),
        (b"c", 7.0),
    ]
    assert await redis.get(keys.BACKEND_OK) == b"9"


async def test_an_empty_stream_leaves_the_index(redis: Redis, commit: Commit) -> None:
    entry_ids = await put(redis, 2)
    await put(redis, 1, "vendor-2")
    commit.delete_entries(VENDOR, heads(entry_ids))
    await commit.commit()
    assert await redis.smembers(keys.ready(LANE)) == {b"vendor-2"}
    assert not await redis.exists(STREAM)


async def test_a_stream_with_something_left_stays(redis: Redis, commit: Commit) -> None:
    entry_ids = await put(redis, 2)
    commit.delete_entries(VENDOR, heads(entry_ids[:1]))
    await commit.commit()
    assert await redis.smembers(keys.ready(LANE)) == {VENDOR.encode()}


async def test_webhooks_that_leave_a_stream_do_not_wait_any_more(
    redis: Redis, commit: Commit, drain_lease_held: Lease
) -> None:
    entry_ids = await put(redis, 2)
    await redis.hset(keys.waiting(LANE), VENDOR, 7)
    await redis.hset(keys.counters(VENDOR), keys.STORED_BYTES, 700)
    commit.delete_entries(VENDOR, heads(entry_ids[:1], 4, 500))
    await commit.commit()
    assert await redis.hgetall(keys.waiting(LANE)) == {VENDOR.encode(): b"3"}
    assert await counts(redis) == {"webhooks_done": 4, keys.STORED_BYTES: 200}
    rest = Commit(redis, LANE, drain_lease_held)
    rest.delete_entries(VENDOR, heads(entry_ids[1:], 3, 200))
    await rest.commit()
    assert not await redis.exists(keys.waiting(LANE))
    assert await counts(redis) == {"webhooks_done": 7}


async def test_the_next_entry_is_not_begun(
    redis: Redis, commit: Commit, drain_lease_held: Lease
) -> None:
    """A cursor stays while its entry does, and goes with it."""
    entry_ids = await put(redis, 2)
    commit.move_cursor(VENDOR, f"{entry_ids[0]} 0 7")
    commit.move_cursor("vendor-2", "5-0 0 1")
    await commit.commit()
    done = Commit(redis, LANE, drain_lease_held)
    done.delete_entries(VENDOR, heads(entry_ids[:1]))
    await done.commit()
    assert await redis.hgetall(keys.cursor(LANE)) == {b"vendor-2": b"5-0 0 1"}


async def test_an_entry_may_be_done_and_the_next_one_begun(redis: Redis, commit: Commit) -> None:
    entry_ids = await put(redis, 2)
    commit.delete_entries(VENDOR, heads(entry_ids[:1]))
    commit.move_cursor(VENDOR, f"{entry_ids[1]} 0 7")
    await commit.commit()
    position = f"{entry_ids[1]} 0 7".encode()
    assert await redis.hgetall(keys.cursor(LANE)) == {VENDOR.encode(): position}


async def test_what_came_meanwhile_is_not_forgotten(redis: Redis, commit: Commit) -> None:
    entry_ids = await put(redis, 2)
    commit.delete_entries(VENDOR, heads(entry_ids))
    await put(redis, 1)
    await commit.commit()
    assert await redis.xlen(STREAM) == 1
    assert await redis.smembers(keys.ready(LANE)) == {VENDOR.encode()}


async def test_a_vendor_that_is_ready_without_a_stream_leaves_the_index(
    redis: Redis, commit: Commit
) -> None:
    await redis.sadd(keys.ready(LANE), VENDOR)
    commit.delete_entries(VENDOR, [])
    await commit.commit()
    assert await redis.smembers(keys.ready(LANE)) == set()


async def test_an_update_waits_behind_those_that_wait_and_keeps_their_time(
    redis: Redis, commit: Commit
) -> None:
    first, second = make_update(order_key="a"), make_update(order_key="a")
    commit.defer(first, 5)
    commit.defer(second, 3)
    await commit.commit()
    assert await redis.lrange(keys.deferred_updates(LANE, "a"), 0, -1) == [
        first.dump(),
        second.dump(),
    ]
    assert await redis.zscore(keys.deferred(LANE), "a") == 5
    assert await counts(redis) == waiting(first, second)


async def test_updates_are_taken_from_the_front(redis: Redis, drain_lease_held: Lease) -> None:
    updates = [make_update(order_key="a") for _ in range(3)]
    await wait(redis, drain_lease_held, *updates)
    found = await kept(redis, "a")
    later = Commit(redis, LANE, drain_lease_held)
    later.take_deferred(found[:2], next_due_at=11)
    await later.commit()
    assert await redis.lrange(keys.deferred_updates(LANE, "a"), 0, -1) == [updates[2].dump()]
    assert await redis.zscore(keys.deferred(LANE), "a") == 11
    assert await counts(redis) == waiting(updates[2])
    last = Commit(redis, LANE, drain_lease_held)
    last.take_deferred(found[2:], next_due_at=12)
    await last.commit()
    assert await redis.zscore(keys.deferred(LANE), "a") is None
    assert not await redis.exists(keys.deferred_updates(LANE, "a"))
    assert await counts(redis) == {}


async def test_what_is_put_back_stands_in_front_in_order_at_its_own_time(
    redis: Redis, drain_lease_held: Lease
) -> None:
    updates = [make_update(order_key="a") for _ in range(4)]
    await wait(redis, drain_lease_held, *updates)
    [first, second, third, fourth] = await kept(redis, "a")
    came = make_update(order_key="a")
    commit = Commit(redis, LANE, drain_lease_held)
    commit.take_deferred([first, second, third], next_due_at=6)
    second.reason = "PHP said that it would rather have it later, which takes more room"
    commit.put_back([second, third], 99)
    commit.defer(came, 1)
    await commit.commit()
    after = await kept(redis, "a")
    assert [one.id for one in after] == [second.id, third.id, fourth.id, came.id]
    assert after[0].reason == second.reason
    assert await redis.zscore(keys.deferred(LANE), "a") == 99
    assert await counts(redis) == waiting(second, third, fourth, came)


async def test_what_all_wait_no_more_and_one_comes_back(
    redis: Redis, drain_lease_held: Lease
) -> None:
    """It is in the index again, although the list was empty in between."""
    await wait(redis, drain_lease_held, make_update(order_key="a"))
    [one] = await kept(redis, "a")
    commit = Commit(redis, LANE, drain_lease_held)
    commit.take_deferred([one], next_due_at=6)
    commit.put_back([one], 77)
    await commit.commit()
    assert await redis.zscore(keys.deferred(LANE), "a") == 77
    assert [found.id for found in await kept(redis, "a")] == [one.id]


async def test_what_nobody_may_read_is_taken_out_unread(
    redis: Redis, drain_lease_held: Lease
) -> None:
    first, second = make_update(order_key="a"), make_update(order_key="a")
    await wait(redis, drain_lease_held, first, second)
    commit = Commit(redis, LANE, drain_lease_held)
    commit.take_unread(VENDOR, "a", first.dump(), next_due_at=6)
    commit.dead_letter_unread(first.dump(), VENDOR, "worker died", 7)
    await commit.commit()
    assert [one.id for one in await kept(redis, "a")] == [second.id]
    found = await counts(redis)
    assert found.pop("dead") == 1
    assert found == waiting(second)
    [letter] = [orjson.loads(one) for one in await redis.hvals(keys.dead_letters(VENDOR))]
    assert letter["update"] == {**orjson.loads(first.dump()), "reason": "worker died"}


async def test_a_dead_letter_says_from_where_it_came_and_when_it_was_given_up(
    redis: Redis, commit: Commit
) -> None:
    one = make_update(reason="PHP said no", attempts=10)
    commit.dead_letter(one, 77)
    await commit.commit()
    letter = orjson.loads(await redis.hget(keys.dead_letters(VENDOR), one.id) or b"")
    assert letter == {"lane": "statuses", "update": orjson.loads(one.dump())}
    assert await redis.zscore(keys.dead_updates(VENDOR), one.id) == 77
    assert await redis.zscore(keys.DEAD, VENDOR) == len(one.id) + len(orjson.dumps(letter))
    assert await redis.hget(keys.counters(VENDOR), "dead") == b"1"


async def test_counts_add_up_and_nothing_is_counted_as_nothing(
    redis: Redis, commit: Commit
) -> None:
    commit.count(VENDOR, "updates")
    commit.count(VENDOR, "updates", 4)
    commit.count("vendor-2", "updates", 2)
    commit.count(VENDOR, "coalesced", 0)
    await commit.commit()
    assert await redis.hgetall(keys.counters(VENDOR)) == {b"updates": b"5"}
    assert await redis.hgetall(keys.counters("vendor-2")) == {b"updates": b"2"}


async def test_more_than_lua_can_spread_at_once(redis: Redis, commit: Commit) -> None:
    """Lua's ``unpack`` gives up at 8,000 words."""
    entry_ids = await put(redis, 9_001)
    commit.delete_entries(VENDOR, heads(entry_ids[:9_000]))
    for number in range(3_000):
        commit.defer(make_update(order_key=f"k{number}"), number)
    await commit.commit()
    assert await redis.xlen(STREAM) == 1
    assert await redis.zcard(keys.deferred(LANE)) == 3_000


async def test_nothing_to_record_is_no_error(commit: Commit) -> None:
    await commit.commit()


async def test_a_command_that_redis_refuses_is_an_error(redis: Redis, commit: Commit) -> None:
    await redis.set(keys.deferred(LANE), "not a sorted set")
    commit.defer(make_update(order_key="a"), 5)
    with pytest.raises(ResponseError):
        await commit.commit()


# -- ignored updates --


async def count_ignored(
    redis: Redis, lease: Lease, reason: str, at: int = 1000, vendor_uid: str = VENDOR, **more: Any
) -> None:
    one = Commit(redis, LANE, lease)
    one.count_ignored(make_update(vendor_uid=vendor_uid, **more), reason, at, look=True)
    await one.commit()


async def test_ignored_updates_are_counted_by_reason_and_the_last_of_each_is_kept(
    redis: Redis, commit: Commit
) -> None:
    updates = [make_update(wamid=f"w-{number}") for number in range(4)]
    for update, reason in zip(updates, ("a", "b", "a", "a"), strict=True):
        commit.count_ignored(update, reason, 1000, look=update is updates[0])
    await commit.commit()
    a, b = await read_ignored(redis)
    assert (a.vendor_uid, a.reason, a.count, a.last_at) == (VENDOR, "a", 3, 1000)
    assert (b.reason, b.count) == ("b", 1)
    last = await last_ignored(redis, a, 1000)
    assert last is not None
    assert (last["wamid"], last["update"], last["kind"]) == ("w-3", updates[3].id, "message")
    assert orjson.loads(last["payload"]) == updates[3].payload
    [messages] = await read_ignored_messages(redis, 1000)
    assert (messages.vendor_uid, messages.reason, messages.count) == (VENDOR, "a", 1)
    assert await read_ignored_messages(redis, 1000 + 3_600_000) == []
    for key in (keys.ignored(VENDOR), keys.ignored_last(VENDOR), keys.ignored_slice(0)):
        assert 0 < await redis.ttl(key) <= ignored.KEEP_COUNTS_S


async def test_nothing_is_counted_without_the_lease(redis: Redis, drain_lease_held: Lease) -> None:
    await redis.set(drain_lease_held.key, 0)
    with pytest.raises(LeaseLost):
        await count_ignored(redis, drain_lease_held, "a")
    assert await read_ignored(redis) == []


async def test_a_vendor_has_so_many_reasons_and_others_count_together(
    redis: Redis, drain_lease_held: Lease
) -> None:
    for number in range(ignored.MAX_REASONS + 3):
        await count_ignored(redis, drain_lease_held, f"reason {number}")
    found = {one.reason: one.count for one in await read_ignored(redis, VENDOR)}
    assert len(found) == ignored.MAX_REASONS + 1
    assert found[ignored.OTHER] == 3
    await count_ignored(redis, drain_lease_held, "reason 0")
    assert {one.reason: one.count for one in await read_ignored(redis)}["reason_0"] == 2


async def test_of_too_many_vendors_those_that_ignored_nothing_for_longest_are_forgotten(
    redis: Redis, drain_lease_held: Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ignored, "MAX_VENDORS", 2)
    for at, vendor_uid in enumerate(("v", "w", "v", "x"), 1):
        await count_ignored(redis, drain_lease_held, "a", at, vendor_uid)
    assert {one.vendor_uid: one.count for one in await read_ignored(redis)} == {"v": 2, "x": 1}
    assert not await redis.exists(keys.ignored("w"), keys.ignored_last("w"))


async def test_a_slice_has_so_many_vendors(
    redis: Redis, drain_lease_held: Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ignored, "MAX_SLICE", 1)
    for vendor_uid in ("v", "w", "x", "v"):
        await count_ignored(redis, drain_lease_held, "a", vendor_uid=vendor_uid)
    found = {
        one.vendor_uid: (one.reason, one.count) for one in await read_ignored_messages(redis, 1)
    }
    assert found == {"v": ("a", 2), "(others)": (ignored.OTHER, 2)}


async def test_the_last_of_a_reason_is_kept_for_some_days_whatever_else_is_ignored(
    redis: Redis, drain_lease_held: Lease
) -> None:
    later = 1000 + 1000 * ignored.KEEP_LAST_S
    await count_ignored(redis, drain_lease_held, "old")
    await count_ignored(redis, drain_lease_held, "new", later)
    assert await redis.hexists(keys.ignored_last(VENDOR), "old"), "it is just old enough to stay"
    [old] = [one for one in await read_ignored(redis) if one.reason == "old"]
    assert await last_ignored(redis, old, later) is not None
    assert await last_ignored(redis, old, later + 1) is None
    await count_ignored(redis, drain_lease_held, "new", later + 1)
    assert not await redis.hexists(keys.ignored_last(VENDOR), "old")
    assert await redis.hexists(keys.ignored_last(VENDOR), "new")
