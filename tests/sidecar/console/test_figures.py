"""The overview's figures."""

import time

import pytest

from contracts.jobs import Lane
from sidecar.console.figures import FigureReader
from sidecar.metrics import HANDOVER_SECONDS, SEND_CALLS, WEBHOOKS, MetricsRegistry
from sidecar.ops.publisher import Telemetry
from sidecar.ops.rates import Rate
from sidecar.redis.client import Redis


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = time.monotonic()
        monkeypatch.setattr("sidecar.console.figures.time.monotonic", lambda: self.now)


class Counted:
    """What processes count."""

    def __init__(self, redis: Redis) -> None:
        self.metrics = MetricsRegistry()
        self.telemetry = Telemetry(redis, "serve", metrics=self.metrics)

    async def webhooks(self, number: int, seconds: float = 0.02) -> None:
        self.metrics.counter(WEBHOOKS, "acknowledged").add(number)
        self.metrics.histogram(HANDOVER_SECONDS, "messages").observe(seconds, number)
        self.metrics.counter(SEND_CALLS, "accepted", "").add(2 * number)
        await self.telemetry.publish()


async def test_who_looks_first_sees_the_last_minute(redis: Redis) -> None:
    counted = Counted(redis)
    await counted.webhooks(7)
    figures = await FigureReader(redis).read()
    assert figures.of == "the last full minute"
    assert figures.totals[Rate.WEBHOOKS] == 7
    assert set(figures.rates) == set(Rate)
    assert figures.rates[Rate.WEBHOOKS] is None  # there is no history yet
    assert figures.handover[Lane.MESSAGES] == {"p50": None, "p95": None, "p99": None}


async def test_rates_while_somebody_looks(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, counted, reader = Clock(monkeypatch), Counted(redis), FigureReader(redis)
    await counted.webhooks(100)
    await reader.read()
    clock.now += 4
    await counted.webhooks(40, seconds=0.2)
    figures = await reader.read()
    assert figures.of == "the last 4 s"
    assert figures.rates[Rate.WEBHOOKS] == pytest.approx(10)
    assert figures.rates[Rate.SENT] == pytest.approx(20)
    assert figures.rates[Rate.PHP_FAILURES] == 0
    assert figures.totals[Rate.WEBHOOKS] == 140
    p50 = figures.handover[Lane.MESSAGES]["p50"]
    assert p50 is not None
    assert 0.1 < p50 < 0.25, "what came before does not count"
    assert figures.handover[Lane.STATUSES]["p50"] is None


async def test_what_is_long_ago_does_not_count(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, counted, reader = Clock(monkeypatch), Counted(redis), FigureReader(redis)
    for _ in range(20):
        await counted.webhooks(5)
        clock.now += 1
        figures = await reader.read()
    assert figures.of in ("the last 11 s", "the last 12 s")
    assert figures.rates[Rate.WEBHOOKS] == pytest.approx(5)
    clock.now += 3600
    assert (await reader.read()).of == "the last full minute"


async def test_two_reads_at_once_are_no_rate(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, reader = Clock(monkeypatch), FigureReader(redis)
    await reader.read()
    clock.now += 0.5
    assert (await reader.read()).of == "the last full minute"
