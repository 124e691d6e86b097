"""Updates that wait: to be tried again, behind an earlier one, or for their send to be recorded."""

from typing import cast

from contracts.jobs import Lane
from sidecar import keys
from sidecar.redis_client import Redis
from workers.item import Item


class Deferred:
    """Reads what waits in a lane. It is written by :class:`workers.settlement.Settlement`."""

    def __init__(self, redis: Redis, lane: Lane) -> None:
        self._redis = redis
        self._lane = lane

    async def any_due(self, now: int) -> bool:
        """Tell whether something is due."""
        return bool(await self._redis.zcount(keys.deferred(self._lane), 0, now))

    async def due(self, now: int, *, limit: int, whole: bool) -> dict[str, list[Item]]:
        """Return what is due, by order key, the longest due first: the first item of each, or
        with ``whole`` all of them."""
        answer = await self._redis.zrangebyscore(
            keys.deferred(self._lane), 0, now, start=0, num=limit
        )
        order_keys = cast(list[bytes], answer)
        if not order_keys:
            return {}
        names = [order_key.decode() for order_key in order_keys]
        pipeline = self._redis.pipeline(transaction=False)
        for name in names:
            pipeline.lrange(keys.deferred_items(self._lane, name), 0, -1 if whole else 0)
        lists = await pipeline.execute()
        return {
            name: [Item.load(data) for data in items]
            for name, items in zip(names, lists, strict=True)
        }

    async def held(self, items: list[Item]) -> set[str]:
        """Return those order keys of the items under which something waits."""
        order_keys = list({item.order_key for item in items})
        if not order_keys:
            return set()
        scores = await self._redis.zmscore(keys.deferred(self._lane), order_keys)
        return {key for key, score in zip(order_keys, scores, strict=True) if score is not None}
