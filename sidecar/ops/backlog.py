"""Work that waits, and why: campaigns on the list, and updates that wait to be tried again."""

from collections import Counter
from dataclasses import dataclass
from typing import cast

import msgspec

from contracts.campaigns import CampaignState
from contracts.jobs import Lane
from sidecar.effects.outbox import vendor_of_replies
from sidecar.ops.snapshot import Overview
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.sending.campaigns import campaign_lease
from sidecar.sending.halts import Halt
from sidecar.sending.row_states import RowState

#: One refusal of an update that has been here for longer is no passing one.
REFUSED_MS = 3000

#: Order keys of a lane of which the first update is looked at.
MAX_LOOKED_AT = 100


@dataclass(frozen=True, slots=True)
class CampaignWork:
    """What Redis knows of a campaign. ``listed``: it is to be looked after. ``waits`` says why it
    can send nothing for long. In its ledger stand rows that are ``claimed``, ``sending``, or
    ``known`` and still to be told to PHP."""

    uid: str
    vendor_uid: str | None
    listed: bool
    halt: Halt | None
    waits: str | None
    held_s: float | None
    holder: str | None
    claimed: int
    sending: int
    known: int

    @property
    def state(self) -> str:
        if self.halt is not None:
            return self.halt.state.value
        return CampaignState.RUNNING.value if self.listed else "settling"

    @property
    def in_flight(self) -> int:
        return self.claimed + self.sending + self.known


async def read_campaigns(redis: Redis, overview: Overview) -> list[CampaignWork]:
    """Return the campaigns that are listed, halted, or have something in their ledger."""
    halted = [
        key.decode().removeprefix(keys.halt(""))
        async for key in redis.scan_iter(match=keys.halt("*"), count=5000)
    ]
    found = {*overview.campaigns, *overview.ledgers, *halted}
    uids = sorted(uid for uid in found if vendor_of_replies(uid) is None)
    pipeline = redis.pipeline(transaction=False)
    for uid in uids:
        pipeline.get(keys.halt(uid))
        pipeline.get(keys.wait(uid))
        pipeline.get(keys.lease(campaign_lease(uid)))
        pipeline.hvals(keys.ledger(uid))
    answers = await pipeline.execute() if uids else []
    return [
        _campaign(overview, uid, *answers[4 * number : 4 * number + 4])
        for number, uid in enumerate(uids)
    ]


def _campaign(
    overview: Overview,
    uid: str,
    halt: bytes | None,
    waits: bytes | None,
    token: bytes | None,
    rows: list[bytes],
) -> CampaignWork:
    states = Counter(row[:1] for row in rows)
    return CampaignWork(
        uid=uid,
        vendor_uid=overview.campaigns.get(uid) or overview.ledgers.get(uid),
        listed=uid in overview.campaigns,
        halt=None if halt is None else Halt.load(halt),
        waits=None if waits is None else waits.decode(errors="replace"),
        held_s=None if token is None else max(0, overview.now - int(token)) / 1000,
        holder=overview.holder(campaign_lease(uid)),
        claimed=states[RowState.CLAIMED.letter],
        sending=states[RowState.SENDING.letter],
        known=states[RowState.KNOWN.letter],
    )


@dataclass(frozen=True, slots=True)
class Deferred:
    """What waits in a lane to be tried again: why, by how many of those that were looked at, and
    since when the oldest of them is here. A worker has died ``deaths`` times in a row on the lane's
    work, of which ``one_by_one`` units are now taken one by one. ``refused``: vendors of which PHP
    has refused an update more than once, or one that has waited for a while, and why the last
    time."""

    reasons: dict[str, int]
    refused: dict[str, str]
    oldest_s: float
    deaths: int
    one_by_one: int


async def read_deferred(redis: Redis, overview: Overview, lane: Lane) -> Deferred:
    """Return why updates of a lane wait."""
    order_keys = cast("list[bytes]", await redis.zrange(keys.deferred(lane), 0, MAX_LOOKED_AT - 1))
    pipeline = redis.pipeline(transaction=False)
    pipeline.scard(keys.begun(lane))
    pipeline.hget(keys.crashes(lane), "left")
    for order_key in order_keys:
        pipeline.lindex(keys.deferred_updates(lane, order_key.decode()), 0)
    begun, left, *found = await pipeline.execute()
    updates = [msgspec.json.decode(update) for update in found if update is not None]
    since = overview.now - REFUSED_MS
    refused = {
        update["vendor_uid"]: update["reason"]
        for update in updates
        if update.get("attempts") and (update["attempts"] > 1 or update["received_at"] < since)
    }
    reasons = Counter(update.get("reason") or "behind an earlier one" for update in updates)
    oldest = min((update["received_at"] for update in updates), default=overview.now)
    # The last one that has begun may be under way. Its lease would tell, but was read before this:
    # if it has died, the next one says so, which begins as soon as the lease is free.
    deaths = max(0, int(begun) - 1)
    return Deferred(
        reasons=dict(reasons.most_common()),
        refused=refused,
        oldest_s=max(0, overview.now - oldest) / 1000,
        deaths=deaths,
        one_by_one=int(left or 0),
    )
