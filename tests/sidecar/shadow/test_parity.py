"""What shadow has found of a vendor, and what stands in the way of a cutover."""

from typing import Any

import orjson
import pytest

from sidecar.clock import now_ms
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.settings import Settings
from sidecar.shadow.parity import ParityReader, VendorParity, count_name
from sidecar.shadow.recorder import day_of
from sidecar.shadow.rules import Class, Kind, Rule
from tests.conftest import MakeSettings

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
EQUAL = (Kind.LOG_ROW, Class.EQUAL)


@pytest.fixture
def settings(make_settings: MakeSettings) -> Settings:
    return make_settings(parity_min_updates=10, parity_min_hours=2)


def parity(counts: dict[tuple[Kind, Class], int], hours: float = 2) -> VendorParity:
    return VendorParity("v", counts, first_at=1, last_at=1 + int(hours * HOUR_MS))


def test_one_that_is_ready(settings: Settings) -> None:
    explained = (Kind.STATUS, Class.EXPLAINED)
    assert parity({EQUAL: 9, explained: 1}).obstacles(settings) == []


@pytest.mark.parametrize(
    ("found", "because"),
    [
        (parity({EQUAL: 9}), ["9 updates were compared, and it takes 10"]),
        (parity({EQUAL: 10}, hours=1), ["it was compared for 60 min, and takes 2 h"]),
        (
            parity({EQUAL: 10, (Kind.BOTS, Class.EXTRA): 2, (Kind.STATUS, Class.MISSING): 1}),
            ["no rule explains 2 of bots extra, 1 of status missing"],
        ),
    ],
)
def test_what_stands_in_the_way(
    settings: Settings, found: VendorParity, because: list[str]
) -> None:
    assert found.obstacles(settings) == because


def test_all_obstacles_are_named(settings: Settings) -> None:
    nothing = VendorParity("v")
    assert nothing.hours == 0.0
    assert len(nothing.obstacles(settings)) == 2


@pytest.mark.parametrize(
    ("counts", "updates"),
    [
        ({EQUAL: 3, (Kind.STATUS, Class.EXTRA): 4, (Kind.QUEUE_ROW, Class.EQUAL): 5}, 7),
        ({EQUAL: 3, (Kind.BOTS, Class.EQUAL): 2}, 3),
        ({(Kind.BOTS, Class.EQUAL): 2}, 2),
    ],
)
def test_where_only_bots_are_compared_they_count(
    counts: dict[tuple[Kind, Class], int], updates: int
) -> None:
    assert parity(counts).updates == updates


class Results:
    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.reader = ParityReader(redis)
        self.now = now_ms()

    async def keep(self, days_ago: int, **counts: int) -> int:
        """Keep a day's results; return when they were."""
        at = self.now - days_ago * DAY_MS
        values: dict[Any, Any] = {"first": at, "last": at + 5, **counts}
        await self.redis.sadd(keys.SHADOWED, "v")
        await self.redis.hset(keys.parity_day("v", day_of(at)), mapping=values)
        return at


@pytest.fixture
def results(redis: Redis) -> Results:
    return Results(redis)


async def test_nothing_was_compared(results: Results) -> None:
    assert await results.reader.vendors() == []
    assert await results.reader.read("v") == VendorParity("v")


async def test_days_are_added_up(results: Results) -> None:
    bots = count_name(Kind.BOTS, Class.EXPLAINED)
    rule = count_name(Kind.BOTS, Class.EXPLAINED, Rule.VENDOR_INACTIVE)
    first = await results.keep(2, recorded=1, dropped=2, **{bots: 3, rule: 3})
    last = await results.keep(0, recorded=10, not_compared=4, **{bots: 30, rule: 30})
    found = await results.reader.read("v")
    assert await results.reader.vendors() == ["v"]
    assert (found.recorded, found.dropped, found.not_compared) == (11, 2, 4)
    assert found.counts == {(Kind.BOTS, Class.EXPLAINED): 33}
    assert found.rules == {(Kind.BOTS, Rule.VENDOR_INACTIVE): 33}
    assert (found.first_at, found.last_at) == (first, last + 5)
    assert (await results.reader.read("v", 2)).recorded == 10, "not before yesterday"


async def test_examples_of_the_days_that_are_asked_for(results: Results, redis: Redis) -> None:
    name = keys.parity_examples("v", Kind.BOTS, Class.EXTRA)
    for days_ago in (5, 0):
        await redis.lpush(name, orjson.dumps({"at": results.now - days_ago * DAY_MS}))
    assert len((await results.reader.read("v")).examples) == 2
    assert [one["at"] for one in (await results.reader.read("v", 5)).examples] == [results.now]


async def test_what_waits(results: Results, redis: Redis) -> None:
    await redis.xadd(keys.shadow("v"), {"at": 1})
    await redis.zadd(keys.planned_due("v"), {"m-1": 1, "m-2": 2})
    assert (await results.reader.read("v")).waiting == 3


async def test_what_is_forgotten_is_one_vendors(results: Results, redis: Redis) -> None:
    await results.keep(3, recorded=1)
    name = keys.parity_examples("v", Kind.BOTS, Class.EXTRA)
    await redis.lpush(name, orjson.dumps({"at": results.now}))
    other = keys.parity_day("w", day_of(results.now))
    await redis.hset(other, "recorded", 1)
    await results.reader.forget("v")
    assert await results.reader.read("v") == VendorParity("v")
    assert await redis.exists(other)
