"""Dead letters: updates that PHP refused again and again, and effects that could not be done, kept
with the reason until a person looks. They never expire."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, cast

import orjson

from contracts.jobs import Lane
from sidecar import keys
from sidecar.clock import now_ms
from sidecar.outbox import EffectReplay, Queued
from sidecar.redis_client import Redis, script


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """``update`` is what was to be handed over, with the raw payload; or the effect that was to be
    done, which has no ``lane``. Times are unix ms."""

    id: str
    lane: Lane | None
    update: dict[str, Any]
    given_up_at: int

    @property
    def summary(self) -> dict[str, Any]:
        """Return what may be printed in a list or a log: no payload."""
        names = ("vendor_uid", "kind", "wamid", "received_at", "attempts", "reason")
        shown = {name: self.update.get(name) for name in names}
        where = self.lane.value if self.lane else "outbox"
        return {"id": self.id, "lane": where, "given_up_at": self.given_up_at, **shown}


class DeadLetters:
    """Lists and replays them. They are written by the drain, and by those who do effects."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._effect = EffectReplay(redis)
        self._replay = script(redis, "replay")

    async def count(self) -> int:
        return int(await self._redis.zcard(keys.DEAD_INDEX))

    async def all(self, vendor_uid: str | None = None) -> AsyncIterator[DeadLetter]:
        """Yield them, the oldest first; only one vendor's, if it is given."""
        start = 0
        while True:
            page = cast(
                "list[tuple[bytes, float]]",
                await self._redis.zrange(keys.DEAD_INDEX, start, start + 99, withscores=True),
            )
            if not page:
                return
            start += len(page)
            for letter_id, score in page:
                letter = await self.get(letter_id.decode(), int(score))
                if letter and vendor_uid in (None, letter.update.get("vendor_uid")):
                    yield letter

    async def get(self, letter_id: str, given_up_at: int | None = None) -> DeadLetter | None:
        """Return one of them, or None if there is none with this id."""
        data = cast("bytes | None", await self._redis.hget(keys.DEAD, letter_id))
        if data is None:
            return None
        if given_up_at is None:
            given_up_at = int(await self._redis.zscore(keys.DEAD_INDEX, letter_id) or 0)
        letter = orjson.loads(data)
        lane = Lane(letter["lane"]) if "lane" in letter else None
        return DeadLetter(letter_id, lane, letter["item"], given_up_at)

    async def replay(self, letter: DeadLetter) -> bool:
        """Have it tried again as if for the first time. Return False if somebody else has done
        so. Workers find it within a second."""
        if letter.lane is None:
            update = letter.update
            queued = Queued.load(update["id"], update["vendor_uid"], update)
            return await self._effect.replay(letter.id, queued)
        update = {**letter.update, "attempts": 0, "first_failed_at": None}
        order_key = update["order_key"]
        answer = await self._replay(
            keys=[
                keys.DEAD,
                keys.DEAD_INDEX,
                keys.deferred(letter.lane),
                keys.deferred_items(letter.lane, order_key),
                keys.counters(update["vendor_uid"]),
            ],
            args=[letter.id, orjson.dumps(update), order_key, now_ms()],
        )
        return bool(answer)
