"""The overview: everything that Redis says, and nothing changed by looking."""

from typing import Any

import pytest

from contracts.jobs import Lane, Queue
from sidecar.inbox.partitions import drain_lease
from sidecar.inbox.store import Inbox
from sidecar.metrics import SLOTS, MetricsRegistry, Series
from sidecar.ops.publisher import Telemetry
from sidecar.ops.snapshot import Observer, RedisState
from sidecar.redis import keys
from sidecar.redis.client import Redis


def process(redis: Redis, role: str, facts: dict[str, Any] | None = None) -> Telemetry:
    return Telemetry(redis, role, lambda: facts or {}, MetricsRegistry())


async def test_a_redis_in_which_nothing_is(redis: Redis) -> None:
    overview = await Observer(redis).read()
    assert (overview.accounting, overview.processes) == ([], [])
    assert (overview.campaigns, overview.ledgers, overview.metrics) == ({}, {}, {})
    assert overview.backend_ok_s is None
    assert not overview.reconciler
    assert (overview.dead_letters, overview.oldest_dead_letter_s) == (0, 0.0)
    lane = overview.lanes[Lane.MESSAGES]
    assert (lane.webhooks, lane.vendors, lane.oldest_s, lane.held_s) == (0, 0, 0.0, None)
    assert (lane.deferred, lane.due, lane.next_due_in_s) == (0, 0, None)
    assert overview.redis.durable
    assert overview.redis.writes_ok
    assert overview.redis.used_bytes > 0
    assert await redis.keys("*") == []


@pytest.mark.parametrize(("limit", "share"), [(0, 0.0), (400, 0.25)])
def test_the_share_of_redis_that_is_used(limit: int, share: float) -> None:
    assert RedisState("8", 100, limit, False, True, True).used_share == share


async def test_webhooks_that_wait(redis: Redis) -> None:
    inbox = Inbox(redis, timeout_s=5, pending_limit_bytes=10**8, wake=lambda _lane: None)
    for vendor_uid in ("v-1", "v-1", "v-2"):
        await inbox.put(Lane.MESSAGES, vendor_uid, b"", b"{}")
    await inbox.close()
    overview = await Observer(redis).read()
    assert (overview.lanes[Lane.MESSAGES].webhooks, overview.lanes[Lane.MESSAGES].vendors) == (3, 2)
    assert overview.lanes[Lane.STATUSES].webhooks == 0


async def test_who_drains_and_what_is_due(redis: Redis) -> None:
    seconds, _ = await redis.time()
    lease = drain_lease(Lane.MESSAGES)
    await redis.set(keys.lease(lease), (seconds - 30) * 1000)
    await process(redis, "worker", {"queues": [Queue.MESSAGES], "leases": [lease]}).publish()
    due = {"v/1": (seconds - 9) * 1000, "v/2": (seconds + 900) * 1000}
    await redis.zadd(keys.deferred(Lane.MESSAGES), due)
    overview = await Observer(redis).read()
    lane = overview.lanes[Lane.MESSAGES]
    [worker] = overview.alive
    assert lane.holder == overview.holder(lease) == worker.name
    assert lane.held_s == pytest.approx(30, abs=20)
    assert (lane.deferred, lane.due) == (2, 1)
    assert lane.next_due_in_s == pytest.approx(-9, abs=20)
    assert overview.lanes[Lane.STATUSES].holder is None


async def test_who_drains_a_lane_that_is_divided(redis: Redis) -> None:
    seconds, _ = await redis.time()
    leases = [drain_lease(Lane.STATUSES, index) for index in (0, 2)]
    for age_s, lease in zip((20, 30), leases, strict=True):
        await redis.set(keys.lease(lease), (seconds - age_s) * 1000)
        one = process(redis, "worker", {"queues": [Queue.STATUSES], "leases": [lease]})
        one._record["pid"] = age_s
        await one.publish()
    overview = await Observer(redis).read()
    lane = overview.lanes[Lane.STATUSES]
    assert lane.holder == ", ".join(overview.holder(lease) or "" for lease in leases)
    assert lane.held_s == pytest.approx(30, abs=9)


async def test_what_the_living_say_of_php(redis: Redis) -> None:
    said = {"breakers": {"messages": "503"}, "isolated": {"statuses": {"v-1": "500"}}}
    await process(redis, "worker", said).publish()
    dead = process(redis, "worker", {"breakers": {"statuses": "of a dead one"}})
    dead.process_id = "dead"
    await dead.publish()
    await redis.pexpire(keys.process("dead"), 60_000)
    overview = await Observer(redis).read()
    assert len(overview.processes) == 2
    assert overview.breakers == {"messages": "503"}
    assert overview.isolated == {("statuses", "v-1"): "500"}


async def test_what_is_listed(redis: Redis) -> None:
    seconds, _ = await redis.time()
    await redis.hset(keys.CAMPAIGNS, "c-1", "v-1")
    await redis.hset(keys.LEDGERS, "c-2", "v-2")
    await redis.hset(keys.PAUSES, mapping={"number:1": "{}", "number:2": "{}", "token:v": "{}"})
    await redis.set(keys.BACKEND_OK, (seconds - 60) * 1000)
    await redis.set(keys.lease("reconciler"), 1)
    metrics = MetricsRegistry()
    telemetry = Telemetry(redis, "serve", metrics=metrics)
    metrics.counter(SLOTS).add(7)
    await telemetry.publish()
    overview = await Observer(redis).read()
    assert (overview.campaigns, overview.ledgers) == ({"c-1": "v-1"}, {"c-2": "v-2"})
    assert overview.paused == {"number": 2, "token": 1}
    assert overview.backend_ok_s == pytest.approx(60, abs=20)
    assert overview.reconciler
    assert overview.metrics == {Series("sidecar_limiter_slots", ()): 7.0}
