"""Numbers and accounts that are paused: nothing goes out from them until a person has acted.

A refusal, or a failed status, has said that every further message would be refused too, or do
harm (:class:`contracts.cloud_api.errors.ErrorClass`). No slots of it are given out from then on
(``lua/grant.lua``), so every campaign that wants some is paused with the reason. It is resumed
when a person starts or resumes a campaign of the vendor, or says ``sidecar numbers resume``: if
the fault stands, the first message pauses it again. A failure from before that moment, which a
late status may tell, says nothing new.
"""

from dataclasses import asdict, dataclass
from typing import cast

import orjson

from sidecar import keys
from sidecar.clock import redis_now_us
from sidecar.redis_client import Hash, Redis, script

#: How long it is remembered that a person had something tried again: Meta repeats webhooks that
#: were not taken for seven days.
LIFTED_S = 7 * 86_400


@dataclass(frozen=True, slots=True)
class Paused:
    """``scope`` is ``number`` or ``account``, and ``id`` which. ``at``: when what went wrong
    happened, unix ms. ``vendor_uid``: whose message it was."""

    scope: str
    id: str
    vendor_uid: str
    code: int | None
    reason: str
    at: int

    @property
    def name(self) -> str:
        return f"{self.scope}:{self.id}"

    def __str__(self) -> str:
        return f"{self.scope} {self.id} is paused: {self.reason}"

    def dump(self) -> bytes:
        return orjson.dumps(asdict(self))

    @classmethod
    def load(cls, value: bytes) -> "Paused":
        return cls(**orjson.loads(value))


class Pauses:
    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._pause = script(redis, "pause")

    async def put(self, paused: Paused) -> bool:
        """Pause a number or an account. Return False if it is paused already, or if a person has
        acted since."""
        return bool(
            await self._pause(
                keys=[keys.PAUSES, keys.lifted(paused.scope, paused.id)],
                args=[paused.name, paused.dump(), paused.at],
            )
        )

    async def all(self) -> list[Paused]:
        """Return what is paused, the longest first."""
        found = cast(Hash, await self._redis.hgetall(keys.PAUSES))
        return sorted(map(Paused.load, found.values()), key=lambda paused: paused.at)

    async def lift(self, pauses: list[Paused]) -> None:
        """Have them tried again."""
        if not pauses:
            return
        now = await redis_now_us(self._redis) // 1000
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.hdel(keys.PAUSES, *(paused.name for paused in pauses))
        for paused in pauses:
            pipeline.set(keys.lifted(paused.scope, paused.id), now, ex=LIFTED_S)
        await pipeline.execute()
