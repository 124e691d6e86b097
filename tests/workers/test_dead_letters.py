"""Dead letters are put away within their vendor's bounds, and none is put in another's place."""

import pytest

from contracts.effects import EffectKind, Forward
from contracts.jobs import Lane
from sidecar.clock import now_ms
from sidecar.effects.effect_states import EffectState
from sidecar.effects.outbox import Ended, Outbox, effects_lease, make_outbox
from sidecar.ops.accounting import Accounting, Counters
from sidecar.ops.dead_letters import DeadLetters
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.redis.lease import Lease, Leases
from sidecar.redis.letter_bounds import Bounds
from tests.conftest import MakeSettings
from tests.workers.conftest import MakeLane
from tests.workers.payloads import VENDOR, make_update, texts
from tests.workers.php import Php, wanting_again
from workers.inbox.commit import Commit


@pytest.fixture
def commit(redis: Redis, drain_lease_held: Lease) -> Commit:
    return Commit(redis, Lane.STATUSES, drain_lease_held)


def make(redis: Redis, lease: Lease, bounds: Bounds) -> Commit:
    return Commit(redis, Lane.STATUSES, lease, bounds)


async def names(redis: Redis) -> list[str]:
    return [letter.id async for letter in DeadLetters(redis).all()]


async def test_a_letter_with_the_id_of_another_gets_a_name_of_its_own(
    redis: Redis, commit: Commit
) -> None:
    for number in range(80):
        commit.dead_letter(make_update(id="v/1-0/0", reason=f"no {number}"), number + now_ms())
    await commit.commit()
    letters = [letter async for letter in DeadLetters(redis).all()]
    assert [letter.update["reason"] for letter in letters] == [f"no {n}" for n in range(80)]
    assert len({letter.id for letter in letters}) == 80
    assert letters[0].id == "v/1-0/0"


async def vendor_accounting(redis: Redis) -> Accounting:
    [found] = await Counters(redis).read()
    return found


async def count_as_split(redis: Redis, updates: int) -> None:
    await redis.hset(keys.counters(VENDOR), "updates", updates)


async def test_the_oldest_leave_where_too_many_are_kept(
    redis: Redis, drain_lease_held: Lease
) -> None:
    commit = make(redis, drain_lease_held, Bounds(number=10))
    for number in range(300):
        commit.dead_letter(make_update(id=f"{VENDOR}/{number}"), now_ms() + number)
    await commit.commit()
    await count_as_split(redis, 300)
    assert await names(redis) == [f"{VENDOR}/{number}" for number in range(290, 300)]
    accounting = await vendor_accounting(redis)
    assert accounting.check("dead_updates").parts["too_many"] == 290
    assert accounting.letters.dropped_at
    assert accounting.balanced


async def test_the_oldest_leave_where_they_take_too_many_bytes(
    redis: Redis, drain_lease_held: Lease
) -> None:
    bounds = Bounds(size_bytes=100_000)
    commit = make(redis, drain_lease_held, bounds)
    for number in range(300):
        commit.dead_letter(make_update(reason="x" * 2000), number + now_ms())
    await commit.commit()
    await count_as_split(redis, 300)
    accounting = await vendor_accounting(redis)
    assert 90_000 < accounting.letters.size_bytes <= 100_000
    bodies = await redis.hgetall(keys.dead_letters(VENDOR))
    assert accounting.letters.size_bytes == sum(len(n) + len(v) for n, v in bodies.items())
    assert accounting.check("dead_updates").parts["too_large"] == 300 - len(bodies)
    assert accounting.balanced


async def test_what_is_too_old_leaves_when_another_is_added(redis: Redis, commit: Commit) -> None:
    day = 86_400_000
    now = now_ms()
    commit.dead_letter(make_update(id="old"), now - 91 * day)
    commit.dead_letter(make_update(id="young"), now - 89 * day)
    commit.dead_letter(make_update(id="new"), now)
    await commit.commit()
    assert await names(redis) == ["young", "new"]
    assert (await vendor_accounting(redis)).check("dead_updates").parts["too_old"] == 1


async def test_effects_leave_before_updates(redis: Redis, drain_lease_held: Lease) -> None:
    outbox = Outbox(redis, remember_s=60, limit=100, bounds=Bounds(number=5))
    await outbox.put(VENDOR, [Forward(id=str(number), body={}) for number in range(4)])
    lease_name = effects_lease(EffectKind.FORWARD, VENDOR)
    async with Leases(redis, 10_000).hold(lease_name) as lease:
        assert lease is not None
        for queued in await outbox.due(EffectKind.FORWARD, VENDOR, now_ms() + 9, 10):
            ended = Ended(queued.id, EffectState.DEAD, queued)
            await outbox.end(lease, EffectKind.FORWARD, VENDOR, [ended])
    commit = make(redis, drain_lease_held, Bounds(number=5))
    for number in range(4):
        commit.dead_letter(make_update(id=f"u{number}"), number + 1)
    await commit.commit()
    await count_as_split(redis, 4)
    assert await names(redis) == [*(f"u{n}" for n in range(4)), f"{VENDOR}/forward/3"]
    accounting = await vendor_accounting(redis)
    assert accounting.check("dead_effects").parts["too_many"] == 3
    assert accounting.check("dead_updates").parts["too_many"] == 0
    assert accounting.balanced


async def test_vendors_have_bounds_of_their_own(redis: Redis, drain_lease_held: Lease) -> None:
    commit = make(redis, drain_lease_held, Bounds(number=2))
    for number in range(50):
        commit.dead_letter(make_update(vendor_uid="loud"), number)
    commit.dead_letter(make_update(vendor_uid="quiet", id="q"), 1)
    await commit.commit()
    assert "q" in await names(redis)
    assert await DeadLetters(redis).count() == 3


async def test_bounds_that_are_lowered_by_much_are_reached_in_steps(
    redis: Redis, commit: Commit, drain_lease_held: Lease
) -> None:
    for number in range(7000):
        commit.dead_letter(make_update(kind=None, id=str(number)), now_ms())
    await commit.commit()
    letters = DeadLetters(redis)
    assert await letters.trim(Bounds(number=1), now_ms()) == 5000
    assert await letters.trim(Bounds(number=1), now_ms()) == 1999
    assert await letters.trim(Bounds(number=1), now_ms()) == 0
    assert await letters.count() == 1


async def test_adding_many_costs_as_much_for_each(redis: Redis, drain_lease_held: Lease) -> None:
    """Counted in the commands that Redis has done, which does not tell how busy the machine is."""

    async def commands(letters: int) -> int:
        await redis.config_resetstat()
        commit = make(redis, drain_lease_held, Bounds(number=50))
        for number in range(letters):
            commit.dead_letter(make_update(id="the same"), number + now_ms())
        await commit.commit()
        stats = await redis.info("commandstats")
        return sum(one["calls"] for one in stats.values())

    few, many = await commands(100), await commands(800)
    assert many < 8 * few * 1.3


# -- the settings --


async def test_a_drain_keeps_to_the_settings(php: Php, make_lane: MakeLane) -> None:
    lane = make_lane(Lane.MESSAGES, update_max_attempts=1, dead_letters_limit=3)
    php.rules.append(wanting_again(*(f"bad{number}" for number in range(8))))
    for number in range(8):
        await lane.receive(*texts(f"bad{number}", sender=str(number)))
        await lane.drain()
    assert [letter.update["wamid"] async for letter in DeadLetters(lane.redis).all()] == [
        "bad5",
        "bad6",
        "bad7",
    ]
    await lane.assert_balanced()


async def test_effects_keep_to_the_settings(redis: Redis, make_settings: MakeSettings) -> None:
    outbox = make_outbox(make_settings(dead_letters_limit=3), redis)
    await outbox.put(VENDOR, [Forward(id=str(number), body={}) for number in range(8)])
    async with Leases(redis, 10_000).hold(effects_lease(EffectKind.FORWARD, VENDOR)) as lease:
        assert lease is not None
        due = await outbox.due(EffectKind.FORWARD, VENDOR, now_ms() + 9, 10)
        ended = [Ended(queued.id, EffectState.DEAD, queued) for queued in due]
        await outbox.end(lease, EffectKind.FORWARD, VENDOR, ended)
    assert await names(redis) == [f"{VENDOR}/forward/{number}" for number in (5, 6, 7)]
    assert (await vendor_accounting(redis)).balanced
