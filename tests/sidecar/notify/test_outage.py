"""While Redis is away, whoever looked last tells of it."""

import pytest

from contracts.notifications import News
from sidecar.notify.outage import RedisOutage
from sidecar.ops.notifications import Notifications
from sidecar.redis.client import Redis
from tests.sidecar.notify.told import Paper


class Clock:
    now = 100.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("sidecar.notify.outage.time.monotonic", lambda: clock.now)
    return clock


def make(*papers: Paper, looks_here: bool = True) -> RedisOutage:
    targets = {f"target-{number}": paper for number, paper in enumerate(papers)}
    found = RedisOutage(dict(targets), "shop", 30.0)
    found.looks_here = looks_here
    return found


async def test_it_is_told_of_once_it_has_lasted_and_once(clock: Clock) -> None:
    paper = Paper()
    redis_outage = make(paper)
    await redis_outage.lasts("refused")
    clock.now += 29
    await redis_outage.lasts("refused")
    assert paper.sent == []
    clock.now += 1
    await redis_outage.lasts("refused by 4915112345678")
    clock.now += 3600
    await redis_outage.lasts("refused")
    assert paper.news == [(News.PROBLEM, "redis-unavailable")]
    assert "Redis is unavailable: refused by (number ending in 78)" in paper.sent[0].items[0].what


async def test_who_has_not_looked_last_says_nothing(clock: Clock) -> None:
    paper = Paper()
    redis_outage = make(paper, looks_here=False)
    await redis_outage.lasts("refused")
    clock.now += 3600
    await redis_outage.lasts("refused")
    assert paper.sent == []


async def test_a_target_that_does_not_take_it_is_tried_again_with_pauses(clock: Clock) -> None:
    well, ill = Paper(), Paper("down")
    redis_outage = make(well, ill)
    await redis_outage.lasts("refused")
    for _ in range(60):
        clock.now += 30
        await redis_outage.lasts("refused")
    assert len(well.sent) == 1
    assert 5 < ill.tried < 10
    ill.trouble = ""
    clock.now += 600
    await redis_outage.lasts("refused")
    assert len(ill.sent) == 1


async def test_its_end_is_left_to_the_next_look(clock: Clock, redis: Redis) -> None:
    stored = Notifications(redis)
    redis_outage = make(Paper())
    await redis_outage.lasts("refused")
    clock.now += 30
    await redis_outage.lasts("refused")
    await redis_outage.over(stored)
    await redis_outage.over(stored)
    [(id_, event)] = (await stored.events()).items()
    assert (id_, event.code, event.told_at > 0) == ("redis-unavailable", "redis-unavailable", True)


async def test_what_nobody_was_told_of_has_no_end(clock: Clock, redis: Redis) -> None:
    stored = Notifications(redis)
    redis_outage = make(Paper("down"))
    await redis_outage.lasts("refused")
    clock.now += 30
    await redis_outage.lasts("refused")
    await redis_outage.over(stored)
    assert await stored.events() == {}


async def test_a_second_outage_is_told_of_again(clock: Clock, redis: Redis) -> None:
    paper = Paper()
    redis_outage = make(paper)
    for _ in range(2):
        await redis_outage.lasts("refused")
        clock.now += 30
        await redis_outage.lasts("refused")
        await redis_outage.over(Notifications(redis))
    assert len(paper.sent) == 2
