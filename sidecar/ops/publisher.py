"""Publishes this process's metrics and heartbeat to Redis once a second.

All processes add to the same numbers, so any ``sidecar serve`` shows the metrics of all of them,
and a restarted process does not begin at zero. While Redis is unavailable, counts are kept here;
what it may have added before its answer was lost carries the same number again, and counts once.
"""

import asyncio
import os
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import orjson
import structlog

from sidecar.clock import now_ms
from sidecar.logs import LogOnce
from sidecar.metrics import METRICS, MetricsRegistry, Series
from sidecar.redis import keys
from sidecar.redis.client import AnyRedisError, Members, Redis, RedisUnavailable, reason_of, script
from sidecar.tasks import tick
from sidecar.version import VERSION

log = structlog.get_logger()

INTERVAL_S = 1.0
#: How often a process sends a heartbeat at least, even if it has counted nothing.
BEAT_S = 2.0
#: Facts that an operator must not wait for: when they change, a heartbeat is sent at once.
URGENT = ("breakers", "isolated", "php_failures", "replicas", "slow", "wakeups")
#: A dead process is forgotten this long after its last heartbeat. The remaining time to live says
#: when that was, on Redis's own clock.
KEEP_MS = 24 * 3_600_000


class Telemetry:
    """One for each process. ``role`` is serve or worker; ``facts`` returns what else the heartbeat
    should contain, as JSON values."""

    def __init__(
        self,
        redis: Redis,
        role: str,
        facts: Callable[[], dict[str, Any]] = dict,
        metrics: MetricsRegistry = METRICS,
    ) -> None:
        self._redis = redis
        self._script = script(redis, "ops/merge_metrics")
        self._facts = facts
        self._metrics = metrics
        self._published = metrics.read()
        #: What Redis was told last, if it has not answered: it may have added it.
        self._unanswered: dict[Series, float] = {}
        self._lock = asyncio.Lock()
        self._number = 0
        self._beat_at = 0.0
        self._told: list[Any] = []
        self._known = False
        self._outage = LogOnce("metrics.not_stored")
        host, pid = socket.gethostname(), os.getpid()
        since = now_ms()
        self.process_id = f"{host}:{pid}:{since}:{secrets.token_hex(4)}"
        self._record = {
            "role": role,
            "host": host,
            "pid": pid,
            "since": since,
            "version": VERSION,
        }

    async def run(self) -> None:
        """Publish until cancelled."""
        while True:
            try:
                await self.publish()
            except Exception:
                log.exception("metrics.publish_failed")
            await tick(INTERVAL_S)

    async def publish(self) -> None:
        """Publish what was counted since the last time, if Redis is available."""
        async with self._lock:
            await self._try()

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """Publish nothing inside the block. What Redis has then, and :meth:`unpublished`, are
        together what was counted: a count that moved over meanwhile would be in none, or both."""
        async with self._lock:
            yield

    async def _try(self) -> None:
        try:
            if not self._known:
                await self._introduce()
            await self._publish()
        except RedisUnavailable as error:
            self._known = False
            self._outage.failed(reason_of(error))
        else:
            self._outage.worked()

    def unpublished(self) -> dict[Series, float]:
        """Return the counts that Redis does not have yet."""
        counted = self._metrics.read()
        grown = {
            series: value - self._published.get(series, 0.0) for series, value in counted.items()
        }
        return {series: by for series, by in grown.items() if by}

    async def _publish(self) -> None:
        repeated = bool(self._unanswered)
        if not repeated:
            self._unanswered = self.unpublished()
            self._number += 1
        grown = self._unanswered
        facts = self._facts()
        urgent = [facts.get(name) for name in URGENT]
        due = time.monotonic() >= self._beat_at or urgent != self._told
        if not grown and not due:
            return
        told = {**self._record, **_usage(), **facts, "clock": now_ms()}
        state = orjson.dumps(told) if due else b""
        pairs = [word for series, by in grown.items() for word in (series.dump(), by)]
        await self._script(
            keys=[
                keys.METRICS,
                keys.PROCESSES,
                keys.process(self.process_id),
                keys.published(self.process_id),
            ],
            args=[self.process_id, state, KEEP_MS, self._number, *pairs],
        )
        self._unanswered = {}
        for series, by in grown.items():
            self._published[series] = self._published.get(series, 0.0) + by
        if due:
            self._beat_at, self._told = time.monotonic() + BEAT_S, urgent
        if repeated:
            await self._publish()  # what was counted since

    async def _introduce(self) -> None:
        """Remove long dead processes from the list, and send a heartbeat at once."""
        listed = cast(Members, await self._redis.smembers(keys.PROCESSES))
        pipeline = self._redis.pipeline(transaction=False)
        for process_id in listed:
            pipeline.exists(keys.process(process_id.decode()))
        known = await pipeline.execute()
        forgotten = [
            process_id for process_id, there in zip(listed, known, strict=True) if not there
        ]
        if forgotten:
            await self._redis.srem(keys.PROCESSES, *forgotten)
        self._known, self._beat_at = True, 0.0

    async def close(self) -> None:
        """Publish what is left, and sign off."""
        try:
            await self.publish()
            if self._outage.reason is not None:
                return
            pipeline = self._redis.pipeline(transaction=True)
            pipeline.srem(keys.PROCESSES, self.process_id)
            pipeline.delete(keys.process(self.process_id), keys.published(self.process_id))
            await pipeline.execute()
        except AnyRedisError as error:
            self._outage.failed(reason_of(error))


def _usage() -> dict[str, float]:
    """Return the process's memory and CPU time."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {"memory_bytes": pages * os.sysconf("SC_PAGE_SIZE"), "cpu_s": time.process_time()}
