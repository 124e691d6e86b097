"""What is asked about, and nothing else."""

import asyncio

import pytest

from sidecar.console import selection
from sidecar.console.selection import Selections
from sidecar.redis import keys
from sidecar.redis.client import Redis


async def test_each_is_taken_once(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "_PIECE", 2)
    replays, discards = Selections(redis, "replay"), Selections(redis, "discard")
    token = await replays.keep(["a", "b", "ü", "d", "e"])
    assert await replays.left(token) == 5
    taken = await asyncio.gather(*(replays.take(token, 2) for _ in range(4)))
    assert sorted(taken) == [[], ["a", "b"], ["e"], ["ü", "d"]]
    assert await replays.left(token) == 0
    other = await discards.keep(["a"])
    assert await replays.take(other, 2) == []
    assert await discards.take(other, 2) == ["a"]


async def test_a_question_does_not_stand_for_ever(redis: Redis) -> None:
    token = await Selections(redis, "replay").keep(["a"])
    assert 0 < await redis.ttl(keys.chosen("replay", token)) <= selection.KEPT_S


async def test_nothing_and_a_token_that_is_none(redis: Redis) -> None:
    selections = Selections(redis, "replay")
    assert await selections.left(await selections.keep([])) == 0
    assert await selections.take("made up", 5) == []
