"""Many dead letters: replayed and discarded, and what of it was done."""

import pytest

from contracts.effects import EffectKind, Forward
from contracts.jobs import Lane
from sidecar.clock import now_ms
from sidecar.effects.effect_states import EffectState
from sidecar.effects.outbox import Ended, Outbox, effects_lease
from sidecar.ops.dead_letters import PAGE, DeadLetters
from sidecar.ops.letter_actions import Carried, LetterAction, carry_out
from sidecar.redis import keys
from sidecar.redis.client import Redis, RedisUnavailable
from sidecar.redis.lease import Leases
from tests.sidecar.ops.test_dead_letters import add_dead_letter


@pytest.fixture
def letters(redis: Redis) -> DeadLetters:
    return DeadLetters(redis)


@pytest.mark.parametrize("action", list(LetterAction))
async def test_all_of_them_once(letters: DeadLetters, redis: Redis, action: LetterAction) -> None:
    for number in range(PAGE + 2):
        await add_dead_letter(redis, number, "vw"[number % 2])
    refs, carried = await letters.refs(), Carried()
    await carry_out(letters, action, refs, carried)
    assert (carried.done, carried.gone, carried.text) == (PAGE + 2, 0, "")
    assert await letters.count() == 0
    waiting = await redis.zcard(keys.deferred(Lane.MESSAGES))
    assert waiting == (PAGE + 2 if action is LetterAction.REPLAY else 0)
    await carry_out(letters, action, refs, carried)
    assert carried.counts == {"done": PAGE + 2, "gone": PAGE + 2}
    assert carried.text == "102 not there any more"


async def test_a_contacts_letters_are_replayed_in_order(letters: DeadLetters, redis: Redis) -> None:
    for number in (3, 1, 2):
        await add_dead_letter(redis, number, order_key="v/1")
    await carry_out(letters, LetterAction.REPLAY, await letters.refs(), Carried())
    waiting = await redis.lrange(keys.deferred_updates(Lane.MESSAGES, "v/1"), 0, -1)
    assert [b"letter-%d" % number in waiting[number - 1] for number in (1, 2, 3)] == [True] * 3


async def test_what_a_later_version_has_written_stays(letters: DeadLetters, redis: Redis) -> None:
    await add_dead_letter(redis, 1)
    await redis.hset(keys.dead_letters("v"), "letter-1", b'{"outbox":"x","update":{"id":"a"}}')
    await add_dead_letter(redis, 2)
    carried = Carried()
    await carry_out(letters, LetterAction.REPLAY, await letters.refs(), carried)
    assert carried.counts == {"done": 1, "failed": 1}
    assert "1 cannot be replayed: KeyError in what is stored" in carried.text
    assert await letters.count() == 1


async def test_an_effect_that_waits_already_is_not_overwritten(
    letters: DeadLetters, redis: Redis
) -> None:
    outbox = Outbox(redis, remember_s=60, limit=100)
    await outbox.put("v", [Forward(id="a", body={"x": 1})])
    [queued] = await outbox.due(EffectKind.FORWARD, "v", now_ms() + 9, 10)
    async with Leases(redis, 10_000).hold(effects_lease(EffectKind.FORWARD, "v")) as lease:
        assert lease is not None
        await outbox.end(lease, EffectKind.FORWARD, "v", [Ended("a", EffectState.DEAD, queued)])
    await redis.hset(keys.effects(EffectKind.FORWARD, "v"), "a", b"waits")
    carried = Carried()
    await carry_out(letters, LetterAction.REPLAY, await letters.refs(), carried)
    assert carried.counts == {"done": 0, "gone": 1}
    assert await letters.count() == 1


async def test_how_far_it_came_is_known_when_redis_goes_away(
    letters: DeadLetters, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        await add_dead_letter(redis, number)
    replay, calls = letters.replay, iter(range(9))

    async def failing(letter: object) -> bool:
        if next(calls) == 3:
            raise ConnectionError("away")
        return await replay(letter)  # type: ignore[arg-type]

    monkeypatch.setattr(letters, "replay", failing)
    carried = Carried()
    with pytest.raises(RedisUnavailable):
        await carry_out(letters, LetterAction.REPLAY, await letters.refs(), carried)
    assert carried.done == 3
