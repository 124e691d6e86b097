"""Webhooks are taken fairly, in time, and in amounts that fit into memory."""

import asyncio
import time
from collections import Counter
from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.jobs import Lane
from sidecar.clock import now_ms
from sidecar.inbox.partitions import drain_lease
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.redis.lease import Lease, Leases
from tests.conftest import MakeSettings
from tests.examples import examples
from tests.workers.payloads import message, webhook
from workers.inbox import reader as reader_module
from workers.inbox.commit import Commit
from workers.inbox.reader import FairReader, LanePolicy, Taken
from workers.inbox.split import Parsed

LANE = Lane.STATUSES


async def put(
    redis: Redis, vendor: str, entries: int, webhooks: int = 1, size: int = 10, age_ms: int = 0
) -> None:
    """Put webhooks into the inbox that are not split."""
    await put_bodies(redis, vendor, *[[b"x" * size] * webhooks] * entries, age_ms=age_ms)


async def put_bodies(redis: Redis, vendor: str, *entries: list[bytes], age_ms: int = 0) -> None:
    """Put entries into the inbox, with these bodies each."""
    await redis.sadd(keys.ready(LANE), vendor)
    at = now_ms() - age_ms
    pipeline = redis.pipeline()
    for number, bodies in enumerate(entries):
        fields = [b"#", b"uid-%d" % number]
        for body in bodies:
            fields += [b"signature", body]
        pipeline.execute_command("XADD", keys.inbox(LANE, vendor), f"{at}-{number}", *fields)
    await pipeline.execute()


def messages(count: int, **more: Any) -> bytes:
    return webhook(messages=[message(**more) for _ in range(count)])


def a_reader(
    redis: Redis, batch_size: int = 100, concurrency: int = 1, wait_ms: int = 0
) -> FairReader:
    return FairReader(redis, LanePolicy(LANE, wait_ms, batch_size, concurrency))


def updates(taken: list[Taken]) -> Counter[str]:
    """Return how many updates were taken of each vendor."""
    counts = Counter({one.vendor_uid: len(one.updates) for one in taken})
    assert len(counts) == len(taken), "one of each vendor"
    return counts


async def commit_taken(redis: Redis, lease: Lease, taken: list[Taken]) -> None:
    """Record what was taken as done."""
    commit = Commit(redis, LANE, lease)
    for one in taken:
        commit.delete_entries(one.vendor_uid, one.done)
        if one.position is not None:
            commit.move_cursor(one.vendor_uid, one.position)
    await commit.commit()


def test_the_lanes_are_drained_as_set(make_settings: MakeSettings) -> None:
    settings = make_settings(
        status_wait_ms=70, status_batch_size=71, message_batch_size=72, message_concurrency=3
    )
    assert LanePolicy.of(Lane.STATUSES, settings) == LanePolicy(Lane.STATUSES, 70, 71, 1)
    assert LanePolicy.of(Lane.MESSAGES, settings) == LanePolicy(Lane.MESSAGES, 0, 72, 3)


@pytest.mark.parametrize(
    ("waiting", "age_ms", "pause_ms"),
    [
        (0, 0, 50),
        (1, 0, 50),
        (1, 49, 50),
        (1, 100, 400),  # few: until its time is over
        (100, 100, 100),  # half of what is enough: as long again
        (190, 100, 50),  # not for less than that
        (190, 480, 20),
        (200, 0, 0),
        (999, 100, 0),
        (1, 500, 0),
        (1, 700, -200),
    ],
)
def test_how_long_statuses_wait_for_others(waiting: int, age_ms: int, pause_ms: float) -> None:
    assert LanePolicy(LANE, 500, 600, 1).pause_ms(waiting, age_ms) == pause_ms


async def test_enough_wait_before_the_time_is_over(redis: Redis) -> None:
    """Thirty of a hundred do, and come while it waits."""
    await put(redis, "a", 10)
    await redis.hset(keys.waiting(LANE), "a", 10)
    taking = asyncio.create_task(a_reader(redis, wait_ms=60_000).take())
    await asyncio.sleep(0.01)
    await put(redis, "b", 30)
    await redis.hset(keys.waiting(LANE), "b", 30)
    assert updates(await taking) == {"a": 10, "b": 30}


async def test_nothing_is_there(redis: Redis) -> None:
    reader = a_reader(redis, wait_ms=500)
    assert await reader.take() == []
    assert not await reader.waiting()
    assert await reader.take_of("a") == []
    assert await reader.head("a") is None


async def test_all_that_is_there_in_order(redis: Redis) -> None:
    await put(redis, "a", 70)
    reader = a_reader(redis)
    assert await reader.waiting()
    [taken] = await reader.take()
    assert [one.id for one in taken.updates] == [f"a/uid-{number}/0" for number in range(70)]
    assert [int(head.id.partition("-")[2]) for head in taken.done] == list(range(70))
    assert taken.position is None
    assert await reader.waiting(), "it takes, and deletes nothing"
    assert await reader.take() == [taken]


async def test_a_vendor_that_floods_does_not_keep_a_quiet_one_waiting(redis: Redis) -> None:
    await put(redis, "flood", 1000, age_ms=60_000)
    for number in range(9):
        await put(redis, f"quiet-{number}", 3)
    counts = updates(await a_reader(redis).take())
    assert counts == {"flood": 10, **{f"quiet-{n}": 3 for n in range(9)}}


async def test_what_floods_in_one_webhook_has_no_larger_share(redis: Redis) -> None:
    await put_bodies(redis, "flood", [messages(1000)], age_ms=60_000)
    for number in range(9):
        await put(redis, f"quiet-{number}", 3)
    counts = updates(await a_reader(redis).take())
    assert counts == {"flood": 10, **{f"quiet-{n}": 3 for n in range(9)}}


@pytest.mark.parametrize("min_share", [1, 3])
async def test_all_have_their_turn_when_there_are_more_than_fit(
    redis: Redis, drain_lease_held: Lease, monkeypatch: pytest.MonkeyPatch, min_share: int
) -> None:
    """Who had its share last is asked last, and shares do not get smaller than they may."""
    monkeypatch.setattr(reader_module, "MIN_STATUSES", min_share)
    for number in range(50):
        await put(redis, f"v{number}", 2 * min_share)
    reader = a_reader(redis, batch_size=10 * min_share)
    seen: Counter[str] = Counter()
    while taken := await reader.take():
        assert set(updates(taken).values()) == {min_share}
        assert len(taken) == 10
        seen += updates(taken)
        await commit_taken(redis, drain_lease_held, taken)
        assert len(seen) == 50 or max(seen.values()) == min_share
    assert seen == {f"v{number}": 2 * min_share for number in range(50)}


async def test_a_batch_of_many_vendors_is_full_when_each_has_little(redis: Redis) -> None:
    for number in range(50):
        await put(redis, f"v{number}", 1)
    assert updates(await a_reader(redis, batch_size=40).take()).total() == 40
    assert updates(await a_reader(redis, batch_size=100).take()).total() == 50


def test_shares_of_customers_messages_may_be_small(make_settings: MakeSettings) -> None:
    """Each costs PHP more than a vendor costs the drain."""
    found = {lane: LanePolicy.of(lane, make_settings()).min_share for lane in Lane}
    assert found == {Lane.MESSAGES: 1, Lane.STATUSES: reader_module.MIN_STATUSES}


async def test_a_batch_has_no_more_updates_than_it_may(redis: Redis) -> None:
    await put(redis, "a", 5, webhooks=100)
    await put_bodies(redis, "b", [messages(1000)])
    taken = {one.vendor_uid: one for one in await a_reader(redis, batch_size=300).take()}
    assert updates(list(taken.values())) == {"a": 150, "b": 150}
    assert len(taken["a"].done) == 1
    assert (taken["a"].position or "").split(" ")[1:] == ["50", "0"]
    assert taken["b"].done == []
    assert (taken["b"].position or "").split(" ")[1:] == ["0", "150"]


async def test_requests_that_go_at_the_same_time_have_a_batch_each(redis: Redis) -> None:
    await put(redis, "a", 500)
    assert updates(await a_reader(redis, batch_size=50, concurrency=4).take()) == {"a": 200}


async def test_large_webhooks_are_taken_a_few_at_a_time(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader_module, "BATCH_BYTES", 12_000)
    await put(redis, "large", 50, size=1_000)
    await put(redis, "larger", 50, size=20_000)
    await put(redis, "small", 5, size=10)
    counts = updates(await a_reader(redis, batch_size=1000).take())
    assert counts == {"large": 4, "larger": 1, "small": 5}


async def test_of_a_large_webhook_a_few_updates_at_a_time(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, drain_lease_held: Lease
) -> None:
    monkeypatch.setattr(reader_module, "BATCH_BYTES", 12_000)
    await put_bodies(redis, "a", [messages(20, text="x" * 2_000)])
    reader = a_reader(redis)
    found = []
    while taken := await reader.take():
        assert sum(update.size for update in taken[0].updates) <= 12_000
        found += taken[0].updates
        await commit_taken(redis, drain_lease_held, taken)
    assert [update.id for update in found] == [f"a/uid-0/0/{place}" for place in range(20)]


async def test_no_more_is_read_than_may_be(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest of a batch may be what many vendors have, and what one has is large."""
    monkeypatch.setattr(reader_module, "READ_BYTES", 100_000)
    for number in range(40):
        await put(redis, f"v{number}", 8, size=30_000)
    reader = a_reader(redis)
    sizes = []
    read = reader._inbox.read

    async def counted(*arguments: Any) -> Any:
        found = await read(*arguments)
        sizes.append(sum(entry.size for entries in found.values() for entry in entries))
        return found

    monkeypatch.setattr(reader._inbox, "read", counted)
    await reader.take()
    assert sum(sizes) <= 100_000 + 8 * 31_000


async def test_vendors_of_which_too_much_waits_are_passed_over(redis: Redis) -> None:
    for vendor in ("a", "b", "c"):
        await put(redis, vendor, 1)
    await redis.hset(keys.counters("a"), keys.deferred_count(LANE), str(reader_module.MAX_DEFERRED))
    await redis.hset(
        keys.counters("b"), keys.deferred_bytes(LANE), str(reader_module.MAX_DEFERRED_BYTES)
    )
    other = Lane.MESSAGES
    await redis.hset(
        keys.counters("c"), keys.deferred_count(other), str(reader_module.MAX_DEFERRED)
    )
    reader = a_reader(redis)
    assert updates(await reader.take()) == {"c": 1}
    assert await reader.take_of("a") == []
    assert not await reader.waiting({"c"})
    await redis.hincrby(keys.counters("a"), keys.deferred_count(LANE), -1)
    assert updates(await reader.take()) == {"a": 1, "c": 1}


async def test_vendors_that_are_not_to_be_looked_at_are_named(redis: Redis) -> None:
    for vendor in ("a", "b"):
        await put(redis, vendor, 1)
    reader = a_reader(redis)
    assert updates(await reader.take({"a", "not there"})) == {"b": 1}
    assert reader.passed_over == ["a"]
    assert updates(await reader.take_of("a")) == {"a": 1}
    assert await reader.waiting({"a"})
    assert not await reader.waiting({"a", "b"})


# -- settled in parts --


async def test_what_is_settled_does_not_come_again(redis: Redis, drain_lease_held: Lease) -> None:
    await put_bodies(redis, "a", [messages(5), messages(1)], [messages(2)])
    found = []
    for size, cursor in ((2, "0 2"), (2, "0 4"), (3, "0 1"), (2, None)):
        [taken] = await a_reader(redis, batch_size=size).take()
        found += [update.id for update in taken.updates]
        await commit_taken(redis, drain_lease_held, [taken])
        position = cast("bytes | None", await redis.hget(keys.cursor(LANE), "a"))
        assert (position.decode().partition(" ")[2] if position else None) == cursor
    assert found == [
        *[f"a/uid-0/0/{place}" for place in range(5)],
        "a/uid-0/1/0",
        *[f"a/uid-1/0/{place}" for place in range(2)],
    ]
    assert await a_reader(redis).take() == []
    assert not await redis.exists(keys.inbox(LANE, "a"), keys.cursor(LANE))


async def test_a_cursor_of_an_entry_that_is_gone_is_none(redis: Redis) -> None:
    """Somebody has deleted it by hand."""
    await put_bodies(redis, "a", [messages(3)])
    await redis.hset(keys.cursor(LANE), "a", "5-0 0 2")
    assert updates(await a_reader(redis).take()) == {"a": 3}


async def test_a_large_webhook_is_taken_apart_once(
    redis: Redis, drain_lease_held: Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed = []

    class Counted(Parsed):
        def __init__(self, *arguments: Any) -> None:
            parsed.append(arguments)
            super().__init__(*arguments)

    monkeypatch.setattr(reader_module, "Parsed", Counted)
    await put_bodies(redis, "a", [messages(50)])
    reader = a_reader(redis, batch_size=10)
    for _ in range(5):
        await commit_taken(redis, drain_lease_held, await reader.take())
    assert len(parsed) == 1
    reader.forget()
    assert reader._parsed is None


async def test_the_head_of_a_vendor_and_how_far_it_is_settled(
    redis: Redis, drain_lease_held: Lease
) -> None:
    await put_bodies(redis, "a", [messages(1), messages(5)])
    reader = a_reader(redis, batch_size=3)
    head = await reader.head("a")
    assert head is not None
    entry, *start = head
    assert (entry.uid, start) == ("uid-0", [0, 0])
    await commit_taken(redis, drain_lease_held, await reader.take())
    head = await reader.head("a")
    assert head is not None
    assert list(head[1:]) == [1, 2]


async def test_a_vendor_whose_stream_is_gone_is_told(redis: Redis) -> None:
    await redis.sadd(keys.ready(LANE), "gone")
    await put(redis, "a", 1)
    reader = a_reader(redis)
    assert updates(await reader.take()) == {"a": 1}
    assert reader.empty == ["gone"]
    await redis.srem(keys.ready(LANE), "gone")
    await reader.take()
    assert reader.empty == []


# -- waiting for a batch to fill --


async def test_the_oldest_waits_for_others(redis: Redis) -> None:
    await put(redis, "a", 1)
    started = time.monotonic()
    assert updates(await a_reader(redis, wait_ms=120).take()) == {"a": 1}
    assert time.monotonic() - started > 0.05


async def test_who_has_waited_does_not_wait_again(redis: Redis) -> None:
    await put(redis, "a", 1, age_ms=61_000)
    await put(redis, "b", 1)
    assert len(await a_reader(redis, wait_ms=60_000).take()) == 2


async def test_what_comes_meanwhile_goes_along(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(redis, "a", 1)

    async def meanwhile(_seconds: float) -> None:
        if not await redis.exists(keys.inbox(LANE, "b")):
            await put(redis, "b", 1)

    monkeypatch.setattr(reader_module, "asyncio", SimpleNamespace(sleep=meanwhile))
    assert updates(await a_reader(redis, wait_ms=50).take()) == {"a": 1, "b": 1}


async def test_a_clock_that_is_behind_makes_nobody_wait_for_longer(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(redis, "a", 1, age_ms=-3_600_000)
    pauses = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(reader_module, "asyncio", SimpleNamespace(sleep=pause))
    await a_reader(redis, wait_ms=500).take()
    assert sum(pauses) == pytest.approx(0.5)


async def test_somebody_else_drains_it_meanwhile(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lease was lost while we waited."""
    await put(redis, "a", 1)

    async def meanwhile(_seconds: float) -> None:
        await redis.flushdb()

    monkeypatch.setattr(reader_module, "asyncio", SimpleNamespace(sleep=meanwhile))
    assert await a_reader(redis, wait_ms=500).take() == []


async def test_only_streams_that_are_gone(redis: Redis) -> None:
    await redis.sadd(keys.ready(LANE), "gone")
    reader = a_reader(redis, wait_ms=500)
    assert await reader.take() == []
    assert reader.empty == ["gone"]


# -- whatever is there --

VENDORS = ("a", "b", "c")
BODIES = st.one_of(
    st.integers(1, 7).map(messages),
    st.just(b"no json"),
    st.just(webhook(messages=[message(), 1, message(text="x" * 900)], statuses=[])),
    st.just(webhook(messages=[1, 2, 3])),
)


@settings(
    deadline=None,
    max_examples=examples(20),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    streams=st.fixed_dictionaries(
        {v: st.lists(st.lists(BODIES, min_size=1, max_size=3), max_size=3) for v in VENDORS}
    ),
    data=st.data(),
)
async def test_each_update_is_settled_once_and_in_order(
    redis: Redis,
    leases: Leases,
    streams: dict[str, list[list[bytes]]],
    data: st.DataObject,
) -> None:
    """Whatever the batches, whoever reads, and whether what was taken is settled or not."""
    await redis.flushall()
    expected: dict[str, list[Any]] = {}
    for vendor, entries in streams.items():
        if entries:
            await put_bodies(redis, vendor, *entries)
            expected[vendor] = [
                place
                for number, bodies in enumerate(entries)
                for webhook_place, body in enumerate(bodies)
                for place in places(f"{vendor}/uid-{number}/{webhook_place}", body)
            ]
    committed: dict[str, list[Any]] = {vendor: [] for vendor in expected}
    reader = a_reader(redis, batch_size=data.draw(st.integers(1, 9)))
    async with leases.hold(drain_lease(LANE)) as lease:
        assert lease is not None
        while await reader.waiting():
            if data.draw(st.booleans()):
                reader = a_reader(redis, batch_size=data.draw(st.integers(1, 9)))
            taken = await reader.take()
            if data.draw(st.integers(0, 3)) == 0:
                continue  # whoever took it has died
            for one in taken:
                for update in one.updates:
                    more = update.body.count(b"\n") if update.unreadable else 0
                    front, _, place = update.id.rpartition("/")
                    if update.kind is None and not update.unreadable:
                        committed[one.vendor_uid].append(update.id)
                        continue
                    committed[one.vendor_uid] += [
                        f"{front}/{int(place) + step}" for step in range(more + 1)
                    ]
            await commit_taken(redis, lease, taken)
    assert committed == expected
    assert not await redis.exists(keys.ready(LANE), keys.cursor(LANE))


def places(name: str, body: bytes) -> list[str]:
    """Return the ids of a webhook's elements, readable or not."""
    if body == b"no json":
        return [name]
    found = orjson.loads(body)["entry"][0]["changes"][0]["value"]["messages"]
    return [f"{name}/{place}" for place in range(len(found))]
