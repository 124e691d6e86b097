"""The overview's figures: what is, and what happens per second while somebody looks."""

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from contracts.jobs import Lane
from sidecar.ops.history import History, Past, handover
from sidecar.ops.rates import Counts, Rate, count, grown, handover_s, rates
from sidecar.ops.snapshot import Observer, Overview
from sidecar.redis.client import Redis

PERCENTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}

#: Rates are of the last so many seconds; processes publish what they count once a second.
WINDOW_S = 10.0
_MIN_S = 2.0


@dataclass(frozen=True, slots=True)
class Figures:
    """``totals`` are counts since the beginning, ``rates`` per second, ``handover`` seconds from
    receipt to PHP, by lane and percentile; None: nobody knows, or there were none. ``of`` says of
    which time rates and percentiles are."""

    overview: Overview
    totals: Counts
    rates: dict[Rate, float | None]
    handover: dict[Lane, dict[str, float | None]]
    of: str


class FigureReader:
    """Reads them for all who look. Raises redis-py's errors."""

    def __init__(self, redis: Redis) -> None:
        self._observer = Observer(redis)
        self._history = History(redis)
        self._seen: deque[tuple[float, Counts]] = deque()

    async def read(self) -> Figures:
        """Return the figures. Rates are of the time since somebody looked, if that is short; else
        they are the history's last."""
        overview = await self._observer.read()
        now, counts = time.monotonic(), count(overview.metrics)
        before = self._before(now)
        self._seen.append((now, counts))
        if before is None:
            return _from_history(overview, counts, await self._history.read())
        seconds, more = now - before[0], grown(before[1], counts)
        return Figures(
            overview=overview,
            totals=counts,
            rates=dict(rates(more, seconds)),
            handover={
                lane: {name: handover_s(more, lane, share) for name, share in PERCENTILES.items()}
                for lane in Lane
            },
            of=f"the last {seconds:.0f} s",
        )

    def _before(self, now: float) -> tuple[float, Counts] | None:
        """Return what was counted some seconds ago."""
        while self._seen and now - self._seen[0][0] > WINDOW_S + _MIN_S:
            self._seen.popleft()
        if self._seen and now - self._seen[0][0] >= _MIN_S:
            return self._seen[0]
        return None


def _from_history(overview: Overview, counts: Counts, past: Mapping[str, Past]) -> Figures:
    def last(name: str) -> float | None:
        return past[name].hour[-1].value

    return Figures(
        overview=overview,
        totals=counts,
        rates={rate: last(rate) for rate in Rate},
        handover={
            lane: {name: last(handover(lane, name)) for name in PERCENTILES} for lane in Lane
        },
        of="the last full minute",
    )
