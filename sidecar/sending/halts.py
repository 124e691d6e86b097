"""Halts of campaigns: they stand in Redis at once, and PHP is told of them until it knows.

Once PHP knows a halt it hands out no more rows. What stands here then tells a person, and stops a
holder that has stalled; so it expires some time later.

A halt that PHP has not been told of has no ``acknowledged_at``. The campaign stays on the list of
those that a worker looks after until PHP knows it, so a call to PHP that failed is made again.
Until then the halt is what counts (:func:`state_of`), and no pause replaces a cancellation.
"""

from dataclasses import asdict, dataclass, field, replace
from typing import Any, cast

import orjson

from contracts.campaigns import CampaignState
from sidecar.redis import keys
from sidecar.redis.client import Redis, script

#: How long a halt is kept that PHP knows.
KEEP_S = {CampaignState.PAUSED: 30 * 86_400, CampaignState.CANCELLED: 86_400}


@dataclass(frozen=True, slots=True)
class Halt:
    """``state`` is paused or cancelled; ``acknowledged_at`` when PHP was told, unix ms.
    ``by_person``: somebody wanted it, and knows; otherwise errors have stopped the campaign."""

    state: CampaignState
    reason: str | None = None
    acknowledged_at: int | None = None
    by_person: bool = field(default=False, compare=False)

    def dump(self) -> bytes:
        fields = asdict(self)
        if not self.by_person:
            del fields["by_person"]  # the bytes are compared with those of an earlier version
        return orjson.dumps(fields)

    @classmethod
    def load(cls, value: bytes) -> "Halt":
        fields: dict[str, Any] = orjson.loads(value)
        return cls(
            CampaignState(fields["state"]),
            fields["reason"],
            fields["acknowledged_at"],
            by_person=fields.get("by_person", False),
        )


def state_of(kept: CampaignState, halt: Halt | None) -> CampaignState:
    """Return a campaign's state: what PHP keeps, unless a halt stands that PHP does not know."""
    if halt is None or halt.acknowledged_at is not None or kept is CampaignState.CANCELLED:
        return kept
    return halt.state


def is_untold(value: bytes | None) -> bool:
    """Return whether this is a halt, as it stands in Redis, that PHP does not know."""
    return value is not None and Halt.load(value).acknowledged_at is None


class Halts:
    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._put = script(redis, "sending/put_halt")
        self._change = script(redis, "sending/change_halt")

    async def find(self, campaign_uid: str) -> Halt | None:
        """Return the campaign's halt, if one stands."""
        value = cast("bytes | None", await self._redis.get(keys.halt(campaign_uid)))
        return None if value is None else Halt.load(value)

    async def put(self, campaign_uid: str, vendor_uid: str, halt: Halt) -> bool:
        """Halt a campaign, and have a worker see to it that PHP is told. Return False if it was
        cancelled, which PHP does not know yet, and so is not paused."""
        written = await self._put(
            keys=[keys.halt(campaign_uid), keys.CAMPAIGNS],
            args=[halt.dump(), halt.state, campaign_uid, vendor_uid],
        )
        return bool(written)

    async def put_if_none(self, campaign_uid: str, halt: Halt) -> None:
        """Halt a campaign that is on the list, unless a halt stands already."""
        await self._redis.set(keys.halt(campaign_uid), halt.dump(), nx=True)

    async def acknowledge(
        self, campaign_uid: str, halt: Halt, now: int, *, cancelled: bool = False
    ) -> None:
        """Keep that PHP knows this halt, unless it is another one by now. ``cancelled``: PHP has
        refused to pause the campaign, which somebody has cancelled."""
        known = replace(halt, acknowledged_at=now)
        if cancelled:
            known = Halt(CampaignState.CANCELLED, acknowledged_at=now)
        await self._change(
            keys=[keys.halt(campaign_uid)], args=[halt.dump(), known.dump(), KEEP_S[known.state]]
        )

    async def lift(self, campaign_uid: str, halt: Halt) -> bool:
        """Take this halt away, unless it is another one by now. Tell whether it was."""
        return bool(await self._change(keys=[keys.halt(campaign_uid)], args=[halt.dump(), "", 0]))

    async def lift_seen(self, campaign_uid: str, seen: Halt | None) -> Halt | None:
        """Take away the halt that was seen, whether or not PHP was told of it meanwhile. Return a
        later one, which stays."""
        while (halt := await self.find(campaign_uid)) is not None:
            if seen is None or (halt.state, halt.reason) != (seen.state, seen.reason):
                return halt
            if await self.lift(campaign_uid, halt):
                return None
        return None
