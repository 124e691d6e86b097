"""The time, as all processes agree on it."""

import asyncio

from sidecar.redis.client import Redis
from sidecar.redis.clock import redis_now_us


async def test_it_is_rediss_in_microseconds(redis: Redis) -> None:
    before = await redis.time()
    between = await redis_now_us(redis)
    after = await redis.time()
    assert before <= divmod(between, 1_000_000) <= after


async def test_it_goes_on(redis: Redis) -> None:
    earlier = await redis_now_us(redis)
    await asyncio.sleep(0.002)
    assert await redis_now_us(redis) > earlier
