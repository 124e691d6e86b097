"""The overview's figures: what waits now, and what happens per second while somebody looks.

They are read every other second, so only what costs the same however many vendors there are; the
rest of the overview is the report's (``sidecar/ops/report.py``).
"""

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from contracts.jobs import Lane
from sidecar.inbox.partitions import Partition
from sidecar.metrics import Series
from sidecar.ops.history import History, Past, handover
from sidecar.ops.rates import Counts, Rate, count, grown, handover_s, rates
from sidecar.ops.snapshot import MAX_HEADS
from sidecar.redis import keys
from sidecar.redis.client import Redis, script

PERCENTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}

#: Rates are of the last so many seconds; processes publish what they count once a second.
WINDOW_S = 10.0
_MIN_S = 2.0


@dataclass(frozen=True, slots=True)
class Waiting:
    """``webhooks`` wait in the inbox, the oldest for ``oldest_s``; updates wait for a retry of
    ``retries`` contacts, or messages for statuses."""

    webhooks: int
    oldest_s: float
    retries: int


@dataclass(frozen=True, slots=True)
class Figures:
    """``totals`` are counts since the beginning, ``rates`` per second, ``handover`` seconds from
    receipt to PHP, by lane and percentile; None: nobody knows, or there were none. ``of`` says of
    which time rates and percentiles are."""

    inbox: dict[Lane, Waiting]
    totals: Counts
    rates: dict[Rate, float | None]
    handover: dict[Lane, dict[str, float | None]]
    of: str


class FigureReader:
    """Reads them for all who look. Raises redis-py's errors."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._heads = script(redis, "inbox/oldest_entry")
        self._history = History(redis)
        self._seen: deque[tuple[float, Counts]] = deque()

    async def read(self) -> Figures:
        """Return the figures. Rates are of the time since somebody looked, if that is short; else
        they are the history's last."""
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.time()
        pipeline.hgetall(keys.METRICS)
        for lane in Lane:
            pipeline.hvals(keys.waiting(lane))
            pipeline.zcard(keys.deferred(lane))
        (seconds, micros), metrics, *waiting = await pipeline.execute()
        lanes = zip(Lane, waiting[::2], waiting[1::2], strict=True)
        counts = count({Series.load(name): float(value) for name, value in metrics.items()})
        inbox = {
            lane: await self._lane(lane, webhooks, retries, seconds + micros / 1e6)
            for lane, webhooks, retries in lanes
        }
        now = time.monotonic()
        before = self._before(now)
        self._seen.append((now, counts))
        if before is None:
            return _from_history(inbox, counts, await self._history.read())
        passed, more = now - before[0], grown(before[1], counts)
        return Figures(
            inbox=inbox,
            totals=counts,
            rates=dict(rates(more, passed)),
            handover={
                lane: {name: handover_s(more, lane, share) for name, share in PERCENTILES.items()}
                for lane in Lane
            },
            of=f"the last {passed:.0f} s",
        )

    async def _lane(self, lane: Lane, numbers: list[bytes], retries: int, now_s: float) -> Waiting:
        webhooks = sum(map(int, numbers))
        if not webhooks:
            return Waiting(0, 0.0, retries)
        _, head, _ = await self._heads(
            keys=[keys.ready(lane), keys.waiting(lane)],
            args=[keys.inbox(lane, ""), MAX_HEADS, *Partition().words],
        )
        since_s = int(head.partition(b"-")[0]) / 1000 if head else now_s
        return Waiting(webhooks, max(0.0, now_s - since_s), retries)

    def _before(self, now: float) -> tuple[float, Counts] | None:
        """Return what was counted some seconds ago."""
        while self._seen and now - self._seen[0][0] > WINDOW_S + _MIN_S:
            self._seen.popleft()
        if self._seen and now - self._seen[0][0] >= _MIN_S:
            return self._seen[0]
        return None


def _from_history(inbox: dict[Lane, Waiting], counts: Counts, past: Mapping[str, Past]) -> Figures:
    def last(name: str) -> float | None:
        return past[name].hour[-1].value

    return Figures(
        inbox=inbox,
        totals=counts,
        rates={rate: last(rate) for rate in Rate},
        handover={
            lane: {name: last(handover(lane, name)) for name in PERCENTILES} for lane in Lane
        },
        of="the last full minute",
    )
