"""Since when Redis remembers effects, whatever happens to it meanwhile."""

from typing import cast

from sidecar.effects.memory import CLOCKS_MS, Memory, is_known
from sidecar.redis import keys
from sidecar.redis.client import Redis


async def since(redis: Redis) -> bytes | None:
    return cast("bytes | None", await redis.get(keys.MEMORY_SINCE))


async def test_it_begins_when_php_says_and_a_little_later(redis: Redis) -> None:
    """PHP's machines need not have the same time."""
    memory = Memory(redis)
    assert not is_known(await since(redis))
    token = await memory.begin()
    assert token is not None
    assert not is_known(await since(redis)), "it is not known yet"
    assert await memory.begin() == token, "whoever asks"
    await memory.since(token, 1000)
    assert await since(redis) == str(1000 + CLOCKS_MS).encode()
    assert is_known(await since(redis))
    assert await memory.begin() is None


async def test_redis_is_wiped_while_php_is_asked(redis: Redis) -> None:
    memory = Memory(redis)
    token = await memory.begin()
    assert token is not None
    await redis.flushall()
    await memory.since(token, 1000)
    assert await since(redis) is None, "the time was before the wipe"
    other = await memory.begin()
    assert other is not None
    assert other != token
    await memory.since(token, 1000)
    assert await since(redis) == other


async def test_what_is_known_stays(redis: Redis) -> None:
    memory = Memory(redis)
    token = await memory.begin()
    assert token is not None
    await memory.since(token, 1000)
    await memory.since(token, 9000)
    assert await since(redis) == str(1000 + CLOCKS_MS).encode()
