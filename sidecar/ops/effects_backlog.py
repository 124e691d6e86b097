"""Effects that wait, and why."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec

from contracts.effects import EffectKind
from sidecar.redis import keys
from sidecar.redis.client import Members, Redis

#: Vendors of a kind that are inspected, and effects of each, those that are due first.
MAX_VENDORS = 200
MAX_EFFECTS = 5
#: An effect that has failed so often, or once and came so long ago, is no mishap of a moment.
FAILED_OFTEN = 2
FAILED_MS = 5000


@dataclass(frozen=True, slots=True)
class WaitingEffects:
    """Effects of one kind: how many wait, for how many vendors, and how many are ``due``, the first
    of them for ``overdue_s``. ``reasons`` says why the first one of each inspected vendor has
    failed so far, with counts; ``failing`` why one of the first fails again and again, by
    vendor."""

    kind: EffectKind
    waiting: int
    vendors: int
    due: int
    overdue_s: float
    reasons: dict[str, int]
    failing: dict[str, str] = field(default_factory=dict)


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
        pipeline.zrange(outbox, 0, MAX_EFFECTS - 1, withscores=True)
    answers = await pipeline.execute()
    counts, dues, firsts = answers[::3], answers[1::3], answers[2::3]
    first_due = min((first[0][1] for first in firsts if first), default=now)
    known = {vendor: first for vendor, first in zip(vendors, firsts, strict=False) if first}
    for vendor_uid, first in known.items():
        pipeline.hmget(keys.effects(kind, vendor_uid), [effect_id for effect_id, _ in first])
    bodies = {
        vendor_uid: [{} if body is None else msgspec.json.decode(body) for body in found]
        for vendor_uid, found in zip(known, await pipeline.execute(), strict=True)
    }
    reasons = Counter(first["reason"] for first, *_ in bodies.values() if first.get("reason"))
    failing = {
        vendor_uid: next((body["reason"] for body in found if _fails(body, now)), None)
        for vendor_uid, found in bodies.items()
    }
    return WaitingEffects(
        kind=kind,
        waiting=sum(counts),
        vendors=len(vendors),
        due=sum(dues),
        overdue_s=max(0.0, (now - first_due) / 1000),
        reasons=dict(reasons.most_common()),
        failing={vendor_uid: reason for vendor_uid, reason in failing.items() if reason},
    )


def _fails(body: dict[str, Any], now: int) -> bool:
    attempts, reason = body.get("attempts", 0), body.get("reason")
    if not (attempts and reason):
        return False
    return bool(attempts >= FAILED_OFTEN or body.get("put_at", now) < now - FAILED_MS)
