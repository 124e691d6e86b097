"""Effects that wait, and why."""

from collections import Counter
from dataclasses import dataclass
from typing import cast

import msgspec

from contracts.effects import EffectKind
from sidecar.redis import keys
from sidecar.redis.client import Members, Redis

#: Vendors of a kind that are inspected.
MAX_VENDORS = 200


@dataclass(frozen=True, slots=True)
class WaitingEffects:
    """Effects of one kind: how many wait, for how many vendors, and how many are ``due``, the first
    of them for ``overdue_s``. ``reasons`` says why the first one of each inspected vendor has
    failed so far, with counts."""

    kind: EffectKind
    waiting: int
    vendors: int
    due: int
    overdue_s: float
    reasons: dict[str, int]


async def read_effects(redis: Redis, now: int) -> list[WaitingEffects]:
    """Return what waits, for every kind."""
    return [await _read(redis, kind, now) for kind in EffectKind]


async def _read(redis: Redis, kind: EffectKind, now: int) -> WaitingEffects:
    members = cast(Members, await redis.smembers(keys.outbox(kind)))
    vendors = sorted(member.decode() for member in members)
    pipeline = redis.pipeline(transaction=False)
    for vendor_uid in vendors[:MAX_VENDORS]:
        outbox = keys.outbox_of(kind, vendor_uid)
        pipeline.zcard(outbox)
        pipeline.zcount(outbox, 0, now)
        pipeline.zrange(outbox, 0, 0, withscores=True)
    answers = await pipeline.execute()
    counts, dues, firsts = answers[::3], answers[1::3], answers[2::3]
    first_due = min((first[0][1] for first in firsts if first), default=now)
    for vendor_uid, first in zip(vendors, firsts, strict=False):
        if first:
            pipeline.hget(keys.effects(kind, vendor_uid), first[0][0])
    bodies = [msgspec.json.decode(body) for body in await pipeline.execute() if body is not None]
    reasons = Counter(body["reason"] for body in bodies if body.get("reason"))
    return WaitingEffects(
        kind=kind,
        waiting=sum(counts),
        vendors=len(vendors),
        due=sum(dues),
        overdue_s=max(0.0, (now - first_due) / 1000),
        reasons=dict(reasons.most_common()),
    )
