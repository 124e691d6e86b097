"""Webhooks are taken fairly, in time, and in amounts that fit into memory."""

import time
from collections import Counter
from types import SimpleNamespace

import pytest

from contracts.jobs import Lane
from sidecar import keys
from sidecar.clock import now_ms
from sidecar.inbox import MAX_ENTRY_WEBHOOKS, Entry, InboxReader
from sidecar.redis_client import Redis
from tests.conftest import MakeSettings
from workers import intake as intake_module
from workers.inbox.reader import FairReader, LanePolicy

LANE = Lane.STATUSES


async def put(
    redis: Redis, vendor: str, entries: int, webhooks: int = 1, size: int = 10, age_ms: int = 0
) -> None:
    await redis.sadd(keys.ready(LANE), vendor)
    at = now_ms() - age_ms
    pipeline = redis.pipeline()
    for number in range(entries):
        fields = [b"signature", b"x" * size] * webhooks
        pipeline.execute_command("XADD", keys.inbox(LANE, vendor), f"{at}-{number}", *fields)
    await pipeline.execute()


def an_intake(
    redis: Redis, batch_size: int = 100, concurrency: int = 1, wait_ms: int = 0
) -> Intake:
    return Intake(InboxReader(redis), LanePolicy(LANE, wait_ms, batch_size, concurrency))


def webhooks(entries: list[Entry]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for entry in entries:
        counts[entry.vendor_uid] += len(entry.webhooks)
    return counts


def test_the_lanes_are_drained_as_set(make_settings: MakeSettings) -> None:
    settings = make_settings(
        status_wait_ms=70, status_batch_size=71, message_batch_size=72, message_concurrency=3
    )
    assert LanePolicy.of(Lane.STATUSES, settings) == LanePolicy(Lane.STATUSES, 70, 71, 1)
    assert LanePolicy.of(Lane.MESSAGES, settings) == LanePolicy(Lane.MESSAGES, 0, 72, 3)


async def test_nothing_is_there(redis: Redis) -> None:
    intake = an_intake(redis, wait_ms=500)
    assert await intake.take() == []
    assert not await intake.waiting()


async def test_all_that_is_there_in_order(redis: Redis) -> None:
    await put(redis, "a", 70)
    intake = an_intake(redis)
    assert await intake.waiting()
    entries = await intake.take()
    assert [int(entry.id.partition("-")[2]) for entry in entries] == list(range(70))
    assert await intake.waiting(), "it takes, and deletes nothing"
    assert [e.id for e in await intake.take()] == [e.id for e in entries]


async def test_a_vendor_that_floods_does_not_keep_a_quiet_one_waiting(redis: Redis) -> None:
    await put(redis, "flood", 1000, age_ms=60_000)
    for number in range(9):
        await put(redis, f"quiet-{number}", 3)
    counts = webhooks(await an_intake(redis).take())
    assert counts == {"flood": 10, **{f"quiet-{n}": 3 for n in range(9)}}


async def test_everybody_gets_something_when_there_are_more_than_fit(redis: Redis) -> None:
    for number in range(50):
        await put(redis, f"v{number}", 2)
    counts = webhooks(await an_intake(redis, batch_size=10).take())
    assert counts == {f"v{number}": 1 for number in range(50)}


async def test_a_batch_is_exceeded_by_less_than_an_entry(redis: Redis) -> None:
    await put(redis, "a", 5, webhooks=MAX_ENTRY_WEBHOOKS)
    counts = webhooks(await an_intake(redis, batch_size=300).take())
    assert counts == {"a": 2 * MAX_ENTRY_WEBHOOKS}


async def test_requests_that_go_at_the_same_time_have_a_batch_each(redis: Redis) -> None:
    await put(redis, "a", 500)
    entries = await an_intake(redis, batch_size=50, concurrency=4).take()
    assert len(entries) == 200


async def test_large_webhooks_are_taken_a_few_at_a_time(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake_module, "TURN_BYTES", 10_000)
    await put(redis, "large", 50, size=1_000)
    await put(redis, "larger", 50, size=20_000)
    await put(redis, "small", 50, size=10)
    counts = webhooks(await an_intake(redis, batch_size=1000).take())
    assert counts == {"large": 4, "larger": 1, "small": 50}


async def test_a_vendor_whose_stream_is_gone_is_told(redis: Redis) -> None:
    await redis.sadd(keys.ready(LANE), "gone")
    await put(redis, "a", 1)
    intake = an_intake(redis)
    assert webhooks(await intake.take()) == {"a": 1}
    assert intake.empty == ["gone"]
    await redis.srem(keys.ready(LANE), "gone")
    await intake.take()
    assert intake.empty == []


# -- waiting for a batch to fill --


async def test_the_oldest_waits_for_others(redis: Redis) -> None:
    await put(redis, "a", 1)
    started = time.monotonic()
    assert len(await an_intake(redis, wait_ms=120).take()) == 1
    assert time.monotonic() - started > 0.05


async def test_who_has_waited_does_not_wait_again(redis: Redis) -> None:
    await put(redis, "a", 1, age_ms=61_000)
    await put(redis, "b", 1)
    assert len(await an_intake(redis, wait_ms=60_000).take()) == 2


async def test_what_comes_meanwhile_goes_along(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(redis, "a", 1)

    async def meanwhile(_seconds: float) -> None:
        await put(redis, "b", 1)

    monkeypatch.setattr(intake_module, "asyncio", SimpleNamespace(sleep=meanwhile))
    assert webhooks(await an_intake(redis, wait_ms=60_000).take()) == {"a": 1, "b": 1}


async def test_a_clock_that_is_behind_makes_nobody_wait_for_longer(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(redis, "a", 1, age_ms=-3_600_000)
    pauses = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(intake_module, "asyncio", SimpleNamespace(sleep=pause))
    await an_intake(redis, wait_ms=500).take()
    assert pauses == [0.5]


async def test_somebody_else_drains_it_meanwhile(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lease was lost while we waited."""
    await put(redis, "a", 1)

    async def meanwhile(_seconds: float) -> None:
        await redis.flushdb()

    monkeypatch.setattr(intake_module, "asyncio", SimpleNamespace(sleep=meanwhile))
    assert await an_intake(redis, wait_ms=500).take() == []


async def test_only_streams_that_are_gone(redis: Redis) -> None:
    await redis.sadd(keys.ready(LANE), "gone")
    intake = an_intake(redis, wait_ms=500)
    assert await intake.take() == []
    assert intake.empty == ["gone"]
