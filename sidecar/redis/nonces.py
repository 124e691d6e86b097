"""The ids of signed calls: each is accepted once."""

import time
from collections.abc import Callable
from contextlib import suppress

from contracts.signing import Refusal, SignatureRefused, VerifiedCall
from sidecar.redis import keys
from sidecar.redis.client import Redis, RedisUnavailable


class Nonces:
    """Remembers nonces in Redis, with the time since when it does.

    A call signed before that may be a replay, and is refused. ``_ahead_s`` is how far callers'
    clocks have been ahead of this one at most.
    """

    def __init__(self, redis: Redis, clock: Callable[[], float] = time.time) -> None:
        self._redis = redis
        self._clock = clock
        self._ahead_s = 0.0

    async def begin(self) -> None:
        """Record that nonces are remembered from now on, unless they are already."""
        with suppress(*RedisUnavailable):
            await self._redis.set(keys.NONCES_SINCE, self._now_ms(), nx=True)

    def _now_ms(self) -> int:
        return int((self._clock() + self._ahead_s) * 1000)

    async def claim(self, verified: VerifiedCall, ttl_s: int) -> None:
        """Raise :class:`SignatureRefused` if the call was accepted before, or may have been."""
        self._ahead_s = max(self._ahead_s, verified.signed_at - self._clock())
        pipeline = self._redis.pipeline(transaction=True)
        # This call itself may be one that was made before.
        pipeline.set(keys.NONCES_SINCE, self._now_ms() + 1, nx=True)
        pipeline.get(keys.NONCES_SINCE)
        pipeline.set(keys.nonce(verified.nonce), 1, nx=True, ex=ttl_s)
        _, since, fresh = await pipeline.execute()
        if not fresh:
            raise SignatureRefused(Refusal.NONCE_REPEATED)
        if round(verified.signed_at * 1000) < int(since):
            raise SignatureRefused(Refusal.NONCES_LOST)
