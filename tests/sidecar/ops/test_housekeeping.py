"""What is done now and then so that Redis does not fill."""

import pytest

from contracts.jobs import Lane
from sidecar.clock import now_ms
from sidecar.ops import housekeeping
from sidecar.ops.accounting import Counters
from sidecar.ops.dead_letters import DeadLetters
from sidecar.ops.housekeeping import OTHERS, Housekeeping
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.redis.letter_bounds import Bounds
from tests.sidecar.ops.test_accounting import receive
from tests.sidecar.ops.test_dead_letters import add_dead_letter


@pytest.fixture
def house(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> Housekeeping:
    monkeypatch.setattr(housekeeping, "MAX_VENDORS", 10)
    return Housekeeping(redis, Bounds())


async def count(redis: Redis, vendor_uid: str, **counters: int) -> None:
    await redis.sadd(keys.VENDORS, vendor_uid)
    for name, value in counters.items():
        await redis.hset(keys.counters(vendor_uid), name, value)


async def test_vendors_is_quiescent_are_counted_together(redis: Redis, house: Housekeeping) -> None:
    for number in range(500):
        counts = {"webhooks_received": 3, "webhooks_done": 3, "updates": 4, "ignored": 3}
        await count(redis, f"x{number}", **counts, dead=1, dead_too_old=1, dropped_at=number + 1)
    await house.run()
    accounting = await Counters(redis).read()
    assert len(accounting) <= 11
    assert len(await redis.keys(keys.counters("*"))) == len(accounting)
    assert sum(one.webhooks.total for one in accounting) == 1500
    assert sum(one.check("dead_updates").parts["too_old"] or 0 for one in accounting) == 500
    assert all(one.balanced for one in accounting)
    [others] = [one for one in accounting if one.vendor_uid == OTHERS]
    assert others.letters.dropped_at <= 500


async def test_a_vendor_of_which_something_waits_keeps_its_counters(
    redis: Redis, house: Housekeeping
) -> None:
    busy = [f"b{number}" for number in range(15)]
    for vendor_uid in busy:
        await receive(redis, vendor_uid, lane=Lane.STATUSES)
    await count(redis, "split", updates=3, done=2)
    await count(redis, "sends", claimed=1)
    await count(redis, "effects", effects=1)
    await count(redis, "dead", updates=1, dead=1)
    await count(redis, "rests", updates=1, done=1)
    await house.run()
    left = {one.vendor_uid for one in await Counters(redis).read()}
    assert left == {*busy, "split", "sends", "effects", "dead", OTHERS}


async def test_nothing_is_counted_together_where_there_is_room(
    redis: Redis, house: Housekeeping
) -> None:
    for number in range(10):
        await count(redis, f"x{number}", updates=1, done=1)
    assert await house.merge_counters() == 0
    assert await redis.scard(keys.VENDORS) == 10


async def test_what_comes_again_of_such_a_vendor_is_counted_anew(
    redis: Redis, house: Housekeeping
) -> None:
    for number in range(11):
        await count(redis, f"x{number}", webhooks_received=1, webhooks_done=1)
    await house.run()
    await receive(redis, "x3")
    accounting = await Counters(redis).read()
    assert sum(one.webhooks.total for one in accounting) == 12
    assert all(one.balanced for one in accounting)


async def test_dead_letters_that_have_grown_old_leave(redis: Redis, house: Housekeeping) -> None:
    day = 86_400_000
    await add_dead_letter(redis, 1, given_up_at=now_ms() - 91 * day)
    await add_dead_letter(redis, 2, given_up_at=now_ms() - 89 * day)
    await house.run()
    assert [letter.id async for letter in DeadLetters(redis).all()] == ["letter-2"]
    [accounting] = await Counters(redis).read()
    assert accounting.check("dead_updates").parts["too_old"] == 1
