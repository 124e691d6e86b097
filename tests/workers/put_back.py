"""Putting a Redis back to how it was."""

from dataclasses import dataclass
from typing import cast

from sidecar.redis import keys
from sidecar.redis.client import Redis

#: What a restored Redis has as the run that was compared last.
ANOTHER_RUN = "of the run before"


@dataclass(frozen=True, slots=True)
class Copy:
    """All keys of a database, with how long they had to live."""

    values: dict[bytes, tuple[bytes, int]]

    @classmethod
    async def of(cls, redis: Redis) -> "Copy":
        values = {}
        for key in cast("list[bytes]", await redis.keys("*")):
            value, ttl_ms = await redis.dump(key), await redis.pttl(key)
            if value is not None:
                values[key] = (value, max(0, ttl_ms))
        return cls(values)

    async def put_back(self, redis: Redis) -> None:
        """As a restart with an old snapshot does. Leases from then have expired."""
        await redis.flushdb()
        for key, (value, ttl_ms) in self.values.items():
            if not key.startswith(b"lease:"):
                await redis.restore(key, ttl_ms, value)
        await restart(redis)


async def restart(redis: Redis) -> None:
    """Have this be another run of Redis."""
    if await redis.exists(keys.EPOCH):
        await redis.hset(keys.EPOCH, "run", ANOTHER_RUN)
