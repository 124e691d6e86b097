"""Dead letters: listed, shown, and replayed once."""

from typing import Any

import orjson
import pytest

from contracts.jobs import Lane
from sidecar.ops.accounting import Counters
from sidecar.ops.dead_letters import ALL, Choice, DeadLetter, DeadLetters
from sidecar.ops.housekeeping import Housekeeping
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.redis.letter_bounds import Bounds


@pytest.fixture
def letters(redis: Redis) -> DeadLetters:
    return DeadLetters(redis)


async def add_dead_letter(
    redis: Redis,
    number: int,
    vendor_uid: str = "v",
    given_up_at: int | None = None,
    **update: Any,
) -> str:
    """Put a dead letter there, as the drain does."""
    letter_id = f"letter-{number}"
    update = {
        "id": letter_id,
        "vendor_uid": vendor_uid,
        "kind": "message",
        "wamid": f"wamid.{number}",
        "order_key": f"{vendor_uid}/999{number}",
        "received_at": 1000 + number,
        "attempts": 10,
        "first_failed_at": 2000 + number,
        "reason": "the routine failed",
        "payload": {"text": "Dear Ada"},
        **update,
    }
    letter = orjson.dumps({"lane": "messages", "update": update})
    at = 5000 + number if given_up_at is None else given_up_at
    pipeline = redis.pipeline(transaction=False)
    pipeline.hset(keys.dead_letters(vendor_uid), letter_id, letter)
    pipeline.zadd(keys.dead_updates(vendor_uid), {letter_id: at})
    pipeline.zincrby(keys.DEAD, len(letter_id) + len(letter), vendor_uid)
    pipeline.hincrby(keys.counters(vendor_uid), "dead", 1)
    await pipeline.execute()
    return letter_id


async def listed(letters: DeadLetters, choice: Choice = ALL) -> list[str]:
    return [letter.id async for letter in letters.all(choice)]


async def test_none(letters: DeadLetters) -> None:
    assert await letters.count() == 0
    assert await listed(letters) == []
    assert await letters.get("letter-1") is None


async def test_all_of_them_the_oldest_first(letters: DeadLetters, redis: Redis) -> None:
    for number in reversed(range(250)):
        await add_dead_letter(redis, number, "v" if number % 2 else "w")
    assert await letters.count() == 250
    assert await listed(letters) == [f"letter-{number}" for number in range(250)]
    odd = [f"letter-{number}" for number in range(1, 250, 2)]
    assert await listed(letters, Choice(vendor_uid="v")) == odd
    assert await listed(letters, Choice(vendor_uid="x")) == []


async def test_what_is_told_of_one(letters: DeadLetters, redis: Redis) -> None:
    letter = await letters.get(await add_dead_letter(redis, 1))
    assert letter is not None
    assert letter.update["payload"] == {"text": "Dear Ada"}
    assert letter.summary == {
        "id": "letter-1",
        "lane": "messages",
        "given_up_at": 5001,
        "vendor_uid": "v",
        "kind": "message",
        "wamid": "wamid.1",
        "received_at": 1001,
        "attempts": 10,
        "reason": "the routine failed",
    }
    assert "Ada" not in str(letter.summary)
    assert await anext(letters.all()) == letter


async def test_one_that_is_replayed_while_the_list_is_read(
    letters: DeadLetters, redis: Redis
) -> None:
    await add_dead_letter(redis, 1)
    await redis.zadd(keys.dead_updates("v"), {"gone": 1})
    assert await listed(letters) == ["letter-1"]


async def test_replaying(letters: DeadLetters, redis: Redis) -> None:
    letter = await letters.get(await add_dead_letter(redis, 1))
    assert letter is not None
    assert await letters.replay(letter) is True
    assert await letters.count() == 0
    assert await letters.get("letter-1") is None
    assert await redis.hget(keys.counters("v"), "dead") == b"0"
    [waiting] = await redis.lrange(keys.deferred_updates(Lane.MESSAGES, "v/9991"), 0, -1)
    again = orjson.loads(waiting)
    assert again == {**letter.update, "attempts": 0, "refused": 0, "first_failed_at": None}
    now_s, _ = await redis.time()
    due = await redis.zscore(keys.deferred(Lane.MESSAGES), "v/9991")
    assert due is not None
    assert abs(due / 1000 - now_s) < 60


async def test_replaying_twice(letters: DeadLetters, redis: Redis) -> None:
    letter = await letters.get(await add_dead_letter(redis, 1))
    assert letter is not None
    assert await letters.replay(letter) is True
    assert await letters.replay(letter) is False
    assert await redis.llen(keys.deferred_updates(Lane.MESSAGES, "v/9991")) == 1
    assert await redis.hget(keys.counters("v"), "dead") == b"0"


async def test_a_replayed_one_stands_behind_what_waits(letters: DeadLetters, redis: Redis) -> None:
    """And does not make that due earlier or later."""
    letter = await letters.get(await add_dead_letter(redis, 1))
    assert isinstance(letter, DeadLetter)
    await redis.rpush(keys.deferred_updates(Lane.MESSAGES, "v/9991"), b"earlier")
    await redis.zadd(keys.deferred(Lane.MESSAGES), {"v/9991": 77})
    await letters.replay(letter)
    updates = await redis.lrange(keys.deferred_updates(Lane.MESSAGES, "v/9991"), 0, -1)
    assert updates[0] == b"earlier"
    assert len(updates) == 2
    assert await redis.zscore(keys.deferred(Lane.MESSAGES), "v/9991") == 77


async def test_what_an_earlier_version_has_kept_is_taken_over(
    letters: DeadLetters, redis: Redis
) -> None:
    """It counted the same, so the accounting balances before and after."""
    for number in range(250):
        vendor_uid = "v" if number % 2 else "w"
        update = {"id": str(number), "vendor_uid": vendor_uid, "reason": "no", "order_key": "v/1"}
        where = {"outbox": "forward"} if number % 5 == 0 else {"lane": "messages"}
        await redis.hset("dead", str(number), orjson.dumps({**where, "update": update}))
        await redis.zadd("dead:index", {str(number): 5000 + number})
        counter = "effects_dead" if number % 5 == 0 else "dead"
        total = "effects" if number % 5 == 0 else "updates"
        for name in (counter, total):
            await redis.hincrby(keys.counters(vendor_uid), name, 1)
        await redis.sadd(keys.VENDORS, vendor_uid)
    await add_dead_letter(redis, 999)
    await redis.hincrby(keys.counters("v"), "updates", 1)
    await Housekeeping(redis, Bounds(days=30_000)).run()
    assert await listed(letters) == [*(str(number) for number in range(250)), "letter-999"]
    assert not await redis.exists("dead", "dead:index")
    for accounting in await Counters(redis).read():
        assert accounting.balanced, accounting


async def test_reasons_that_were_kept_earlier_are_shown_without_personal_data(
    letters: DeadLetters, redis: Redis
) -> None:
    reason = (
        "SQLSTATE[22001]: String data, right truncated: 1406 Data too long for column 'first_name' "
        "at row 1 (SQL: insert into `contacts` (`first_name`) values (Ada, 4915112345678))"
    )
    letter_id = await add_dead_letter(redis, 1, reason=reason, refused=4)
    [letter] = [letter async for letter in letters.all()]
    assert letter.summary["reason"] == "SQLSTATE[22001] 1406 in contacts"
    assert letter.update["payload"] == {"text": "Dear Ada"}, "that is what it is kept for"
    one = await letters.get(letter_id)
    assert one is not None
    assert one.update["reason"] == letter.summary["reason"]
    exported = DeadLetter.read(letter.export().replace(letter.summary["reason"].encode(), b"0" * 9))
    assert exported.update["reason"] == "[number]"
    assert [one async for one in letters.all(Choice(reason="Ada"))] == []
    with pytest.raises(TypeError):
        DeadLetter.read(
            orjson.dumps(
                {"id": "a", "vendor_uid": "v", "lane": None, "update": [], "given_up_at": 1}
            )
        )


async def test_what_is_replayed_has_not_been_refused(letters: DeadLetters, redis: Redis) -> None:
    await add_dead_letter(redis, 1, refused=4)
    [letter] = [letter async for letter in letters.all()]
    assert await letters.replay(letter)
    [kept] = await redis.lrange(keys.deferred_updates(Lane.MESSAGES, "v/9991"), 0, -1)
    assert orjson.loads(kept)["refused"] == 0
