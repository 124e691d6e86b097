"""Which processes of the sidecar run, and which have died without signing off."""

from dataclasses import dataclass, field
from typing import Any, cast

import orjson

from sidecar.ops.publisher import BEAT_S, KEEP_MS
from sidecar.redis import keys
from sidecar.redis.client import Members, Redis

#: A process without a heartbeat for this long is dead, or cut off from Redis.
SILENT_S = 4 * BEAT_S

#: How far Redis's clock may be set back before heartbeats are ignored.
SET_BACK_MS = 5000


@dataclass(frozen=True, slots=True)
class Process:
    """``role`` is serve or worker, ``queues`` are a worker's; it is ``partitioned`` if it heeds
    partitions of a lane, as older versions do not. ``leases`` are the names of those it holds,
    ``breakers`` says why PHP did not take the last updates, by lane, ``isolated`` why PHP fails or
    hangs on single vendors' updates, by lane and vendor, ``isolated_since`` since when.
    ``php_failures`` says why PHP fails on all calls of an endpoint, and ``wakeups`` why no worker
    can be woken; ``replicas`` says why too few have what it writes, and ``ai_failures`` why AIs
    fail on all questions, by vendor. ``in_vain`` are the campaigns for which workers are woken and
    which nobody sends, with seconds. ``unasked`` says how many ``messages`` stand pending in PHP's
    log and are sent by nobody, and since when (``oldest_at``; 0: it is not known). ``sends`` is how
    the sends of the last minutes went (:class:`sidecar.ops.sends.RecentSends`), ``slow`` how many
    seconds the Cloud API takes to answer for a number, where that is long. ``php_away``: nothing of
    PHP's works for it. ``clock`` is what its clock said with its last heartbeat; 0: it said
    nothing. Times are unix ms."""

    id: str
    role: str
    host: str
    pid: int
    since: int
    heartbeat_age_s: float
    memory_bytes: int = 0
    cpu_s: float = 0.0
    queues: list[str] = field(default_factory=list)
    partitioned: bool = False
    leases: list[str] = field(default_factory=list)
    breakers: dict[str, str] = field(default_factory=dict)
    isolated: dict[str, dict[str, str]] = field(default_factory=dict)
    isolated_since: dict[str, dict[str, int]] = field(default_factory=dict)
    php_failures: dict[str, str] = field(default_factory=dict)
    wakeups: str | None = None
    replicas: str | None = None
    ai_failures: dict[str, str] = field(default_factory=dict)
    in_vain: dict[str, float] = field(default_factory=dict)
    unasked: dict[str, int] = field(default_factory=dict)
    sends: list[dict[str, Any]] = field(default_factory=list)
    slow: dict[str, float] = field(default_factory=dict)
    php_away: bool = False
    clock: int = 0
    version: str = ""

    @property
    def alive(self) -> bool:
        return self.heartbeat_age_s < SILENT_S

    def ahead_s(self, now: int) -> float:
        """Return by how much its clock is ahead of Redis's, which says ``now``."""
        return (self.clock - now) / 1000 + self.heartbeat_age_s if self.clock else 0.0

    @property
    def name(self) -> str:
        return f"{self.host}:{self.pid}"


def holder_of(processes: list[Process], lease: str) -> str | None:
    """Return the name of the live process that holds a lease."""
    return next((p.name for p in processes if p.alive and lease in p.leases), None)


async def read_processes(redis: Redis) -> list[Process]:
    """Return the processes that have not signed off, the oldest first."""
    ids = sorted(member.decode() for member in cast(Members, await redis.smembers(keys.PROCESSES)))
    pipeline = redis.pipeline(transaction=False)
    for process_id in ids:
        pipeline.get(keys.process(process_id))
        pipeline.pttl(keys.process(process_id))
    answers = await pipeline.execute() if ids else []
    found = [
        _process(process_id, state, left_ms)
        for process_id, state, left_ms in zip(ids, answers[::2], answers[1::2], strict=True)
        if state is not None
    ]
    return sorted(found, key=lambda process: process.since)


def _process(process_id: str, state: bytes, left_ms: int) -> Process:
    values: dict[str, Any] = orjson.loads(state)
    names = Process.__slots__  # what a later version says is no concern of this one
    known = {name: value for name, value in values.items() if name in names}
    heartbeat_age_ms = KEEP_MS - left_ms
    if heartbeat_age_ms < -SET_BACK_MS:
        heartbeat_age_ms = KEEP_MS  # before Redis's clock was set back; whoever lives says so soon
    return Process(id=process_id, heartbeat_age_s=max(0, heartbeat_age_ms) / 1000, **known)
