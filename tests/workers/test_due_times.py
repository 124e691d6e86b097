"""A clock that is set back: what waits does not wait for the clock to catch up."""

from typing import cast

import pytest
from structlog.testing import capture_logs

from contracts.effects import EffectKind
from contracts.jobs import Lane
from sidecar.redis import keys
from sidecar.redis.client import Redis
from workers.due_times import LEAST_S, DueTimes

START = 1_750_000_000.0
KIND = EffectKind.FORWARD
DEFERRED = keys.deferred(Lane.MESSAGES)
OUTBOX = keys.outbox_of(KIND, "vendor-1")


class Clock:
    """``jump_s`` is by how much the wall clock is away from where it was."""

    def __init__(self) -> None:
        self.now = 100.0
        self.jump_s = 0.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return START + self.now + self.jump_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def due_times(redis: Redis, clock: Clock) -> DueTimes:
    await redis.zadd(DEFERRED, {"a": 5000, "b": 9000})
    await redis.sadd(keys.outbox(KIND), "vendor-1")
    await redis.zadd(OUTBOX, {"e": 7000})
    return DueTimes(redis, wall=clock.wall, monotonic=clock.monotonic)


async def waiting(redis: Redis) -> dict[str, float]:
    found: dict[str, float] = {}
    for name in (DEFERRED, OUTBOX):
        rows = cast("list[tuple[bytes, float]]", await redis.zrange(name, 0, -1, withscores=True))
        found |= {member.decode(): score for member, score in rows}
    return found


@pytest.mark.parametrize("back_s", [20 * 60, 24 * 3600])
async def test_what_waits_is_due_earlier_by_as_much(
    due_times: DueTimes, clock: Clock, redis: Redis, back_s: int
) -> None:
    clock.now += 1
    clock.jump_s = -back_s
    with capture_logs() as logs:
        await due_times.look()
        clock.now += 1
        await due_times.look()
    by_ms = back_s * 1000
    assert await waiting(redis) == {"a": 5000 - by_ms, "b": 9000 - by_ms, "e": 7000 - by_ms}
    assert [(line["event"], line["by_s"], line["moved"]) for line in logs] == [
        ("clock.set_back", back_s, 3)
    ]


@pytest.mark.parametrize("jump_s", [0, 20 * 60, 24 * 3600, -LEAST_S / 2])
async def test_otherwise_nothing_is_moved(
    due_times: DueTimes, clock: Clock, redis: Redis, jump_s: float
) -> None:
    """A clock that is put forward has what waits tried early by itself."""
    before = await waiting(redis)
    clock.now += 3600
    clock.jump_s = jump_s
    await due_times.look()
    assert await waiting(redis) == before


async def test_forwards_and_back(due_times: DueTimes, clock: Clock, redis: Redis) -> None:
    """What was put there meanwhile was a day ahead."""
    clock.jump_s = 24 * 3600
    await due_times.look()
    await redis.zadd(DEFERRED, {"c": 24 * 3_600_000 + 5000})
    clock.jump_s = 0
    await due_times.look()
    assert (await waiting(redis))["c"] == 5000
