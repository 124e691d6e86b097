"""Updates that wait: to be tried again, behind an earlier one, or for their send to be recorded."""

from collections.abc import Set
from typing import Any, cast

from contracts.jobs import Lane
from sidecar import keys
from sidecar.redis_client import Redis, script
from workers.inbox.update import Item


class Deferred:
    """Reads what waits in a lane. It is written by :class:`workers.inbox.commit.Settlement`."""

    def __init__(self, redis: Redis, lane: Lane) -> None:
        self._redis = redis
        self._lane = lane
        self._postpone = script(redis, "postpone")

    async def how_many_due(self, now: int) -> int:
        """Return under how many order keys something is due."""
        return int(await self._redis.zcount(keys.deferred(self._lane), 0, now))

    async def due(
        self, now: int, *, limit: int, whole: bool, under_way: Set[str] = frozenset()
    ) -> dict[str, list[Item]]:
        """Return what is due, by order key, the longest due first: the first item of each, or
        with ``whole`` all of them. What is ``under_way`` already is left out."""
        found = await self.due_keys(now, limit=limit + len(under_way))
        names = [name for name in found if name not in under_way]
        if not names:
            return {}
        pipeline = self._redis.pipeline(transaction=False)
        for name in names:
            pipeline.lrange(keys.deferred_items(self._lane, name), 0, -1 if whole else 0)
        lists = await pipeline.execute()
        return {
            name: [Item.load(data) for data in items]
            for name, items in zip(names, lists, strict=True)
        }

    async def due_keys(self, now: int, *, limit: int) -> list[str]:
        """Return order keys under which something is due, the longest due first."""
        index = keys.deferred(self._lane)
        answer = await self._redis.zrangebyscore(index, 0, now, start=0, num=limit)
        return [order_key.decode() for order_key in cast(list[bytes], answer)]

    async def kept(self, order_key: str, *, whole: bool) -> list[bytes]:
        """Return what waits under an order key as it is kept: the first item, or all."""
        items = keys.deferred_items(self._lane, order_key)
        answer = await cast(Any, self._redis).lrange(items, 0, -1 if whole else 0)
        return cast(list[bytes], answer)

    async def postpone(self, order_keys: list[str], due_at: int) -> None:
        """Have order keys stand aside until then, so that others are seen."""
        if order_keys:
            await self._postpone(keys=[keys.deferred(self._lane)], args=[due_at, *order_keys])

    async def held(self, items: list[Item]) -> set[str]:
        """Return those order keys of the items under which something waits."""
        order_keys = list({item.order_key for item in items})
        if not order_keys:
            return set()
        scores = await self._redis.zmscore(keys.deferred(self._lane), order_keys)
        return {key for key, score in zip(order_keys, scores, strict=True) if score is not None}
