"""``GET /metrics`` tells of what goes wrong with sending, as ``sidecar status`` does."""

from dataclasses import replace
from typing import Any

import pytest

from sidecar.http.routes import metrics
from sidecar.http.routes.metrics_sending import sending
from sidecar.ops.processes import Process
from sidecar.ops.snapshot import Observer
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.sending.numbers import Held, Outage
from simulator.ports import free_ports
from tests.sidecar.conftest import MakeService
from tests.sidecar.http.routes.test_metrics import scrape
from tests.sidecar.ops.sending import number_state


@pytest.fixture(autouse=True)
def always_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "FRESH_S", 0.0)


def told(**more: Any) -> dict[str, Any]:
    found = {"accepted": 0, "failed": 0, "requeued": 0, "unknown": 0, "per_s": 0.0, "reasons": []}
    return {"vendor_uid": "v", "campaign_uid": "c", **found, **more}


async def test_numbers_and_rows(redis: Redis) -> None:
    overview = await Observer(redis).read()
    now = overview.now / 1000
    sends = [told(failed=10), told(campaign_uid="d", failed=10, unknown=10), told(campaign_uid="e")]
    worker = Process("p", "worker", "h", 7, 0, 0.0, sends=sends, slow={"1": 3.0, "2": 4.5})
    numbers = [
        number_state("1", outage=Outage("answer 502", now)),
        number_state("2", outage=Outage("answer 502", now)),
        number_state("3", account_held=Held(now + 60, "80007")),
        number_state("4", held=Held(now + 1, "130429")),
        number_state("5"),
    ]
    families = sending(replace(overview, processes=[worker]), numbers)
    found = {
        (one.name, *one.labels.values()): one.value for family in families for one in family.samples
    }
    assert found == {
        ("sidecar_cloud_api_down",): 2,
        ("sidecar_cloud_api_slow_seconds",): 4.5,
        ("sidecar_numbers_held",): 1,
        ("sidecar_campaigns_in_trouble", "failed"): 2,
        ("sidecar_campaigns_in_trouble", "unknown"): 1,
    }


async def test_the_wakeups_redis_and_campaigns_that_wait(
    make_service: MakeService, redis: Redis
) -> None:
    service = await make_service()
    found = await scrape(service)
    assert found["sidecar_dramatiq_up", ()] == 1
    assert found["sidecar_campaigns_waiting", ()] == 0
    for uid, seconds in (("c1", 60), ("c2", 2)):
        await redis.hset(keys.CAMPAIGNS, uid, "v")
        await redis.set(keys.wait(uid), "132069 flow", ex=seconds)
    assert (await scrape(service))["sidecar_campaigns_waiting", ()] == 1
    [port] = free_ports(1)
    other = await make_service(dramatiq_redis_url=f"redis://127.0.0.1:{port}/1")
    assert (await scrape(other))["sidecar_dramatiq_up", ()] == 0
