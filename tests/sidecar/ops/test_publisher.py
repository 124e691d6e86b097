"""Processes tell Redis what they have counted, and that they live."""

import asyncio
import os
import socket
from pathlib import Path
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from sidecar.metrics import SLOTS, WEBHOOKS, MetricsRegistry, Series
from sidecar.ops import publisher
from sidecar.ops.processes import Process, read_processes
from sidecar.ops.publisher import KEEP_MS, Telemetry
from sidecar.redis import keys
from sidecar.redis.client import Hash, Redis, RedisUnavailable, connect
from sidecar.tasks import cancel
from simulator.redis_server import RedisServer
from tests.eventually import eventually

SLOTS_SERIES = Series("sidecar_limiter_slots", ())


async def kept(redis: Redis) -> dict[Series, float]:
    found = cast(Hash, await redis.hgetall(keys.METRICS))
    return {Series.load(series): float(value) for series, value in found.items()}


async def only(redis: Redis) -> Process:
    [process] = await read_processes(redis)
    return process


async def silent(redis: Redis, telemetry: Telemetry, seconds: float) -> None:
    """Let the time pass in which nothing is heard of a process."""
    await redis.pexpire(keys.process(telemetry.process_id), KEEP_MS - int(seconds * 1000))


# -- what was counted --


async def test_processes_add_to_the_same_numbers(redis: Redis) -> None:
    first, second = MetricsRegistry(), MetricsRegistry()
    one = Telemetry(redis, "serve", metrics=first)
    other = Telemetry(redis, "worker", metrics=second)
    for metrics, by in ((first, 1), (second, 10)):
        metrics.counter(SLOTS).add(by)
    await one.publish()
    await other.publish()
    first.counter(SLOTS).add(100)
    first.counter(WEBHOOKS, "acknowledged").add()
    await one.publish()
    await one.publish()
    assert await kept(redis) == {
        SLOTS_SERIES: 111,
        Series("sidecar_webhooks", ("acknowledged",)): 1,
    }
    assert one.unpublished() == other.unpublished() == {}


async def test_what_was_counted_before_is_another_ones(redis: Redis) -> None:
    metrics = MetricsRegistry()
    metrics.counter(SLOTS).add(5)
    telemetry = Telemetry(redis, "serve", metrics=metrics)
    metrics.counter(SLOTS).add(1)
    assert telemetry.unpublished() == {SLOTS_SERIES: 1}


async def test_while_redis_is_away_it_waits(redis: Redis, monkeypatch: Any) -> None:
    metrics = MetricsRegistry()
    telemetry = Telemetry(redis, "serve", metrics=metrics)
    await telemetry.publish()

    async def gone(*_: object, **__: object) -> None:
        raise RedisUnavailable[0]("gone")

    with monkeypatch.context() as patch, capture_logs() as logs:
        patch.setattr(type(redis), "smembers", gone)
        patch.setattr(type(redis), "evalsha", gone)
        for _ in range(3):
            metrics.counter(SLOTS).add()
            await telemetry.publish()
        assert telemetry.unpublished() == {SLOTS_SERIES: 3}
    assert [log["event"] for log in logs] == ["metrics.not_stored"]
    await telemetry.publish()
    assert await kept(redis) == {SLOTS_SERIES: 3}


async def test_what_redis_added_without_an_answer_counts_once(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = MetricsRegistry()
    telemetry = Telemetry(redis, "serve", metrics=metrics)
    await telemetry.publish()
    evalsha = type(redis).evalsha

    async def answer_lost(*words: Any, **options: Any) -> None:
        await evalsha(*words, **options)
        raise RedisUnavailable[1]("no answer in time")

    metrics.counter(SLOTS).add(20)
    with monkeypatch.context() as patch:
        patch.setattr(type(redis), "evalsha", answer_lost)
        for _ in range(2):
            await telemetry.publish()
            metrics.counter(SLOTS).add(1)
    assert telemetry.unpublished() == {SLOTS_SERIES: 22}
    await telemetry.publish()
    assert await kept(redis) == {SLOTS_SERIES: 22}
    assert telemetry.unpublished() == {}
    metrics.counter(SLOTS).add(5)
    await telemetry.close()
    assert await kept(redis) == {SLOTS_SERIES: 27}


async def test_a_fault_does_not_end_it(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no outage, and is said with its traceback."""
    metrics = MetricsRegistry()
    telemetry = Telemetry(redis, "serve", metrics=metrics)
    monkeypatch.setattr(publisher, "INTERVAL_S", 0.01)
    await redis.set(keys.METRICS, "not a hash")
    metrics.counter(SLOTS).add(2)
    running = asyncio.create_task(telemetry.run())
    with capture_logs() as logs:
        await eventually(lambda: len(logs) > 1)
    assert {(log["event"], log["log_level"]) for log in logs} == {
        ("metrics.publish_failed", "error")
    }
    await redis.delete(keys.METRICS)
    await eventually(lambda: not telemetry.unpublished())
    await cancel([running])
    assert await kept(redis) == {SLOTS_SERIES: 2}


async def test_redis_was_wiped(redis: Redis) -> None:
    """What was told before is gone; what comes is counted, and the process is known again."""
    metrics = MetricsRegistry()
    telemetry = Telemetry(redis, "serve", metrics=metrics)
    metrics.counter(SLOTS).add(7)
    await telemetry.publish()
    await redis.flushall()
    metrics.counter(SLOTS).add(2)
    telemetry._beat_at = 0.0
    await telemetry.publish()
    assert await kept(redis) == {SLOTS_SERIES: 2}
    assert (await only(redis)).alive


# -- who lives --


async def test_a_process_that_lives(redis: Redis) -> None:
    facts = {"queues": ["messages"], "leases": ["drain:messages"], "breakers": {"messages": "503"}}
    telemetry = Telemetry(
        redis, "worker", lambda: {**facts, "from a later version": 1}, MetricsRegistry()
    )
    await telemetry.publish()
    process = await only(redis)
    assert (process.role, process.pid, process.host) == (
        "worker",
        os.getpid(),
        socket.gethostname(),
    )
    assert process.name == f"{socket.gethostname()}:{os.getpid()}"
    assert (process.queues, process.leases, process.breakers) == tuple(facts.values())
    assert process.memory_bytes > 1_000_000
    assert process.cpu_s > 0
    assert process.alive


async def test_it_says_so_again_though_nothing_was_counted(redis: Redis) -> None:
    telemetry = Telemetry(redis, "serve", metrics=MetricsRegistry())
    await telemetry.publish()
    await silent(redis, telemetry, 10)
    await telemetry.publish()
    assert (await only(redis)).heartbeat_age_s >= 10, "not every time"
    telemetry._beat_at = 0.0
    await telemetry.publish()
    assert (await only(redis)).heartbeat_age_s < 5


@pytest.mark.parametrize("name", ["breakers", "isolated"])
async def test_what_is_wrong_with_php_is_said_at_once(redis: Redis, name: str) -> None:
    facts: dict[str, Any] = {name: {}, "leases": []}
    telemetry = Telemetry(redis, "worker", lambda: facts, MetricsRegistry())
    await telemetry.publish()
    facts |= {name: {"messages": {"vendor-1": "500"}}, "leases": ["drain:messages"]}
    await telemetry.publish()
    assert getattr(await only(redis), name) == facts[name]
    facts |= {"leases": []}
    await telemetry.publish()
    assert (await only(redis)).leases == ["drain:messages"], "the rest has time"


async def test_a_process_that_was_killed_is_known_for_a_while(redis: Redis) -> None:
    killed = Telemetry(redis, "worker", metrics=MetricsRegistry())
    await killed.publish()
    await silent(redis, killed, 60)
    process = await only(redis)
    assert not process.alive
    assert 60 <= process.heartbeat_age_s < 70
    await redis.delete(keys.process(killed.process_id))  # a day has passed
    assert await read_processes(redis) == []
    await Telemetry(redis, "worker", metrics=MetricsRegistry()).publish()
    assert await redis.scard(keys.PROCESSES) == 1


async def test_a_process_that_died_before_the_clock_was_set_back(redis: Redis) -> None:
    """Redis would keep what it said last for a day more: it is not taken for alive."""
    telemetry = Telemetry(redis, "worker", metrics=MetricsRegistry())
    await telemetry.publish()
    assert (await only(redis)).alive
    await silent(redis, telemetry, -24 * 3600)
    assert not (await only(redis)).alive


async def test_a_process_that_ends_as_it_should(redis: Redis) -> None:
    metrics = MetricsRegistry()
    telemetry = Telemetry(redis, "serve", metrics=metrics)
    await telemetry.publish()
    metrics.counter(SLOTS).add()
    await telemetry.close()
    assert await read_processes(redis) == []
    assert await kept(redis) == {SLOTS_SERIES: 1}
    assert await redis.keys("*") == [keys.METRICS.encode()]


async def test_the_oldest_comes_first(redis: Redis) -> None:
    made = [Telemetry(redis, "worker", metrics=MetricsRegistry()) for _ in range(3)]
    for number, telemetry in enumerate(made):
        telemetry.process_id = f"process-{number}"
        telemetry._record["since"] = 10 - number
        await telemetry.publish()
    assert [process.since for process in await read_processes(redis)] == [8, 9, 10]


async def test_redis_is_full(redis: Redis, tmp_path: Path) -> None:
    """Just then somebody will ask."""
    metrics = MetricsRegistry()
    with RedisServer(tmp_path / "full") as server:
        full = connect(server.url, timeout_s=5.0)
        telemetry = Telemetry(full, "worker", metrics=metrics)
        metrics.counter(SLOTS).add()
        await full.config_set("maxmemory", "1")
        await telemetry.publish()
        assert await kept(full) == {SLOTS_SERIES: 1}
        assert (await only(full)).alive
        await full.aclose()
