"""``GET /metrics``, as Prometheus reads it."""

import asyncio
from typing import Any, cast

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.requests import Request
from structlog.testing import capture_logs

from contracts.effects import EffectKind
from contracts.jobs import Lane
from sidecar.clock import now_ms
from sidecar.http.routes import metrics
from sidecar.metrics import (
    EFFECT_CALLS,
    EFFECT_SECONDS,
    FAMILIES,
    UPDATES_IGNORED,
    MetricsRegistry,
    Series,
)
from sidecar.ops.notifications import LEASE, Notifications, TargetState
from sidecar.ops.publisher import Telemetry
from sidecar.ops.snapshot import Observer, Overview
from sidecar.redis import keys
from sidecar.redis.client import Redis, RedisUnavailable
from sidecar.redis.lease import Leases
from tests.conftest import MakeSettings
from tests.sidecar.conftest import MakeService
from tests.sidecar.ops.test_dead_letters import add_dead_letter
from tests.sidecar.ops.test_waits import defer
from tests.sidecar.payloads import message_webhook, status_webhook
from tests.sidecar.service import VENDOR, Service

Samples = dict[tuple[str, tuple[str, ...]], float]


@pytest.fixture(autouse=True)
def always_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "FRESH_S", 0.0)


async def scrape(service: Service) -> Samples:
    """Return all samples, by their name and the values of their labels in order of the names."""
    answer = await service.request("GET", "/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


async def test_webhooks(service: Service) -> None:
    before = await scrape(service)
    for number in range(3):
        assert (await service.webhook(message_webhook(number))).status_code == 200
    await service.webhook(status_webhook(1))
    await service.webhook(b"{}", secret="wrong")
    await service.webhook(b"{}", secret=None)
    found = await scrape(service)

    def grown(name: str, *labels: str) -> float:
        return found[name, labels] - before.get((name, labels), 0)

    assert grown("sidecar_webhooks_total", "acknowledged") == 4
    assert grown("sidecar_webhooks_total", "signature_wrong") == 1
    assert grown("sidecar_webhooks_total", "signature_missing") == 1
    assert grown("sidecar_webhook_ack_seconds_count") == 4
    assert 0 < grown("sidecar_webhook_ack_seconds_sum") < 60
    assert grown("sidecar_webhook_ack_seconds_bucket", "+Inf") == 4
    assert grown("sidecar_webhooks_received_total") == 4
    assert found["sidecar_inbox_webhooks", ("messages",)] == 3
    assert found["sidecar_inbox_webhooks", ("statuses",)] == 1
    assert 0 <= found["sidecar_inbox_oldest_age_seconds", ("messages",)] < 60
    assert grown("sidecar_backend_requests_total", "vendor-config", "ok") == 1
    assert grown("sidecar_backend_items_total", "vendor-config") == 1
    assert grown("sidecar_backend_request_seconds_count", "vendor-config") == 1


async def test_a_count_that_is_published_meanwhile_counts_once(
    redis: Redis, redis_url: str, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A counter that falls looks to Prometheus like one that has begun anew."""
    mine = MetricsRegistry()
    telemetry = Telemetry(redis, "serve", metrics=mine)
    route = metrics.Metrics(redis, telemetry, make_settings(), redis_url)
    read = Observer.read
    publishing: list[asyncio.Task[None]] = []

    async def meanwhile(self: Observer) -> Overview:
        before = await read(self)
        publishing.append(asyncio.create_task(telemetry.publish()))
        await asyncio.wait(publishing, timeout=0.05)
        return before

    monkeypatch.setattr(Observer, "read", meanwhile)
    for count in range(1, 4):
        mine.counter(UPDATES_IGNORED, "unsupported").add()
        text = bytes((await route.show(cast(Request, None))).body).decode()
        assert f'{UPDATES_IGNORED.name}_total{{reason="unsupported"}} {count}.0' in text
    await asyncio.gather(*publishing)


async def test_a_signature_that_is_only_reported(make_service: MakeService) -> None:
    service = await make_service(webhook_signature="report")
    before = await scrape(service)
    await service.webhook(b"{}", secret="wrong")
    found = await scrape(service)
    name = ("sidecar_webhooks_wrongly_signed_accepted_total", ())
    assert found[name] - before[name] == 1


async def test_php_is_away(make_service: MakeService, make_settings: MakeSettings) -> None:
    service = await make_service(backend_url="http://127.0.0.1:9")
    before = await scrape(service)
    await service.webhook(message_webhook(1))
    found = await scrape(service)
    name = ("sidecar_backend_requests_total", ("vendor-config", "unavailable"))
    assert found[name] - before.get(name, 0) == 1


async def test_the_age_of_the_oldest_webhook(service: Service, redis: Redis) -> None:
    seconds, _ = await redis.time()
    for ago_s, vendor_uid in ((50, "a"), (90, "b"), (70, "c")):
        entry_id = f"{(seconds - ago_s) * 1000}-0"
        await redis.xadd(keys.inbox(Lane.MESSAGES, vendor_uid), {"": ""}, id=entry_id)
        await redis.sadd(keys.ready(Lane.MESSAGES), vendor_uid)
    await redis.sadd(keys.ready(Lane.MESSAGES), "nothing there")
    age_s = (await scrape(service))["sidecar_inbox_oldest_age_seconds", ("messages",)]
    assert 90 <= age_s < 100


async def test_how_things_stand(service: Service, redis: Redis) -> None:
    seconds, _ = await redis.time()
    await redis.set(keys.BACKEND_OK, (seconds - 30) * 1000)
    await redis.hset(keys.CAMPAIGNS, mapping={"c1": VENDOR, "c2": VENDOR})
    await add_dead_letter(redis, 1)
    await redis.hset(keys.PAUSES, mapping={"number:1": b"{}", "number:2": b"{}"})
    await redis.zadd(keys.deferred(Lane.STATUSES), {"v/1": (seconds - 20) * 1000, "v/2": 10**15})
    await redis.set(keys.lease("drain:statuses"), 1)
    found = await scrape(service)
    assert 30 <= found["sidecar_backend_ok_age_seconds", ()] < 40
    assert found["sidecar_campaigns_active", ()] == 2
    assert found["sidecar_dead_letters", ()] == 1
    assert found["sidecar_paused", ("number",)] == 2
    assert found["sidecar_paused", ("account",)] == 0
    assert found["sidecar_deferred", ("statuses",)] == 2
    assert 20 <= found["sidecar_deferred_overdue_seconds", ("statuses",)] < 30
    assert found["sidecar_deferred_overdue_seconds", ("messages",)] == 0
    assert found["sidecar_inbox_drained", ("statuses",)] == 1
    assert found["sidecar_inbox_drained", ("messages",)] == 0
    assert found["sidecar_redis_up", ()] == found["sidecar_redis_writes_durable", ()] == 1
    assert found["sidecar_redis_memory_bytes", ()] > 100_000
    assert found["sidecar_redis_replicas", ()] == found["sidecar_redis_replicas_missing", ()] == 0


async def test_the_accounting_of_all_vendors_together(service: Service, redis: Redis) -> None:
    for vendor_uid, missing in (("v", 3), ("w", -1)):
        counted: dict[Any, Any] = {"claimed": 10 + missing, "accepted": 8, "unknown": 2}
        await redis.hset(keys.counters(vendor_uid), mapping={**counted, "expired": 1, "skipped": 2})
        await redis.sadd(keys.VENDORS, vendor_uid)
    found = await scrape(service)
    assert found["sidecar_sends_total", ("accepted",)] == 16
    assert found["sidecar_sends_total", ("unknown",)] == 4
    assert found["sidecar_sends_total", ("expired",)] == 2
    assert found["sidecar_sends_total", ("skipped",)] == 4
    assert found["sidecar_accounting_difference", ("sends",)] == 4, "they do not cancel out"
    assert found["sidecar_accounting_difference", ("updates",)] == 0


async def test_what_other_processes_have_counted(service: Service, redis: Redis) -> None:
    series = [
        (Series("sidecar_handover_seconds", ("messages",), "0.05"), 3),
        (Series("sidecar_handover_seconds", ("messages",), "+Inf"), 1),
        (Series("sidecar_handover_seconds", ("messages",), "sum"), 400.25),
        (Series("sidecar_send_calls", ("retry_number", "130429")), 9),
        (Series("sidecar_send_calls", ("of an earlier version",)), 9),
        (Series("sidecar_not_any_more", ("x",)), 9),
    ]
    for one, value in series:
        await redis.hset(keys.METRICS, one.dump().decode(), value)
    found = await scrape(service)
    buckets = "sidecar_handover_seconds_bucket"
    assert found[buckets, ("messages", "0.025")] == 0
    assert found[buckets, ("messages", "0.05")] == found[buckets, ("messages", "300.0")] == 3
    assert found[buckets, ("messages", "+Inf")] == 4
    assert found["sidecar_handover_seconds_count", ("messages",)] == 4
    assert found["sidecar_handover_seconds_sum", ("messages",)] == 400.25
    assert found["sidecar_send_calls_total", ("130429", "retry_number")] == 9
    assert not [name for name, _ in found if "not_any_more" in name]


async def test_calls_that_effects_have_led_to(service: Service, redis: Redis) -> None:
    before = await scrape(service)
    workers = MetricsRegistry()
    workers.counter(EFFECT_CALLS, "forward", "ok").add(2)
    workers.counter(EFFECT_CALLS, "forward", "refused_address").add()
    workers.histogram(EFFECT_SECONDS, "ai_reply").observe(20.0, 3)
    for series, value in workers.read().items():
        await redis.hincrbyfloat(keys.METRICS, series.dump().decode(), value)
    found = await scrape(service)

    def grown(name: str, *labels: str) -> float:
        return found[name, labels] - before.get((name, labels), 0)

    assert grown("sidecar_effect_calls_total", "forward", "ok") == 2
    assert grown("sidecar_effect_calls_total", "forward", "refused_address") == 1
    assert grown("sidecar_effect_call_seconds_count", "ai_reply") == 3
    assert grown("sidecar_effect_call_seconds_sum", "ai_reply") == 60
    assert grown("sidecar_effect_call_seconds_bucket", "ai_reply", "10.0") == 0
    assert grown("sidecar_effect_call_seconds_bucket", "ai_reply", "30.0") == 3


async def test_how_long_effects_should_have_been_tried(service: Service, redis: Redis) -> None:
    def overdue(samples: Samples) -> dict[str, float]:
        return {
            kind.value: samples["sidecar_effects_overdue_seconds", (kind.value,)]
            for kind in EffectKind
        }

    assert set(overdue(await scrape(service)).values()) == {0.0}
    for vendor, late_s in (("a", 30), ("b", 90)):
        await redis.sadd(keys.outbox(EffectKind.FORWARD), vendor)
        due = now_ms() - late_s * 1000
        await redis.zadd(keys.outbox_of(EffectKind.FORWARD, vendor), {"id": due})
    found = overdue(await scrape(service))
    assert 90 <= found.pop(EffectKind.FORWARD) < 100
    assert set(found.values()) == {0.0}


async def test_who_runs(service: Service, redis: Redis) -> None:
    found = await scrape(service)
    assert found["sidecar_processes", ("worker",)] == 0
    assert found["sidecar_breaker_open", ("messages",)] == 0
    record = b'{"role":"worker","host":"h","pid":7,"since":1,"memory_bytes":5,"cpu_s":2.5,'
    state = record + b'"breakers":{"messages":"503"},"leases":[],"queues":[]}'
    await redis.sadd(keys.PROCESSES, "alive", "dead")
    await redis.set(keys.process("alive"), state, px=24 * 3_600_000)
    await redis.set(keys.process("dead"), state, px=60_000)
    found = await scrape(service)
    assert found["sidecar_processes", ("worker",)] == 1
    assert found["sidecar_processes_died", ()] == 1
    assert found["sidecar_process_memory_bytes", ("h:7", "worker")] == 5
    assert found["sidecar_process_cpu_seconds_total", ("h:7", "worker")] == 2.5
    assert found["sidecar_breaker_open", ("messages",)] == 1
    assert found["sidecar_breaker_open", ("statuses",)] == 0


async def test_redis_is_away(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counters go on from where they were, and do not fall."""
    for number in range(3):
        await service.webhook(message_webhook(number))
    before = await scrape(service)

    async def gone(*_: object, **__: object) -> None:
        raise RedisUnavailable[0]("gone")

    monkeypatch.setattr("redis.asyncio.client.Pipeline.execute", gone)
    monkeypatch.setattr("redis.commands.core.AsyncScript.__call__", gone)  # the inbox's write
    with capture_logs() as logs:
        assert (await service.webhook(message_webhook(4))).status_code == 503
        found = await scrape(service)
        await scrape(service)
    assert found["sidecar_redis_up", ()] == 0
    refused = ("sidecar_webhooks_total", ("inbox_unavailable",))
    assert found[refused] - before.get(refused, 0) == 1
    for name, labels in before:
        if name.startswith("sidecar_webhook_ack"):
            assert found[name, labels] == before[name, labels]
    assert ("sidecar_inbox_webhooks", ("messages",)) not in found
    assert [log["event"] for log in logs].count("metrics.redis_unavailable") == 1


async def test_every_family_is_there_from_the_beginning(service: Service) -> None:
    text = (await service.request("GET", "/metrics")).text
    shown = {family.name: family for family in text_string_to_metric_families(text)}
    assert set(FAMILIES) <= set(shown)
    for family in shown.values():
        assert family.documentation
        assert family.type in ("counter", "gauge", "histogram")


async def test_asking_often_costs_nothing(
    service: Service, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "FRESH_S", 60.0)
    first = await service.request("GET", "/metrics")
    await add_dead_letter(redis, 1)
    assert (await service.request("GET", "/metrics")).text == first.text


async def test_how_long_a_customers_message_has_waited(
    service: Service, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "FRESH_S", 0.0)
    name = ("sidecar_message_wait_seconds", ())
    assert (await scrape(service))[name] == 0
    await defer(redis, "v/1", 15_000, attempts=1, reason="locked")
    await defer(redis, "w/1", 25_000, attempts=1, reason="locked")
    assert 25 <= (await scrape(service))[name] < 85


async def test_targets_of_notifications_that_take_nothing(service: Service, redis: Redis) -> None:
    assert (await scrape(service))["sidecar_notification_targets_failing", ()] == 0
    async with Leases(redis, 10_000).hold(LEASE) as lease:
        assert lease is not None
        await Notifications(redis).failed(lease, TargetState("slack"), "down", 1, 2)
    assert (await scrape(service))["sidecar_notification_targets_failing", ()] == 1
