"""Every transition of an update leaves it where the table says, and the accounting balances."""

from dataclasses import replace

import pytest

from contracts.jobs import Lane
from sidecar.clock import now_ms
from sidecar.inbox.update_states import TRANSITIONS, UpdateState
from sidecar.ops.accounting import Accounting, Counters
from sidecar.ops.dead_letters import DeadLetter, DeadLetters
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.redis.lease import Lease
from sidecar.redis.letter_bounds import DEFAULT_BOUNDS, Bounds
from tests.workers.payloads import VENDOR, make_update
from workers.inbox.commit import Commit
from workers.inbox.update import Update

LANE = Lane.STATUSES
#: What a commit does to an update; that one burial has another letter leave is below.
STEPS = [
    step for step in TRANSITIONS if step.by == "commit.lua" and step.before is not UpdateState.DEAD
]


async def accounting(redis: Redis) -> Accounting:
    await redis.sadd(keys.VENDORS, VENDOR)
    [found] = await Counters(redis).read()
    assert found.balanced, found
    return found


async def where(redis: Redis) -> dict[str, int]:
    """Return how many updates are in which state."""
    parts = (await accounting(redis)).updates.parts
    return {state: count for state, count in parts.items() if count}


async def move(
    redis: Redis, lease: Lease, update: Update, before: UpdateState | None, after: UpdateState
) -> None:
    """Record a transition as a batch does."""
    commit = Commit(redis, LANE, lease)
    if before is None:
        commit.count(VENDOR, "updates")
    else:
        kept = replace(update, stored_bytes=len(update.dump()))
        commit.take_deferred([kept], next_due_at=5)
    match after:
        case UpdateState.WAITING:
            commit.defer(update, 5)
        case UpdateState.DEAD:
            commit.dead_letter(update, now_ms())
        case _:
            commit.count(VENDOR, after)
    await commit.commit()


async def letters(redis: Redis) -> list[DeadLetter]:
    return [one async for one in DeadLetters(redis).all()]


def name(state: UpdateState) -> str:
    return state.name.lower()


@pytest.mark.parametrize("step", STEPS, ids=lambda one: f"{one.before} -> {one.after}")
async def test_what_a_commit_does(
    redis: Redis, drain_lease_held: Lease, step: tuple[UpdateState | None, UpdateState, str]
) -> None:
    before, after, _ = step
    update = make_update()
    if before is not None:
        await move(redis, drain_lease_held, update, None, before)
        assert await where(redis) == {name(before): 1}
    await move(redis, drain_lease_held, update, before, after)
    assert await where(redis) == {name(after): 1}


async def test_what_is_done_with_a_dead_one(redis: Redis, drain_lease_held: Lease) -> None:
    update = make_update()
    await move(redis, drain_lease_held, update, None, UpdateState.DEAD)
    [letter] = await letters(redis)
    assert await DeadLetters(redis).replay(letter)
    assert await where(redis) == {"waiting": 1}
    await move(redis, drain_lease_held, update, UpdateState.WAITING, UpdateState.DEAD)
    [letter] = await letters(redis)
    assert await DeadLetters(redis).discard([letter]) == 1
    assert await letters(redis) == []
    await accounting(redis)
    assert await DeadLetters(redis).put_back([letter], DEFAULT_BOUNDS) == 1
    assert len(await letters(redis)) == 1
    assert await DeadLetters(redis).trim(Bounds(number=0), now_ms()) == 1
    assert await letters(redis) == []
    await accounting(redis)


async def test_a_burial_has_an_old_letter_leave(redis: Redis, drain_lease_held: Lease) -> None:
    commit = Commit(redis, LANE, drain_lease_held, Bounds(number=1))
    for update in (make_update(), make_update()):
        commit.count(VENDOR, "updates")
        commit.dead_letter(update, now_ms())
    await commit.commit()
    assert len(await letters(redis)) == 1
    assert (await accounting(redis)).check("dead_updates").parts["too_many"] == 1


def test_each_state_is_reached_at_once_and_after_waiting() -> None:
    assert len(STEPS) == 2 * len(UpdateState)
