"""Marks that are kept for a window of time, and what they take of Redis."""

import asyncio
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.redis.marks import Marks
from tests.eventually import eventually

NOW_S = 1_800_000_000.5
DAY_S = 86_400


async def put(redis: Redis, marks: Marks, *names: bytes, now_s: float = NOW_S) -> None:
    pipeline = redis.pipeline(transaction=False)
    for name in names:
        for command in marks.commands(name, now_s):
            pipeline.execute_command(*command)
    await pipeline.execute()


async def test_what_is_marked_is_known_and_nothing_else(redis: Redis) -> None:
    marks = Marks(redis, DAY_S, keys.dedup)
    names = [b"wamid.%d" % number for number in range(3000)]
    await put(redis, marks, *names[::2])
    assert await marks.known(names, NOW_S) == [True, False] * 1500
    assert await marks.known([], NOW_S) == []


@pytest.mark.parametrize("window_s", [1, 3, 10, 3600, DAY_S, 7 * DAY_S])
@pytest.mark.parametrize("into", [0.0, 0.3, 0.999])
async def test_a_mark_is_known_as_long_as_the_window_is(
    redis: Redis, window_s: int, into: float
) -> None:
    marks = Marks(redis, window_s, keys.dedup)
    at = NOW_S - NOW_S % DAY_S + into * window_s
    await put(redis, marks, b"a", now_s=at)
    for part in (0.0, 0.25, 0.5, 0.75, 1.0):
        assert await marks.known([b"a"], at + part * window_s) == [True], part
    assert await marks.known([b"a"], at + 2 * window_s + 1) == [False]


@given(window_s=st.integers(1, 7 * DAY_S), at=st.floats(1.7e9, 2e9))
def test_a_bucket_expires_after_its_last_mark_and_soon(window_s: int, at: float) -> None:
    [_, (_, _, until)] = Marks(Redis(), window_s, keys.dedup).commands(b"a", at)
    assert isinstance(until, int)
    assert at + window_s <= until + 1e-3
    assert until <= at + window_s + max(1, window_s / 4) + 1e-3


async def test_a_bucket_is_gone_when_its_window_is_over(redis: Redis) -> None:
    seconds, _ = await redis.time()
    marks = Marks(redis, 1, keys.dedup)
    await put(redis, marks, b"a", now_s=float(seconds))
    assert await redis.dbsize() == 1
    await eventually(lambda: asyncio.ensure_future(_empty(redis)), 10)


async def _empty(redis: Redis) -> bool:
    return await redis.dbsize() == 0


async def test_marks_are_kept_as_integers_in_a_row(redis: Redis) -> None:
    """Whatever is kept otherwise takes eight times as much."""
    marks = Marks(redis, DAY_S, keys.dedup)
    await put(redis, marks, *(hashlib.sha1(b"%d" % n).digest() for n in range(2000)))
    pipeline = redis.pipeline(transaction=False)
    found = await redis.keys("*")
    for key in found:
        pipeline.object("encoding", key)
        pipeline.ttl(key)
    answers = await pipeline.execute()
    assert set(answers[::2]) == {b"intset"}
    assert min(answers[1::2]) > 0
    assert len(found) > 1000
