"""The sidecar's state as Redis has it, read without changing anything."""

from collections import Counter
from dataclasses import dataclass
from typing import Any, cast

from contracts.jobs import Lane
from sidecar.inbox.partitions import Partition, drain_leases
from sidecar.metrics import Series
from sidecar.ops.accounting import Accounting, Counters
from sidecar.ops.processes import Process, holder_of, read_processes
from sidecar.redis import keys
from sidecar.redis.client import Redis, script
from sidecar.sending.epoch import NEW, Epoch

#: Vendors of a lane that are inspected to find the oldest webhook.
MAX_HEADS = 200

#: A replica says every second how far it is. One that has not for longer does not keep up.
REPLICA_LAG_S = 2


@dataclass(frozen=True, slots=True)
class RedisState:
    """``limit_bytes`` is 0 for no limit. ``durable``: the append-only file is on; ``writes_ok``:
    the last write to it succeeded. ``replicas``: how many keep up."""

    version: str
    used_bytes: int
    limit_bytes: int
    evicts: bool
    durable: bool
    writes_ok: bool
    replicas: int = 0

    @property
    def used_share(self) -> float:
        return self.used_bytes / self.limit_bytes if self.limit_bytes else 0.0


@dataclass(frozen=True, slots=True)
class LaneState:
    """``webhooks`` of ``vendors`` wait in the inbox, the oldest for ``oldest_s``. Updates wait for
    a retry under ``deferred`` order keys (contacts, or messages for statuses); ``due`` of these are
    due now, and the first in ``next_due_in_s`` (below 0: it is overdue)."""

    lane: Lane
    webhooks: int
    vendors: int
    oldest_s: float
    held_s: float | None
    holder: str | None
    deferred: int
    due: int
    next_due_in_s: float | None


@dataclass(frozen=True, slots=True)
class Overview:
    """``now`` is Redis's clock, unix ms. ``backend_ok_s``: how long ago PHP last took updates;
    None: never. ``reconciler``: one runs, which finds work whose wake-up was lost. ``paused``
    counts what a person must resume, by scope. ``metrics`` are those of all processes together."""

    now: int
    redis: RedisState
    lanes: dict[Lane, LaneState]
    dead_letters: int
    oldest_dead_letter_s: float
    backend_ok_s: float | None
    reconciler: bool
    paused: dict[str, int]
    campaigns: dict[str, str]
    ledgers: dict[str, str]
    accounting: list[Accounting]
    processes: list[Process]
    metrics: dict[Series, float]
    epoch: Epoch = NEW

    @property
    def alive(self) -> list[Process]:
        return [process for process in self.processes if process.alive]

    @property
    def breakers(self) -> dict[str, str]:
        """Return why PHP did not take the last updates, by lane."""
        return {lane: why for process in self.alive for lane, why in process.breakers.items()}

    @property
    def isolated(self) -> dict[tuple[str, str], str]:
        """Return why PHP fails or hangs on single vendors' updates, by lane and vendor."""
        return {
            (lane, vendor_uid): why
            for process in self.alive
            for lane, vendors in process.isolated.items()
            for vendor_uid, why in vendors.items()
        }

    def isolated_since(self, lane: Lane, vendor_uid: str) -> int | None:
        """Return since when a vendor is isolated, unix ms."""
        found = [process.isolated_since.get(lane, {}).get(vendor_uid) for process in self.alive]
        return min((since for since in found if since is not None), default=None)

    def holder(self, lease: str) -> str | None:
        """Return the name of the live process that holds a lease."""
        return holder_of(self.processes, lease)


class Observer:
    """Reads the overview. Writes nothing."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._counters = Counters(redis)
        self._heads = script(redis, "inbox/oldest_entry")

    async def read(self) -> Overview:
        """Return the current state. Raises redis-py's errors if Redis is unavailable."""
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.info("server", "memory", "persistence", "replication")
        pipeline.time()
        pipeline.get(keys.BACKEND_OK)
        pipeline.exists(keys.lease("reconciler"))
        pipeline.hkeys(keys.PAUSES)
        for name in (keys.CAMPAIGNS, keys.LEDGERS, keys.METRICS, keys.EPOCH):
            pipeline.hgetall(name)
        info, time, ok, reconciler, pauses, *hashes = await pipeline.execute()
        campaigns, ledgers = ({k.decode(): v.decode() for k, v in h.items()} for h in hashes[:2])
        now = time[0] * 1000 + time[1] // 1000
        processes = await read_processes(self._redis)
        accounting = await self._counters.read()
        given_up = [one.letters.given_up_at for one in accounting if one.letters.given_up_at]
        return Overview(
            now=now,
            redis=_redis_state(info),
            lanes={lane: await self._lane(lane, now, accounting, processes) for lane in Lane},
            dead_letters=sum(one.letters.number for one in accounting),
            oldest_dead_letter_s=max(0, now - min(given_up)) / 1000 if given_up else 0.0,
            backend_ok_s=None if ok is None else max(0, now - int(ok)) / 1000,
            reconciler=bool(reconciler),
            paused=Counter(name.partition(b":")[0].decode() for name in pauses),
            campaigns=campaigns,
            ledgers=ledgers,
            accounting=accounting,
            processes=processes,
            metrics={Series.load(name): float(value) for name, value in hashes[2].items()},
            epoch=Epoch.load(info, hashes[3]),
        )

    async def _lane(
        self, lane: Lane, now: int, accounting: list[Accounting], processes: list[Process]
    ) -> LaneState:
        vendors, head, _ = cast(
            "tuple[int, bytes, int]",
            await self._heads(
                keys=[keys.ready(lane), keys.waiting(lane)],
                args=[keys.inbox(lane, ""), MAX_HEADS, *Partition().words],
            ),
        )
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.zcard(keys.deferred(lane))
        pipeline.zcount(keys.deferred(lane), 0, now)
        pipeline.zrange(keys.deferred(lane), 0, 0, withscores=True)
        leases = drain_leases(lane)
        pipeline.mget(map(keys.lease, leases))
        deferred, due, first, tokens = await pipeline.execute()
        began = min((int(token) for token in tokens if token is not None), default=None)
        holders = dict.fromkeys(holder_of(processes, lease) for lease in leases)
        return LaneState(
            lane=lane,
            webhooks=sum(one.waiting[lane] for one in accounting),
            vendors=vendors,
            oldest_s=max(0, now - int(head.partition(b"-")[0])) / 1000 if head else 0.0,
            held_s=None if began is None else max(0, now - began) / 1000,
            holder=", ".join(name for name in holders if name) or None,
            deferred=deferred,
            due=due,
            next_due_in_s=(first[0][1] - now) / 1000 if first else None,
        )


def _redis_state(info: dict[str, Any]) -> RedisState:
    return RedisState(
        version=str(info.get("valkey_version") or info.get("redis_version")),
        used_bytes=info["used_memory"],
        limit_bytes=info.get("maxmemory", 0),
        evicts=info.get("maxmemory_policy") != "noeviction",
        durable=bool(info.get("aof_enabled")),
        writes_ok=info.get("aof_last_write_status", "ok") == "ok",
        replicas=sum(
            isinstance(one, dict) and one["state"] == "online" and one["lag"] <= REPLICA_LAG_S
            for name, one in info.items()
            if name.startswith("slave")
        ),
    )
