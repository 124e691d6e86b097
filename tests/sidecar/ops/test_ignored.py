"""What was ignored is read by vendor and reason. tests/workers/inbox/test_commit.py counts it."""

import orjson

from sidecar.inbox.ignored import KEEP_LAST_S, SLICE_S
from sidecar.ops.ignored import (
    IgnoredCount,
    IgnoredMessages,
    last_ignored,
    read_ignored,
    read_ignored_messages,
)
from sidecar.redis import keys
from sidecar.redis.client import Redis

NOW = 10**12


async def add_ignored(
    redis: Redis, reason: str, count: int, vendor_uid: str = "v", at: int = NOW
) -> None:
    """Add what a commit writes."""
    await redis.zadd(keys.IGNORED, {vendor_uid: at})
    await redis.hset(keys.ignored(vendor_uid), mapping={reason: count, f"@{reason}": at})
    last = orjson.dumps({"at": at, "reason": reason, "payload": "{}"})
    await redis.hset(keys.ignored_last(vendor_uid), reason, last)


async def test_nothing(redis: Redis) -> None:
    assert await read_ignored(redis) == []
    assert await read_ignored(redis, "v") == []
    assert await read_ignored_messages(redis, NOW) == []


async def test_the_most_frequent_come_first(redis: Redis) -> None:
    await add_ignored(redis, "own_number", 1)
    await add_ignored(redis, "message_unknown", 7)
    await add_ignored(redis, "own_number", 3, "w")
    found = await read_ignored(redis)
    assert found == [
        IgnoredCount("v", "message_unknown", 7, NOW),
        IgnoredCount("w", "own_number", 3, NOW),
        IgnoredCount("v", "own_number", 1, NOW),
    ]
    assert await read_ignored(redis, "w") == found[1:2]


async def test_the_last_one_while_it_is_kept(redis: Redis) -> None:
    await add_ignored(redis, "own_number", 1)
    [count] = await read_ignored(redis)
    last = await last_ignored(redis, count, NOW)
    assert last is not None
    assert last["reason"] == "own_number"
    assert await last_ignored(redis, count, NOW + 1000 * KEEP_LAST_S + 1) is None
    await redis.delete(keys.ignored_last("v"))
    assert await last_ignored(redis, count, NOW) is None


async def test_messages_of_the_last_hour(redis: Redis) -> None:
    now = NOW // (1000 * SLICE_S)
    await redis.hset(keys.ignored_slice(now), "v phone_number_unknown", 2)
    await redis.hset(keys.ignored_slice(now - 5), "v phone_number_unknown", 1)
    await redis.hset(keys.ignored_slice(now - 5), "w x", 9)
    await redis.hset(keys.ignored_slice(now - 6), "w x", 100)
    await redis.hset(keys.ignored_slice(now), "(unknown vendors) vendor_unknown", 1)
    assert await read_ignored_messages(redis, NOW) == [
        IgnoredMessages("w", "x", 9),
        IgnoredMessages("v", "phone_number_unknown", 3),
        IgnoredMessages("(unknown vendors)", "vendor_unknown", 1),
    ]
