"""The time that all processes agree on."""

from sidecar.redis.client import Redis


async def redis_now_us(redis: Redis) -> int:
    """Return the unix time on Redis's clock, in microseconds."""
    seconds, micros = await redis.time()
    return int(seconds) * 1_000_000 + int(micros)
