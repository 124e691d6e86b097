"""Work that waits, and why: listed campaigns, and updates that wait for a retry."""

from collections import Counter
from dataclasses import dataclass
from typing import Any, cast

import msgspec

from contracts.backend import UpdateKind
from contracts.campaigns import CampaignState
from contracts.jobs import Lane
from sidecar.effects.outbox import vendor_of_replies
from sidecar.inbox.partitions import MAX_PARTITIONS
from sidecar.ops.processes import Process, holder_of, read_processes
from sidecar.ops.snapshot import Overview
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.sending.campaigns import campaign_lease
from sidecar.sending.halts import Halt
from sidecar.sending.row_states import RowState

#: A refusal of an update that has waited for longer than this is not transient.
REFUSED_MS = 3000

#: Order keys of a lane whose first update is inspected, and those that they are chosen from: each
#: vendor has its turn, so that one with thousands hides nobody.
MAX_LOOKED_AT = 100
MAX_ORDER_KEYS = 5000


@dataclass(frozen=True, slots=True)
class CampaignWork:
    """What Redis knows about a campaign. ``listed``: it is to be sent. ``waits`` says why it can
    send nothing now, and ``waits_s``, if that is for long, for how long yet; then it is looked
    whether it can. The rows in its ledger are ``claimed``, ``sending``, or ``known`` and not yet
    reported to PHP."""

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
    waits_s: float = 0.0

    @property
    def state(self) -> str:
        if self.halt is not None:
            return self.halt.state.value
        return CampaignState.RUNNING.value if self.listed else "settling"

    @property
    def in_flight(self) -> int:
        return self.claimed + self.sending + self.known


@dataclass(frozen=True, slots=True)
class Listed:
    """Of :class:`sidecar.ops.snapshot.Overview` what campaigns need; read at a fraction of the
    cost."""

    now: int
    campaigns: dict[str, str]
    ledgers: dict[str, str]
    processes: list[Process]


async def read_listed(redis: Redis) -> Listed:
    pipeline = redis.pipeline(transaction=False)
    pipeline.time()
    for name in (keys.CAMPAIGNS, keys.LEDGERS):
        pipeline.hgetall(name)
    time, *hashes = await pipeline.execute()
    campaigns, ledgers = ({k.decode(): v.decode() for k, v in h.items()} for h in hashes)
    now = time[0] * 1000 + time[1] // 1000
    return Listed(now, campaigns, ledgers, await read_processes(redis))


async def read_campaigns(redis: Redis, listed: Overview | Listed) -> list[CampaignWork]:
    """Return the campaigns that are listed, halted, or have something in their ledger."""
    halted = [
        key.decode().removeprefix(keys.halt(""))
        async for key in redis.scan_iter(match=keys.halt("*"), count=5000)
    ]
    found = {*listed.campaigns, *listed.ledgers, *halted}
    uids = sorted(uid for uid in found if vendor_of_replies(uid) is None)
    return await _read(redis, listed, uids)


async def read_campaign(redis: Redis, listed: Listed, uid: str) -> CampaignWork | None:
    """Return what Redis knows about one campaign, None if nothing; without looking for others."""
    [one] = await _read(redis, listed, [uid])
    known = one.listed or one.halt or uid in listed.ledgers
    return one if known else None


async def _read(redis: Redis, listed: Overview | Listed, uids: list[str]) -> list[CampaignWork]:
    pipeline = redis.pipeline(transaction=False)
    for uid in uids:
        pipeline.get(keys.halt(uid))
        pipeline.mget(keys.wait(uid), keys.blocked(uid))
        pipeline.pttl(keys.wait(uid))
        pipeline.get(keys.lease(campaign_lease(uid)))
        pipeline.hvals(keys.ledger(uid))
    answers = await pipeline.execute() if uids else []
    return [
        _campaign(listed, uid, *answers[5 * number : 5 * number + 5])
        for number, uid in enumerate(uids)
    ]


def _campaign(
    listed: Overview | Listed,
    uid: str,
    halt: bytes | None,
    reasons: list[bytes | None],
    waits_ms: int,
    token: bytes | None,
    rows: list[bytes],
) -> CampaignWork:
    states = Counter(row[:1] for row in rows)
    waits = next((reason for reason in reasons if reason is not None), None)
    return CampaignWork(
        uid=uid,
        vendor_uid=listed.campaigns.get(uid) or listed.ledgers.get(uid),
        listed=uid in listed.campaigns,
        halt=None if halt is None else Halt.load(halt),
        waits=None if waits is None else waits.decode(errors="replace"),
        waits_s=max(0, waits_ms) / 1000,
        held_s=None if token is None else max(0, listed.now - int(token)) / 1000,
        holder=holder_of(listed.processes, campaign_lease(uid)),
        claimed=states[RowState.CLAIMED.letter],
        sending=states[RowState.SENDING.letter],
        known=states[RowState.KNOWN.letter],
    )


async def read_waits(redis: Redis, overview: Overview) -> list[float]:
    """Return for how many seconds listed campaigns will send nothing yet."""
    pipeline = redis.pipeline(transaction=False)
    for uid in overview.campaigns:
        pipeline.pttl(keys.wait(uid))
    return [left / 1000 for left in (await pipeline.execute() if overview.campaigns else [])]


@dataclass(frozen=True, slots=True)
class Deferred:
    """What waits for a retry in a lane: the reasons, by how many of the inspected updates, and how
    long ago the oldest arrived. Workers have died ``deaths`` times in a row on the lane's work, of
    which ``one_by_one`` units are now taken one by one. ``refused``: vendors with an update that
    PHP has refused more than once, or that has waited for a while, with the last reason; statuses
    that may be earlier than the result of their send are not refused."""

    reasons: dict[str, int]
    refused: dict[str, str]
    oldest_s: float
    deaths: int
    one_by_one: int


async def read_deferred(redis: Redis, overview: Overview, lane: Lane) -> Deferred:
    """Return why updates of a lane wait."""
    found = cast("list[bytes]", await redis.zrange(keys.deferred(lane), 0, MAX_ORDER_KEYS - 1))
    order_keys = _in_turns(found)[:MAX_LOOKED_AT]
    pipeline = redis.pipeline(transaction=False)
    for partition in range(MAX_PARTITIONS):
        pipeline.scard(keys.begun(lane, partition))
        pipeline.hget(keys.crashes(lane, partition), "left")
    for order_key in order_keys:
        pipeline.lindex(keys.deferred_updates(lane, order_key.decode()), 0)
    answers = await pipeline.execute()
    drains, first = answers[: 2 * MAX_PARTITIONS], answers[2 * MAX_PARTITIONS :]
    updates = [msgspec.json.decode(update) for update in first if update is not None]
    since = overview.now - REFUSED_MS
    refused = {
        update["vendor_uid"]: update["reason"]
        for update in updates
        if update.get("attempts")
        and (update["attempts"] > 1 or update["received_at"] < since)
        and not _is_early(update)
    }
    reasons = Counter(update.get("reason") or "behind an earlier one" for update in updates)
    oldest = min((update["received_at"] for update in updates), default=overview.now)
    # Of each partition the last one that began may still run. Its lease would tell, but was read
    # before this; if it has died, the next one says so, which begins as soon as the lease is free.
    deaths = max(max(0, int(begun) - 1) for begun in drains[::2])
    return Deferred(
        reasons=dict(reasons.most_common()),
        refused=refused,
        oldest_s=max(0, overview.now - oldest) / 1000,
        deaths=deaths,
        one_by_one=sum(int(left or 0) for left in drains[1::2]),
    )


def _is_early(update: dict[str, Any]) -> bool:
    """Return whether it is a status that waits for its message, and is ignored if that never
    comes: another application with the same number sends messages, too."""
    return update.get("kind") == UpdateKind.STATUS and update.get("reason") == "message_unknown"


def _in_turns(order_keys: list[bytes]) -> list[bytes]:
    """Return order keys so that the first of each vendor come first, then the second."""
    seen: Counter[bytes] = Counter()
    turns: list[tuple[int, bytes]] = []
    for order_key in order_keys:
        vendor = order_key.partition(b"/")[0]
        turns.append((seen[vendor], order_key))
        seen[vendor] += 1
    return [order_key for _, order_key in sorted(turns, key=lambda turn: turn[0])]
