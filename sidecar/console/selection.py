"""What a person has counted and is about to confirm. It is kept in Redis while the question stands,
so that what comes meanwhile is not touched, whatever its time or its place in a list."""

import secrets
from collections.abc import Sequence
from typing import cast

from sidecar.redis import keys
from sidecar.redis.client import Redis

#: How long an answer is waited for, and the pieces in which a selection is written.
KEPT_S = 900
_PIECE = 5000


class Selections:
    """Selections of items, which are texts. ``what`` names what is to be done with them."""

    def __init__(self, redis: Redis, what: str) -> None:
        self._redis = redis
        self._what = what

    async def keep(self, items: Sequence[str]) -> str:
        """Keep these. Return the token of the selection."""
        token = secrets.token_urlsafe(16)
        key = keys.chosen(self._what, token)
        pipeline = self._redis.pipeline(transaction=True)
        for start in range(0, len(items), _PIECE):
            pipeline.rpush(key, *items[start : start + _PIECE])
        pipeline.expire(key, KEPT_S)
        await pipeline.execute()
        return token

    async def left(self, token: str) -> int:
        """Return how many have not been taken; 0 also when the question has stood for too long."""
        return int(await self._redis.llen(keys.chosen(self._what, token)))

    async def take(self, token: str, count: int) -> list[str]:
        """Return the next ones, which nobody else gets. If whoever takes them dies, nothing has
        happened to them, and they are found again where they came from."""
        found = await self._redis.lpop(keys.chosen(self._what, token), count)
        return [item.decode() for item in cast("list[bytes] | None", found) or ()]
