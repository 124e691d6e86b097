"""The last hour and the last day are kept in little room, and what nobody saw is a gap."""

import asyncio

import pytest
from structlog.testing import capture_logs

from contracts.jobs import Lane
from sidecar.inbox.store import Inbox
from sidecar.metrics import HANDOVER_SECONDS, WEBHOOKS, Series
from sidecar.ops.history import (
    INBOX,
    INBOX_AGE,
    SERIES,
    History,
    HistoryWriter,
    Past,
    Point,
    handover,
)
from sidecar.ops.rates import Rate
from sidecar.redis import keys
from sidecar.redis.client import Redis, RedisUnavailable, connect

#: A full ten minutes, unix seconds.
START = 1_750_000_200
ACKNOWLEDGED = Series(WEBHOOKS.name, ("acknowledged",))
QUICK = Series(HANDOVER_SECONDS.name, ("messages",), "0.025")


class World:
    """An installation at the times that the test says, by Redis's clock."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.writer = HistoryWriter(redis)

    def at(self, seconds: float) -> None:
        now = START + seconds
        said = (int(now), int(now % 1 * 1_000_000))
        self.redis.set_response_callback("TIME", lambda *_, **__: said)

    async def write(self, seconds: float, webhooks: int = 0, *, anew: bool = False) -> None:
        """So many webhooks more by then; ``anew``: another process is the reconciler."""
        self.at(seconds)
        if webhooks:
            await self.count(ACKNOWLEDGED, webhooks)
        if anew:
            self.writer = HistoryWriter(self.redis)
        self.writer._due_at = 0.0
        await self.writer.run()

    async def count(self, series: Series, number: float) -> None:
        await self.redis.hincrbyfloat(keys.METRICS, series.dump().decode(), number)

    async def past(self, name: str = Rate.WEBHOOKS) -> Past:
        return (await History(self.redis).read([name]))[name]

    async def minutes(self, name: str = Rate.WEBHOOKS) -> dict[int, float]:
        """The points of the last hour that are there, by minutes since the start."""
        return {
            (point.at_ms // 1000 - START) // 60: round(point.value, 6)
            for point in (await self.past(name)).hour
            if point.value is not None
        }

    async def tens(self, name: str = Rate.WEBHOOKS) -> dict[int, float]:
        return {
            (point.at_ms // 1000 - START) // 60: round(point.value, 6)
            for point in (await self.past(name)).day
            if point.value is not None
        }


@pytest.fixture
def world(redis: Redis) -> World:
    return World(redis)


async def test_nothing_is_known_at_first(world: World) -> None:
    world.at(30)
    found = await History(world.redis).read()
    assert list(found) == list(SERIES)
    for past in found.values():
        assert (len(past.hour), len(past.day)) == (60, 144)
        assert {point.value for point in (*past.hour, *past.day)} == {None}
    hour, day = found[INBOX].hour, found[INBOX].day
    assert hour[-1] == Point(1000 * (START - 60), None)
    assert hour[1].at_ms - hour[0].at_ms == 60_000
    assert day[-1] == Point(1000 * (START - 600), None)
    assert day[1].at_ms - day[0].at_ms == 600_000


async def test_rates_by_the_minute(world: World) -> None:
    await world.write(0, 1000)
    for minute, webhooks in enumerate((60, 0, 120), 1):
        await world.write(60 * minute + 0.5, webhooks)
    found = await world.minutes()
    assert list(found) == [1, 2, 3]
    assert found[1] == pytest.approx(60 / 60.5, abs=1e-5)
    assert (found[2], found[3]) == (0, 2), "nothing is a zero"
    assert (await world.minutes(Rate.SENT))[3] == 0


async def test_within_a_minute_nothing_is_written(world: World) -> None:
    await world.write(0)
    await world.write(60, 60)
    before = await world.redis.dump(keys.history(Rate.WEBHOOKS))
    await world.write(119.9, 5000)
    await world.write(119.9, 5000, anew=True)
    assert await world.redis.dump(keys.history(Rate.WEBHOOKS)) == before
    await world.write(120, 0)
    assert await world.minutes() == {1: 1, 2: pytest.approx(10_000 / 60, abs=1e-5)}


async def test_another_process_goes_on(world: World) -> None:
    await world.write(0)
    await world.write(60, 60)
    await world.write(125, 130, anew=True)
    assert await world.minutes() == {1: 1, 2: 2}


async def test_a_time_in_which_nobody_counted_is_a_gap(world: World) -> None:
    await world.write(0)
    await world.write(60, 60)
    await world.write(5 * 60, 9000, anew=True)
    await world.write(6 * 60, 60)
    assert await world.minutes() == {1: 1, 6: 1}
    assert await world.minutes(INBOX) == {0: 0, 1: 0, 5: 0, 6: 0}
    hour = (await world.past()).hour
    assert [point.value for point in hour[-5:]] == [None, None, None, None, 1]


async def test_who_has_counted_for_a_moment_only_says_nothing(world: World) -> None:
    await world.write(55, 100)
    await world.write(60, 100)
    await world.write(120, 60)
    assert await world.minutes() == {2: 1}


async def test_the_first_that_is_ever_counted_is_seen(world: World) -> None:
    await world.write(50)
    await world.write(60, 300)
    await world.write(120)
    await world.write(600)
    assert await world.minutes() == {1: 5, 2: 0}
    assert await world.tens() == {10: 0.5}


async def test_a_counter_that_has_fallen_gives_no_negative_rate(world: World) -> None:
    await world.write(0, 5000)
    await world.redis.delete(keys.METRICS)
    await world.write(60, 60)
    assert await world.minutes() == {1: 1}


async def test_a_redis_that_was_wiped_begins_anew(world: World) -> None:
    await world.write(0)
    await world.write(60, 60)
    await world.redis.flushdb()
    await world.write(120, 60)
    await world.write(180, 60)
    assert await world.minutes() == {3: 1}


async def test_a_clock_that_was_set_back(world: World) -> None:
    await world.write(600)
    await world.write(660, 60)
    await world.write(0, 60)
    await world.write(60, 120)
    assert await world.minutes() == {1: 2}


async def test_percentiles(world: World) -> None:
    await world.write(0)
    await world.count(QUICK, 100)
    await world.write(60)
    await world.write(120)
    assert await world.minutes(handover(Lane.MESSAGES, "p50")) == {1: 0.0175}
    assert await world.minutes(handover(Lane.MESSAGES, "p99")) == {1: 0.02485}
    assert await world.minutes(handover(Lane.STATUSES, "p99")) == {}


async def test_old_points_go_and_the_day_stays(world: World) -> None:
    for minute in range(131):
        await world.write(60 * minute, 60 if minute else 0)
    assert list(await world.minutes()) == list(range(71, 131))
    assert await world.tens() == dict.fromkeys(range(10, 131, 10), 1)
    sizes = [await world.redis.strlen(keys.history(name)) for name in SERIES]
    assert max(sizes) <= 204 * 12


async def test_the_day_has_ten_minutes_counted_as_one(world: World) -> None:
    await world.write(0)
    await world.write(300, 600)
    await world.write(600, anew=True)
    assert await world.minutes() == {}
    assert await world.tens() == {10: 1}


async def put(redis: Redis, vendor_uid: str, *lanes: Lane) -> None:
    inbox = Inbox(redis, timeout_s=5.0, pending_limit_bytes=10**6, wake=lambda _lane: None)
    for lane in lanes:
        await inbox.put(lane, vendor_uid, b"", b"{}")
    await inbox.close()


async def test_what_waits(world: World) -> None:
    await put(world.redis, "v", Lane.MESSAGES, Lane.STATUSES)
    await put(world.redis, "w", Lane.STATUSES)
    await world.writer.run()
    past = await History(world.redis).read([INBOX, INBOX_AGE])
    assert past[INBOX].hour[-1].value == 3
    age_s = past[INBOX_AGE].hour[-1].value
    assert age_s is not None
    assert 0 < age_s < 60


async def test_the_day_has_the_highest_of_what_waited(world: World) -> None:
    await world.write(0)
    for minute in range(1, 11):
        waiting = {3: 70, 4: 20}.get(minute, 0)
        await world.redis.hset(keys.waiting(Lane.MESSAGES), "v", waiting)
        await world.write(60 * minute)
    assert (await world.tens(INBOX))[10] == 70


async def test_it_costs_little(world: World) -> None:
    """Twenty-odd commands a minute, and a few kilobytes a series."""
    await world.write(0)
    before = (await world.redis.info("stats"))["total_commands_processed"]
    await world.count(QUICK, 1)
    await world.write(60)
    assert (await world.redis.info("stats"))["total_commands_processed"] - before < 30
    for name in SERIES:
        assert (await world.redis.memory_usage(keys.history(name)) or 0) < 5000
    assert (await world.redis.memory_usage(keys.HISTORY_COUNTS) or 0) < 4000


async def test_between_the_minutes_redis_is_not_asked(world: World) -> None:
    await world.write(0)
    await world.redis.aclose()
    await world.writer.run()
    assert world.writer._due_at > 0


async def test_a_key_of_somebody_else_is_said_once(world: World, redis: Redis) -> None:
    await redis.set(keys.HISTORY_COUNTS, "somebody's")
    with capture_logs() as logs:
        await world.write(0)
        await world.writer.run()
        await world.write(60)
        await redis.delete(keys.HISTORY_COUNTS)
        await world.write(120)
    assert [line["event"] for line in logs] == [
        "history.not_written",
        "history.not_written.resolved",
    ]


async def test_a_string_of_somebody_else_is_no_history(world: World, redis: Redis) -> None:
    await redis.set(keys.history(INBOX), "somebody's own text")
    world.at(0)
    assert {point.value for point in (await world.past(INBOX)).hour} == {None}


async def test_redis_is_away() -> None:
    away = connect("redis://127.0.0.1:9/0", timeout_s=1.0)
    with pytest.raises(RedisUnavailable):
        await HistoryWriter(away).run()
    with pytest.raises(RedisUnavailable):
        await asyncio.create_task(_read(away))
    await away.aclose()


async def _read(redis: Redis) -> None:
    await History(redis).read()
