"""What the scripts do with an effect is what the table says, from every state and by every call."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

import pytest

from contracts.effects import EffectKind, Forward
from contracts.transitions import name
from sidecar.clock import now_ms
from sidecar.effects.effect_states import TRANSITIONS, EffectState
from sidecar.effects.outbox import Ended, Outbox, Queued, effects_lease, letter, letter_id
from sidecar.ops.dead_letters import DeadLetter, DeadLetters
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.redis.lease import Leases
from sidecar.redis.letter_bounds import DEFAULT_BOUNDS, Bounds

KIND = EffectKind.FORWARD
EFFECT = Queued("a", "v", Forward(id="a", body={}), 1)
NONE_STAY = Bounds(number=0)


@dataclass
class Stage:
    """One effect of a vendor, and what may be done with it."""

    redis: Redis

    def outbox(self, bounds: Bounds = DEFAULT_BOUNDS, limit: int = 5) -> Outbox:
        return Outbox(self.redis, remember_s=60, limit=limit, bounds=bounds)

    async def put(self, limit: int = 5) -> None:
        await self.outbox(limit=limit).put("v", [EFFECT.effect])

    async def end(self, state: EffectState, bounds: Bounds = DEFAULT_BOUNDS) -> None:
        async with Leases(self.redis, 10_000).hold(effects_lease(KIND, "v")) as lease:
            assert lease is not None
            ended = Ended("a", state, EFFECT, now_ms())
            await self.outbox(bounds).end(lease, KIND, "v", [ended])

    async def _letters(self) -> list[DeadLetter]:
        return [one async for one in DeadLetters(self.redis).all()]

    async def replay(self) -> None:
        for one in await self._letters():
            await DeadLetters(self.redis).replay(one)

    async def discard(self) -> None:
        await DeadLetters(self.redis).discard(await self._letters())

    async def put_back(self, bounds: Bounds = DEFAULT_BOUNDS) -> None:
        kept = await self._letters()
        if not kept:
            stage = Stage(self.redis)
            await stage.put()
            await stage.end(EffectState.DEAD)
            kept = await self._letters()
            await self.discard()
        await DeadLetters(self.redis).put_back(kept, bounds)

    async def trim(self, bounds: Bounds = DEFAULT_BOUNDS) -> None:
        await DeadLetters(self.redis).trim(bounds, now_ms())

    async def be(self, before: str) -> None:
        """Have the effect in a state."""
        if before != "none":
            await self.put()
        if before == "dead":
            await self.end(EffectState.DEAD)

    async def find(self) -> dict[str, int]:
        """Return where it is, and how often it has ended in which way."""
        count = await self.redis.hgetall(keys.counters("v"))
        return {
            "waiting": int(await self.redis.hlen(keys.effects(KIND, "v"))),
            "dead": int(await self.redis.zcard(keys.dead_effects("v"))),
            "done": int(count.get(EffectState.DONE.counter.encode(), 0)),
            "dropped": int(count.get(EffectState.DROPPED.counter.encode(), 0)),
        }


Call = Callable[[Stage], Awaitable[None]]

CALLS: dict[str, list[Call]] = {
    "put_effects.lua": [Stage.put, partial(Stage.put, limit=0)],
    "end_effects.lua": [partial(Stage.end, state=state) for state in EffectState],
    "replay_effect.lua": [Stage.replay],
    "discard.lua": [Stage.discard],
    "trim.lua": [Stage.trim, partial(Stage.trim, bounds=NONE_STAY)],
}


async def step(stage: Stage, before: str, call: Call) -> tuple[str, str] | None:
    """Return the transition that a call makes, or None."""
    await stage.redis.flushall()
    await stage.be(before)
    was = await stage.find()
    await call(stage)
    now = await stage.find()
    more = [state for state, count in now.items() if count > was[state]]
    less = [state for state, count in was.items() if count > now[state]]
    assert len(more) <= 1
    assert len(less) <= 1
    if not more and not less:
        return None
    return (less or ["none"])[0], (more or ["none"])[0]


@pytest.mark.parametrize("script", list(CALLS))
async def test_a_script_does_what_the_table_says(redis: Redis, script: str) -> None:
    stage = Stage(redis)
    made = {
        found
        for before in ("none", "waiting", "dead")
        for call in CALLS[script]
        if (found := await step(stage, before, call)) is not None
    }
    allowed = TRANSITIONS.made_by(script)
    if script == "end_effects.lua":
        # Another effect's burial has an old letter leave; and what waits again is seen by when.
        allowed -= {("dead", "none"), ("waiting", "waiting")}
    assert made == allowed


async def test_one_that_waits_again_is_due_later(redis: Redis) -> None:
    stage = Stage(redis)
    await stage.be("waiting")
    before = await redis.zscore(keys.outbox_of(KIND, "v"), "a")
    await stage.end(EffectState.WAITING)
    assert (await stage.find())["waiting"] == 1
    assert (await redis.zscore(keys.outbox_of(KIND, "v"), "a") or 0) >= (before or 0)
    assert TRANSITIONS.allows(EffectState.WAITING, EffectState.WAITING)


async def test_a_burial_has_old_letters_leave(redis: Redis) -> None:
    stage = Stage(redis)
    await stage.be("waiting")
    await stage.end(EffectState.DEAD, NONE_STAY)
    assert (await stage.find())["dead"] == 0
    assert int(await redis.hget(keys.counters("v"), "effects_dead_too_many") or 0) == 1


@pytest.mark.parametrize(("bounds", "stays"), [(DEFAULT_BOUNDS, 1), (NONE_STAY, 0)])
async def test_what_was_exported_is_dead_again(redis: Redis, bounds: Bounds, stays: int) -> None:
    stage = Stage(redis)
    await stage.put_back(bounds)
    assert (await stage.find())["dead"] == stays


def test_a_letter_is_named_after_its_effect() -> None:
    assert letter_id(EFFECT) == "v/forward/a"
    assert b'"outbox"' in letter(EFFECT)
    assert [name(state) for state in EffectState] == ["waiting", "done", "dropped", "dead"]
