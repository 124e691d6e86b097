"""Since when Redis remembers which effects were put into it.

Where PHP asks for a message again, a mark tells whether it was taken before. A Redis that was wiped
has no marks, so the time since when there are any stands beside them. It is PHP's, for it is
compared with when PHP has stored the message. While none is there, no message that is asked for
again is taken.
"""

import uuid

from sidecar.redis import keys
from sidecar.redis.client import Redis, script

#: The clocks of PHP's machines may differ by so much.
CLOCKS_MS = 60_000

#: What stands there until PHP has told the time begins with this.
_TOKEN = b"?"


def is_known(since: bytes | None) -> bool:
    """Return whether this is a time, and not what stands there after a wipe."""
    return since is not None and not since.startswith(_TOKEN)


class Memory:
    """Records the time. Between the two steps PHP is asked for it: a Redis that is wiped meanwhile
    is noticed."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._if_there = script(redis, "redis/fenced")

    async def begin(self) -> bytes | None:
        """Return None if the time is known, and else a token for :meth:`since`, which stays the
        same until Redis is wiped."""
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.set(keys.MEMORY_SINCE, _TOKEN + uuid.uuid4().hex.encode(), nx=True)
        pipeline.get(keys.MEMORY_SINCE)
        _, since = await pipeline.execute()
        return None if is_known(since) else bytes(since)

    async def since(self, token: bytes, now: int) -> None:
        """Record that effects are remembered from then on (unix ms, by PHP's clock), which was
        after the token was given out. If the token is gone, nothing is recorded."""
        key = keys.MEMORY_SINCE
        await self._if_there(keys=[key], args=[token, 3, "SET", key, now + CLOCKS_MS])
