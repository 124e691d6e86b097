"""How things were: the last hour by the minute, and the last day by ten minutes.

Each series is a string of fixed length in Redis (``history:{series}``, some 2.4 kB): two rings of
slots, in which the time that a slot is of stands beside its value. So a slot that was not written
is a gap, and never a zero or an old value. The reconciler, which is one in an installation, writes
them once a minute, together with what had been counted by then, so that whoever is the reconciler
next goes on. A time in which nobody counted for long has no rates, for nobody knows when it was.
"""

import struct
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import orjson

from contracts.jobs import Lane
from sidecar.inbox.partitions import Partition
from sidecar.logs import LogOnce
from sidecar.metrics import Series
from sidecar.ops.rates import Counts, Rate, count, grown, handover_s, rates
from sidecar.redis import keys
from sidecar.redis.client import Hash, Redis, ResponseError, reason_of, script

#: Names of series that are no rates: webhooks that wait in the inbox, and for how many seconds the
#: oldest has.
INBOX = "inbox"
INBOX_AGE = "inbox_age"
GAUGES = (INBOX, INBOX_AGE)
_SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def handover(lane: Lane, percentile: str) -> str:
    """Return the name of the series that says within how many seconds PHP had p50, p95 or p99 of a
    lane's updates."""
    return f"handover_{lane}_{percentile}"


HANDOVERS = {
    handover(lane, name): (lane, share) for lane in Lane for name, share in _SHARES.items()
}
#: All series.
SERIES = (*Rate, *GAUGES, *HANDOVERS)

#: Vendors of a lane that are looked at for the oldest webhook.
MAX_HEADS = 50


@dataclass(frozen=True, slots=True)
class Ring:
    """``slots`` values, one each ``step_s`` seconds; the first of its slots is that of number
    ``first`` of the series."""

    step_s: int
    slots: int
    first: int

    def place(self, number: int) -> int:
        """Return where in the string the value of the ``number``-th step since 1970 stands."""
        return (self.first + number % self.slots) * _SLOT.size


_SLOT = struct.Struct(">Id")
HOUR = Ring(60, 60, 0)
DAY = Ring(600, 144, 60)
RINGS = (HOUR, DAY)


@dataclass(frozen=True, slots=True)
class Point:
    """``value`` of the time that ended at ``at_ms`` (unix ms); None: nobody knows."""

    at_ms: int
    value: float | None


@dataclass(frozen=True, slots=True)
class Past:
    """One series: ``hour`` has a point for each minute, ``day`` one for each ten minutes; the
    oldest come first, and all of them are there."""

    hour: list[Point]
    day: list[Point]


class History:
    """Reads it: two commands, however many series."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def read(self, series: Iterable[str] = SERIES) -> dict[str, Past]:
        """Return these series by name. Raises redis-py's errors."""
        names = list(series)
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.time()
        pipeline.mget(map(keys.history, names))
        (now_s, _), found = cast(
            "tuple[tuple[int, int], list[bytes | None]]", tuple(await pipeline.execute())
        )
        return {
            name: Past(*(_points(ring, data or b"", now_s) for ring in RINGS))
            for name, data in zip(names, found, strict=True)
        }


class HistoryWriter:
    """Belongs to the reconciler, which calls it often: it does something once a minute."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._heads = script(redis, "inbox/oldest_entry")
        self._due_at = 0.0
        self._trouble = LogOnce("history.not_written")

    async def run(self) -> None:
        """Write what is due. Raises what redis-py raises while Redis is away."""
        if time.monotonic() < self._due_at:
            return
        try:
            await self._write()
        except ResponseError as error:
            self._due_at = time.monotonic() + HOUR.step_s
            self._trouble.failed(reason_of(error))
        else:
            self._trouble.worked()

    async def _write(self) -> None:
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.time()
        pipeline.hgetall(keys.METRICS)
        pipeline.hgetall(keys.HISTORY_COUNTS)
        pipeline.mget(map(keys.history, GAUGES))
        for lane in Lane:
            pipeline.hvals(keys.waiting(lane))
        (seconds, micros), metrics, before, past, *waiting = await pipeline.execute()
        now_s = seconds + micros / 1e6
        self._due_at = time.monotonic() + HOUR.step_s - now_s % HOUR.step_s
        snapshots = {int(step): orjson.loads(snapshot) for step, snapshot in before.items()}
        due = [ring for ring in RINGS if _is_due(ring, snapshots.get(ring.step_s), now_s)]
        if not due:
            return
        counts = _counts(metrics)
        depth = float(sum(int(number) for numbers in waiting for number in numbers))
        gauges = {INBOX: depth, INBOX_AGE: await self._oldest_s(now_s) if depth else 0.0}
        values = {
            ring: {**_peaks(ring, gauges, past, now_s), **_since(ring, snapshots, counts, now_s)}
            for ring in due
        }
        await self._store(values, counts, now_s)

    async def _store(
        self, values: Mapping[Ring, Mapping[str, float]], counts: Counts, now_s: float
    ) -> None:
        """Write points, and what was counted by then, in one transaction."""
        snapshot = orjson.dumps({"at_s": now_s, "counts": counts})
        pipeline = self._redis.pipeline(transaction=True)
        for ring, points in values.items():
            number = int(now_s // ring.step_s)
            for name, value in points.items():
                slot = _SLOT.pack(number, value)
                pipeline.setrange(keys.history(name), ring.place(number), cast(str, slot))
            pipeline.hset(keys.HISTORY_COUNTS, str(ring.step_s), cast(str, snapshot))
        await pipeline.execute()

    async def _oldest_s(self, now_s: float) -> float:
        """Return for how long the oldest webhook has waited."""
        ages = [0.0]
        for lane in Lane:
            _, head, _ = await self._heads(
                keys=[keys.ready(lane), keys.waiting(lane)],
                args=[keys.inbox(lane, ""), MAX_HEADS, *Partition().words],
            )
            if head:
                ages.append(now_s - int(head.partition(b"-")[0]) / 1000)
        return max(ages)


def _counts(metrics: Hash) -> Counts:
    return count({Series.load(name): float(value) for name, value in metrics.items()})


def _is_due(ring: Ring, snapshot: Any, now_s: float) -> bool:
    """Tell whether a step has begun since; also if the clock was set back."""
    return snapshot is None or now_s // ring.step_s != snapshot["at_s"] // ring.step_s


def _since(
    ring: Ring, snapshots: Mapping[int, Any], counts: Counts, now_s: float
) -> dict[str, float]:
    """Return what happened in the step that is over; nothing if that was not about a step ago."""
    snapshot = snapshots.get(ring.step_s)
    if snapshot is None:
        return {}
    seconds = now_s - snapshot["at_s"]
    if 0 <= seconds < ring.step_s and not any(snapshot["counts"].values()):
        seconds = ring.step_s  # nothing had ever been counted: the step has no other part
    if not 0.5 * ring.step_s <= seconds <= 1.5 * ring.step_s:
        return {}
    more = grown(snapshot["counts"], counts)
    found: dict[str, float] = {name.value: value for name, value in rates(more, seconds).items()}
    for name, (lane, share) in HANDOVERS.items():
        if (value := handover_s(more, lane, share)) is not None:
            found[name] = value
    return found


def _peaks(
    ring: Ring, gauges: Mapping[str, float], past: list[bytes | None], now_s: float
) -> dict[str, float]:
    """Return the highest of what was measured in the step that is over, by the minute."""
    before = ring.step_s // HOUR.step_s - 1
    found = dict(gauges)
    for name, data in zip(GAUGES, past, strict=True):
        points = _points(HOUR, data or b"", now_s)
        values = [point.value or 0.0 for point in points[HOUR.slots - before :]]
        found[name] = max(found[name], *values, 0.0)
    return found


def _points(ring: Ring, data: bytes, now_s: float) -> list[Point]:
    """Return all points of a ring up to now, or up to a step ago if this one's is not there yet."""
    last = int(now_s // ring.step_s)
    known: dict[int, float] = {}
    start = ring.place(0)
    end = min(len(data) + 1 - _SLOT.size, start + ring.slots * _SLOT.size)
    for place in range(start, end, _SLOT.size):
        number, value = _SLOT.unpack_from(data, place)
        known[number] = value
    if last not in known:
        last -= 1
    return [
        Point(number * ring.step_s * 1000, known.get(number))
        for number in range(last - ring.slots + 1, last + 1)
    ]
