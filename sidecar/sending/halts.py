"""Halts of campaigns: they stand in Redis at once, and PHP is told of them until it knows.

Once PHP knows a halt it hands out no more rows. What stands here then tells a person, and stops a
holder that has stalled; so it expires some time later.

A halt that PHP has not been told of has no ``acknowledged_at``. The campaign stays on the list of
those that a worker looks after until PHP knows it, so a call to PHP that failed is made again.
"""

from dataclasses import asdict, dataclass
from typing import Any, cast

import orjson

from contracts.backend import CampaignState
from sidecar.redis import keys
from sidecar.redis.client import Redis, script

#: How long a halt is kept that PHP knows.
KEEP_S = {CampaignState.PAUSED: 30 * 86_400, CampaignState.CANCELLED: 86_400}


@dataclass(frozen=True, slots=True)
class Halt:
    """``state`` is paused or cancelled; ``acknowledged_at`` when PHP was told, unix ms."""

    state: CampaignState
    reason: str | None = None
    acknowledged_at: int | None = None

    def dump(self) -> bytes:
        return orjson.dumps(asdict(self))

    @classmethod
    def load(cls, value: bytes) -> "Halt":
        fields: dict[str, Any] = orjson.loads(value)
        return cls(CampaignState(fields["state"]), fields["reason"], fields["acknowledged_at"])


class Halts:
    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._lift = script(redis, "sending/lift")

    async def find(self, campaign_uid: str) -> Halt | None:
        """Return the campaign's halt, if one stands."""
        value = cast("bytes | None", await self._redis.get(keys.halt(campaign_uid)))
        return None if value is None else Halt.load(value)

    async def put(self, campaign_uid: str, vendor_uid: str, halt: Halt) -> None:
        """Halt a campaign, and have a worker see to it that PHP is told."""
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.set(keys.halt(campaign_uid), halt.dump())
        pipeline.hset(keys.CAMPAIGNS, campaign_uid, vendor_uid)
        await pipeline.execute()

    async def put_if_none(self, campaign_uid: str, halt: Halt) -> None:
        """Halt a campaign that is on the list, unless a halt stands already."""
        await self._redis.set(keys.halt(campaign_uid), halt.dump(), nx=True)

    async def told(self, campaign_uid: str, halt: Halt, now: int) -> None:
        """Keep that PHP knows, unless the halt has been lifted meanwhile."""
        known = Halt(halt.state, halt.reason, now)
        kept_s = KEEP_S[halt.state]
        await self._redis.set(keys.halt(campaign_uid), known.dump(), xx=True, ex=kept_s)

    async def lift(self, campaign_uid: str, halt: Halt) -> bool:
        """Take this halt away, unless it is another one by now. Tell whether it was."""
        return bool(await self._lift(keys=[keys.halt(campaign_uid)], args=[halt.dump()]))
