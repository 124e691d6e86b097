"""Updates that wait: for a retry, behind an earlier one, or for their send to be recorded."""

from collections.abc import Set
from typing import Any, cast

from contracts.jobs import Lane
from sidecar.inbox.partitions import Partition
from sidecar.redis import keys
from sidecar.redis.client import Redis, script
from workers.inbox.update import Update

#: Maximum updates that are read of one order key, and maximum bytes of all.
MAX_OF_KEY = 50
MAX_BYTES = 4 * 1024 * 1024


class Retries:
    """Reads what waits in a lane, of the vendors of ``partition`` only. It is written by
    :class:`workers.inbox.commit.Commit`."""

    def __init__(self, redis: Redis, lane: Lane, partition: Partition | None = None) -> None:
        self._redis = redis
        self._lane = lane
        self._partition = partition or Partition()
        self._postpone = script(redis, "inbox/postpone")
        self._due = script(redis, "inbox/due")

    async def anything_due(self, now: int, in_flight: int) -> bool:
        """Return whether something is due under more order keys than are in flight."""
        if self._partition.count == 1:
            return await self._redis.zcount(keys.deferred(self._lane), 0, now) > in_flight
        return len(await self.due_keys(now, limit=in_flight + 1)) > in_flight

    async def due(
        self, now: int, *, limit: int, in_flight: Set[str] = frozenset()
    ) -> dict[str, list[Update]]:
        """Return the updates that are due, by order key, the longest due first: of each the first
        few, in order. Order keys in ``in_flight`` are left out."""
        found = await self._find(now, limit + len(in_flight), MAX_OF_KEY)
        due: dict[str, list[Update]] = {}
        for name, kept in zip(found[::2], found[1::2], strict=True):
            order_key = cast(bytes, name).decode()
            if order_key not in in_flight:
                due[order_key] = [Update.load(data) for data in kept]
        return due

    async def due_keys(self, now: int, *, limit: int) -> list[str]:
        """Return order keys under which something is due, the longest due first."""
        return [name.decode() for name in (await self._find(now, limit, 0))[::2]]

    async def _find(self, now: int, limit: int, of_each: int) -> list[Any]:
        answer = await self._due(
            keys=[keys.deferred(self._lane)],
            args=[now, limit, of_each, MAX_BYTES, *self._partition.words],
        )
        return cast(list[Any], answer)

    async def kept(self, order_key: str, *, count: int) -> list[bytes]:
        """Return the first updates that wait under an order key, as stored."""
        items = keys.deferred_updates(self._lane, order_key)
        answer = await cast(Any, self._redis).lrange(items, 0, count - 1)
        return cast(list[bytes], answer)

    async def postpone(self, order_keys: list[str], due_at: int) -> None:
        """Postpone order keys until then, so that others are found."""
        if order_keys:
            await self._postpone(keys=[keys.deferred(self._lane)], args=[due_at, *order_keys])

    async def held(self, updates: list[Update]) -> set[str]:
        """Return the order keys of these updates under which something waits."""
        order_keys = list({update.order_key for update in updates})
        if not order_keys:
            return set()
        scores = await self._redis.zmscore(keys.deferred(self._lane), order_keys)
        return {key for key, score in zip(order_keys, scores, strict=True) if score is not None}
