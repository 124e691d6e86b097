"""Campaigns: what PHP keeps, beside what Redis and workers know."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from contracts.backend import CampaignCounts, DueCampaign
from contracts.campaigns import CampaignState
from contracts.jobs import Queue
from sidecar.metrics import MetricsRegistry
from sidecar.ops.backlog import CampaignWork
from sidecar.ops.campaigns import (
    NO_WORKER,
    Campaign,
    read_all,
    read_all_of_redis,
    read_one,
    read_one_of_redis,
)
from sidecar.ops.publisher import Telemetry
from sidecar.ops.sends import RecentSends
from sidecar.php.client import Backend, BackendRefused, make_backend
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.sending.halts import Halt, Halts
from tests.conftest import MakeSettings
from tests.sidecar.answering_php import Answer, Call, Php, json_answer, refusal
from tests.sidecar.service import VENDOR

PAUSED, RUNNING = CampaignState.PAUSED, CampaignState.RUNNING


def kept(state: CampaignState = RUNNING, **more: Any) -> DueCampaign:
    return DueCampaign(campaign_uid="c-1", vendor_uid=VENDOR, state=state, **more)


def work(halt: Halt | None = None, waits: str | None = None) -> CampaignWork:
    return CampaignWork("c-1", VENDOR, True, halt, waits, None, None, 0, 0, 0)


@pytest.mark.parametrize(
    ("php", "halt", "waits", "state", "reason"),
    [
        (kept(), None, None, "running", None),
        (kept(), None, "131057", "running", "131057"),
        (kept(PAUSED, reason="by PHP"), None, "131057", "paused", "by PHP"),
        (kept(), Halt(PAUSED, "132015"), None, "paused", "132015"),
        (kept(), Halt(PAUSED, "132015", acknowledged_at=1), None, "running", None),
        (kept(PAUSED, reason="by PHP"), Halt(PAUSED, None, 1), None, "paused", "by PHP"),
        (None, Halt(PAUSED, "132015"), None, "unknown to PHP", "132015"),
    ],
)
def test_state_and_reason(
    php: DueCampaign | None, halt: Halt | None, waits: str | None, state: str, reason: str | None
) -> None:
    one = Campaign("c-1", php, work(halt, waits))
    assert (one.state, one.reason) == (state, reason)
    assert one.vendor_uid == VENDOR
    assert one.json["state"] == state


@pytest.mark.parametrize(
    ("php", "waits", "reason"),
    [
        (kept(counts=CampaignCounts(queued=1)), None, NO_WORKER),
        (kept(counts=CampaignCounts(processing=1)), None, NO_WORKER),
        (kept(counts=CampaignCounts(queued=1)), "131057", "131057"),
        (kept(PAUSED, counts=CampaignCounts(queued=1), reason="by PHP"), None, "by PHP"),
        (kept(counts=CampaignCounts(queued=1), on_sidecar=False), None, None),
        (kept(counts=CampaignCounts(read=1)), None, None),
    ],
)
def test_why_nothing_is_sent_without_a_worker(
    php: DueCampaign, waits: str | None, reason: str | None
) -> None:
    assert Campaign("c-1", php, work(None, waits), no_worker=True).reason == reason


async def test_whether_a_worker_runs_for_campaigns(
    redis: Redis, backend: Backend, php: Php
) -> None:
    php.add_campaign("c-1", VENDOR, counts={"queued": 1})
    assert (await read_one(redis, backend, "c-1")).reason == NO_WORKER
    assert [one.reason for one in await read_all(redis, backend)] == [NO_WORKER]
    assert (await read_one(None, backend, "c-1")).reason is None
    await redis.hset(keys.CAMPAIGNS, "c-1", VENDOR)
    assert [one.reason for one in await read_all_of_redis(redis, "away")] == [NO_WORKER]
    for queue in (Queue.EFFECTS, Queue.CAMPAIGNS):
        facts: dict[str, Any] = {"queues": [queue.value]}
        await Telemetry(redis, "worker", facts.copy, MetricsRegistry()).publish()
        expected = NO_WORKER if queue is Queue.EFFECTS else None
        assert (await read_one(redis, backend, "c-1")).reason == expected


def test_rows_that_await_their_status_are_counted_once() -> None:
    counts = CampaignCounts(
        queued=1, processing=2, error=3, expired=4, unknown=5, awaiting_status=60, accepted=10
    )
    counts = counts.model_copy(update={"sent": 20, "delivered": 30, "read": 40, "failed": 50})
    one = Campaign("c-1", kept(counts=counts))
    assert (one.sent, one.total) == (150, 165)
    assert (Campaign("c-1", None).sent, Campaign("c-1", None).total) == (0, 0)
    assert Campaign("c-1", None).vendor_uid is None


@pytest.mark.parametrize(
    ("counts", "state", "standing"),
    [
        ({"read": 2, "error": 1, "expired": 1}, RUNNING, "finished"),
        ({"read": 2}, PAUSED, "paused"),
        ({"read": 2, "queued": 1}, RUNNING, "running"),
        ({"read": 2, "processing": 1}, RUNNING, "running"),
        ({"read": 2, "unknown": 1}, RUNNING, "running"),
        ({}, RUNNING, "running"),
    ],
)
def test_one_that_is_finished_is_not_called_running(
    counts: dict[str, int], state: CampaignState, standing: str
) -> None:
    one = Campaign("c-1", kept(state, counts=CampaignCounts(**counts)))
    assert (one.standing, one.json["finished"]) == (standing, standing == "finished")
    assert one.json["state"] == state, "what may be done to it is the same"
    assert Campaign("c-1", None).standing == "unknown to PHP"


@pytest.mark.parametrize(
    ("state", "per_s", "queued", "left_s"),
    [
        (RUNNING, 20.0, 990, 50.0),
        (RUNNING, 20.0, -10, None),
        (RUNNING, 0.0, 990, None),
        (PAUSED, 20.0, 990, None),
    ],
)
def test_time_that_is_left(
    state: CampaignState, per_s: float, queued: int, left_s: float | None
) -> None:
    counts = CampaignCounts(queued=max(queued, 0), processing=max(0, min(queued, 10)))
    one = Campaign("c-1", kept(state, counts=counts), None, RecentSends(VENDOR, "c-1", per_s=per_s))
    assert one.left_s == left_s
    assert one.json["left_s"] == left_s
    assert Campaign("c-1", None).left_s is None


@pytest.fixture
async def backend(make_settings: MakeSettings, php: Php) -> AsyncIterator[Backend]:
    backend = make_backend(make_settings(backend_url=php.url))
    yield backend
    await backend.close()


async def test_all_that_either_side_knows(redis: Redis, backend: Backend, php: Php) -> None:
    """Looking makes no row unknown."""
    due = {"campaign_uid": "due", "vendor_uid": VENDOR}
    listed = {"campaign_uid": "listed", "vendor_uid": VENDOR}

    def answer(call: Call) -> Answer:
        assert call.json["stale_after_s"] > 86_400 * 365
        uids = call.json.get("campaign_uids")
        assert call.json.get("open", False) == (uids is None)
        return json_answer({"campaigns": [due] if uids is None else [listed]})

    php.override = answer
    await redis.hset(keys.CAMPAIGNS, "listed", VENDOR)
    await Halts(redis).put_if_none("gone", Halt(PAUSED, "132015"))
    found = await read_all(redis, backend)
    assert [(one.uid, one.state) for one in found] == [
        ("due", "running"),
        ("listed", "running"),
        ("gone", "unknown to PHP"),
    ]
    assert sorted(php.calls[1].json["campaign_uids"]) == ["gone", "listed"]
    assert [one.uid for one in await read_all(None, backend)] == ["due"]


async def test_a_package_that_cannot_tell_which_are_open(backend: Backend, php: Php) -> None:
    def answer(call: Call) -> Answer:
        if "open" in call.json:
            return refusal(422, "request_invalid")
        return json_answer({"campaigns": [{"campaign_uid": "due", "vendor_uid": VENDOR}]})

    php.override = answer
    assert [one.uid for one in await read_all(None, backend)] == ["due"]


@pytest.mark.parametrize("code", ["signature_mismatch", "vendor_unknown"])
async def test_php_that_refuses_for_another_reason(backend: Backend, php: Php, code: str) -> None:
    php.override = lambda call: refusal(401, code)
    with pytest.raises(BackendRefused):
        await read_all(None, backend)


async def test_one(redis: Redis, backend: Backend, php: Php) -> None:
    php.add_campaign("c-1", VENDOR, state="paused", reason="by PHP")
    one = await read_one(redis, backend, "c-1")
    assert (one.state, one.work) == ("paused", None)
    await redis.hset(keys.CAMPAIGNS, "c-1", VENDOR)
    await redis.set(keys.wait("c-1"), "131057")
    one = await read_one(redis, backend, "c-1")
    assert one.work is not None
    assert (one.work.waits, one.work.vendor_uid, one.recent) == ("131057", VENDOR, None)
    await redis.delete(keys.CAMPAIGNS)
    await Halts(redis).put_if_none("c-1", Halt(PAUSED, "132015"))
    assert (await read_one(redis, backend, "c-1")).reason == "132015"
    await redis.delete(keys.halt("c-1"))
    await redis.hset(keys.LEDGERS, "c-1", VENDOR)
    assert (await read_one(redis, backend, "c-1")).work is not None
    assert (await read_one(None, backend, "c-2")).php is None


async def test_what_messages_have_failed_of(backend: Backend, php: Php) -> None:
    """A package that knows no errors is asked without them."""
    error = {"error_status": "131026", "count": 3, "later": True}
    php.add_campaign("c-1", VENDOR, errors=[error])
    [told] = getattr((await read_one(None, backend, "c-1", errors=True)).php, "errors", [])
    assert (told.error_status, told.count, told.later) == ("131026", 3, True)
    php.campaigns.clear()
    php.add_campaign("c-1", VENDOR)
    php.override = lambda call: refusal(422, "request_invalid") if "errors" in call.json else None
    one = await read_one(None, backend, "c-1", errors=True)
    assert one.php is not None
    assert one.php.errors is None
    php.override = lambda call: refusal(401, "signature_mismatch")
    with pytest.raises(BackendRefused):
        await read_one(None, backend, "c-1", errors=True)


async def test_while_php_does_not_answer(redis: Redis) -> None:
    await redis.hset(keys.CAMPAIGNS, "c-1", VENDOR)
    await Halts(redis).put_if_none("c-2", Halt(PAUSED, "132015"))
    found = await read_all_of_redis(redis, "gone")
    assert [(one.uid, one.state, one.reason, one.php_away) for one in found] == [
        ("c-1", "running", NO_WORKER, "gone"),
        ("c-2", "paused", "132015", "gone"),
    ]
    assert [await read_one_of_redis(redis, uid, "gone") for uid in ("c-1", "c-2")] == found
    assert (await read_one_of_redis(redis, "c-3", "gone")).state == "unknown to PHP"
