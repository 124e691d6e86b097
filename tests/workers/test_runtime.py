"""What the actors of a process do, and that it ends."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from structlog.testing import capture_logs

from contracts import backend as contract
from contracts.jobs import Job, Lane, drain, send_campaign
from contracts.sidecar_api import InvalidateRequest
from sidecar.php.config_feed import ConfigChanges
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.sending.campaigns import campaign_lease
from sidecar.trace import id_of
from simulator.backend.vendors import CURRENT_PHONE_NUMBER_ID
from simulator.cloud_api.fault import FaultKind
from tests.conftest import MakeSettings
from tests.eventually import eventually
from tests.workers.conftest import MakeStage
from tests.workers.lane import put
from tests.workers.payloads import message, webhook
from tests.workers.php import Answer, Php, answer
from tests.workers.rows import state_of
from tests.workers.stage import Stage
from workers import runtime as module
from workers.inbox import drain as drain_module
from workers.runtime import Runtime
from workers.sending.campaign import CampaignRun

MakeRuntime = Callable[..., Runtime]


class FakeWakeups(list[Job]):
    """Stands for the wakeups."""

    send = list.append
    failing: str | None = None

    def close(self) -> None:
        pass


@pytest.fixture
async def make_runtime(
    make_settings: MakeSettings, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[MakeRuntime]:
    monkeypatch.setattr(module, "Wakeups", lambda _broker: FakeWakeups())
    made: list[Runtime] = []

    def make(php: Php, cloud_url: str = "http://127.0.0.1:9", **settings: Any) -> Runtime:
        values = {
            "backend_url": php.url,
            "cloud_api_url": cloud_url,
            "backend_timeout_s": 10,
            "reconcile_interval_s": 0.05,
            "result_wait_ms": 10,
            **settings,
        }
        made.append(Runtime(make_settings(**values), redis_url))
        return made[-1]

    yield make
    for runtime in made:
        await runtime.close()


def wakeups(runtime: Runtime) -> FakeWakeups:
    found: Any = runtime._wakeups
    assert isinstance(found, FakeWakeups)
    return found


async def test_a_lane_is_drained(php: Php, make_runtime: MakeRuntime, redis: Redis) -> None:
    runtime = make_runtime(php)
    await put(redis, Lane.MESSAGES, webhook(messages=[message()]))
    await runtime.drain(Lane.MESSAGES)
    assert len(php.batches) == 1
    assert wakeups(runtime) == []


async def test_somebody_is_woken_for_what_is_left_in_a_lane(
    php: Php, make_runtime: MakeRuntime, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drain_module, "MAX_RUN_S", 0)
    runtime = make_runtime(php)
    await put(redis, Lane.MESSAGES, webhook(messages=[message()]))
    await runtime.drain(Lane.MESSAGES)
    assert wakeups(runtime) == [drain(Lane.MESSAGES)]


async def test_a_process_that_ends_drains_nothing_more(
    php: Php, make_runtime: MakeRuntime, redis: Redis
) -> None:
    runtime = make_runtime(php)
    await put(redis, Lane.MESSAGES, webhook(messages=[message()]))
    runtime.stopping = True
    await runtime.drain(Lane.MESSAGES)
    assert php.batches == []
    assert wakeups(runtime) == []


async def test_the_lanes_have_a_breaker_each(
    php: Php, make_runtime: MakeRuntime, redis: Redis
) -> None:
    runtime = make_runtime(php)
    php.when(
        contract.PROCESS_WEBHOOKS, lambda call: Answer(503) if b"statuses" in call.body else None
    )
    await put(redis, Lane.STATUSES, webhook(statuses=[{"id": "wamid.1", "status": "sent"}]))
    await put(redis, Lane.MESSAGES, webhook(messages=[message()]))
    await runtime.drain(Lane.STATUSES)
    await runtime.drain(Lane.MESSAGES)
    assert await redis.exists(keys.ready(Lane.STATUSES))
    assert not await redis.exists(keys.ready(Lane.MESSAGES))


async def test_a_redis_that_goes_away_is_said_once_and_is_no_bug(
    php: Php, make_runtime: MakeRuntime, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dramatiq would say so with a traceback, each time that the reconciler wakes a worker."""
    runtime = make_runtime(php)
    await put(redis, Lane.MESSAGES, webhook(messages=[message()]))
    run, errors = drain_module.Drain.run, [ConnectionError("gone")] * 2

    async def fails(drain: drain_module.Drain) -> bool:
        if errors:
            raise errors.pop()
        return await run(drain)

    monkeypatch.setattr(drain_module.Drain, "run", fails)
    with capture_logs() as logs:
        for _ in range(3):
            await runtime.drain(Lane.MESSAGES)
    said = [one["event"] for one in logs if "lane." in one["event"]]
    assert said == ["lane.not_drained", "lane.not_drained.resolved"]
    assert len(php.batches) == 1


# -- campaigns --


async def start(stage: Stage, runtime: Runtime) -> None:
    await stage.redis.hset(keys.CAMPAIGNS, stage.campaign.uid, stage.vendor.uid)
    await runtime.send_campaign(stage.vendor.uid, stage.campaign.uid)


async def test_a_campaign_is_sent_and_nobody_waits_for_it(
    make_stage: MakeStage, make_runtime: MakeRuntime
) -> None:
    stage = await make_stage()
    runtime = make_runtime(stage.php, stage.cloud.url)
    await start(stage, runtime)
    assert not stage.accepts(), "the actor has returned, and holds no thread"
    await eventually(stage.all_accepted)
    await eventually(lambda: not runtime._campaigns)
    assert not await stage.listed()
    of_campaign = [
        *stage.php.to(contract.CLAIM_MESSAGES),
        *stage.php.to(contract.UPDATE_MESSAGE_STATUSES),
    ]
    traces = {call.headers["traceparent"].split("-")[1] for call in of_campaign}
    assert traces == {id_of(stage.campaign.uid)}, "its calls are one trace, whoever sends it"


async def test_a_campaign_that_another_worker_sends_is_left_alone(
    make_stage: MakeStage, make_runtime: MakeRuntime
) -> None:
    stage = await make_stage()
    runtime = make_runtime(stage.php, stage.cloud.url)
    async with stage.held():
        await start(stage, runtime)
        await eventually(lambda: not runtime._campaigns)
    assert stage.statuses() == {1: 12}
    assert runtime._campaign_outages == {}


async def test_a_campaign_is_begun_once_and_no_more_than_are_allowed(
    php: Php, make_runtime: MakeRuntime, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []
    go_on = asyncio.Event()

    async def run(self: CampaignRun) -> bool:
        begun.append(self._campaign_uid)
        await go_on.wait()
        return False

    monkeypatch.setattr(CampaignRun, "run", run)
    php.always(contract.VENDOR_CONFIG, answer({"vendors": [{"vendor_uid": "v"}]}))
    runtime = make_runtime(php, campaign_concurrency=2)
    for uid in ("c1", "c1", "c2", "c3"):
        await runtime.send_campaign("v", uid)
    await eventually(lambda: len(begun) == 2)
    assert sorted(begun) == ["c1", "c2"]
    await asyncio.sleep(0.05)
    assert set(runtime._campaigns) == {"c1", "c2"}
    go_on.set()
    await eventually(lambda: not runtime._campaigns)
    await runtime.send_campaign("v", "c3")
    await eventually(lambda: sorted(begun) == ["c1", "c2", "c3"])
    runtime.stopping = True
    await runtime.send_campaign("v", "c4")
    assert "c4" not in runtime._campaigns


async def test_somebody_is_woken_for_what_is_left_of_a_campaign(
    php: Php, make_runtime: MakeRuntime, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run(self: CampaignRun) -> bool:
        return True

    monkeypatch.setattr(CampaignRun, "run", run)
    php.always(contract.VENDOR_CONFIG, answer({"vendors": [{"vendor_uid": "v"}]}))
    runtime = make_runtime(php)
    await runtime.send_campaign("v", "c1")
    await eventually(lambda: wakeups(runtime) == [send_campaign("v", "c1")])
    assert not await redis.exists(keys.lease(campaign_lease("c1"))), "whoever comes finds it free"


async def test_a_campaign_that_fails_takes_nothing_else_along(
    php: Php, make_runtime: MakeRuntime, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run(self: CampaignRun) -> bool:
        raise ValueError("a bug")

    monkeypatch.setattr(CampaignRun, "run", run)
    php.always(contract.VENDOR_CONFIG, answer({"vendors": [{"vendor_uid": "v"}]}))
    runtime = make_runtime(php)
    await runtime.send_campaign("v", "c1")
    await eventually(lambda: not runtime._campaigns)
    assert not await redis.exists(keys.lease(campaign_lease("c1")))


@pytest.mark.parametrize("given", [Answer(503), Answer(500), Answer(200, b"{}")])
async def test_php_does_not_say_who_the_vendor_is(
    php: Php, make_runtime: MakeRuntime, redis: Redis, given: Answer
) -> None:
    await redis.hset(keys.CAMPAIGNS, "c1", "v")
    php.always(contract.VENDOR_CONFIG, given)
    runtime = make_runtime(php)
    for _ in range(2):
        await runtime.send_campaign("v", "c1")
        await eventually(lambda: not runtime._campaigns)
    assert await redis.hexists(keys.CAMPAIGNS, "c1")


@pytest.mark.parametrize("leftovers", [False, True])
async def test_a_vendor_that_is_gone_is_forgotten_unless_something_is_left_of_it(
    php: Php, make_runtime: MakeRuntime, redis: Redis, leftovers: bool
) -> None:
    await redis.hset(keys.CAMPAIGNS, "c1", "v")
    if leftovers:
        await redis.hset(keys.ledger("c1"), "row-1", "c:claim")
    php.always(contract.VENDOR_CONFIG, answer({"vendors": [], "unknown": ["v"]}))
    runtime = make_runtime(php)
    await runtime.send_campaign("v", "c1")
    await eventually(lambda: not runtime._campaigns)
    assert bool(await redis.hexists(keys.CAMPAIGNS, "c1")) is leftovers


async def test_a_campaign_that_is_sent_follows_what_another_process_announces(
    make_stage: MakeStage, make_runtime: MakeRuntime
) -> None:
    stage = await make_stage(60, rate=60, numbers=2)
    old, new = stage.vendor.phone_number_ids
    runtime = make_runtime(stage.php, stage.cloud.url)
    await runtime.start()
    await start(stage, runtime)
    await eventually(lambda: len(stage.accepts()) > 5)
    stage.embedded.set_setting(stage.vendor, CURRENT_PHONE_NUMBER_ID, new)
    change = InvalidateRequest(vendor_uids=[stage.vendor.uid])
    await ConfigChanges(stage.redis, {}).announce(change)
    await eventually(stage.all_accepted)
    sent = stage.cloud.engine.ledger.messages
    assert {message.number.phone_number_id for message in sent} == {old, new}


# -- beginning and end --


async def test_it_removes_the_half_files_of_dead_processes(
    php: Php, make_runtime: MakeRuntime, tmp_path: Path
) -> None:
    (tmp_path / ".parts").mkdir()
    left = tmp_path / ".parts" / f"e.{'0' * 16}.part"
    left.write_bytes(b"half")
    os.utime(left, (1, 1))
    await make_runtime(php, media_dir=tmp_path).start()
    await eventually(lambda: not left.exists())


async def test_it_reconciles_while_it_runs(
    php: Php, make_runtime: MakeRuntime, redis: Redis
) -> None:
    runtime = make_runtime(php)
    await runtime.start()
    await redis.hset(keys.CAMPAIGNS, "c1", "v")
    await eventually(lambda: send_campaign("v", "c1") in wakeups(runtime))
    await runtime.close()
    assert all(task.done() for task in runtime._background)


async def test_it_tells_people_what_is_wrong(
    php: Php, make_runtime: MakeRuntime, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.notify.notifier.IDLE_S", 0.02)
    httpserver.expect_request("/hook").respond_with_data("ok")
    runtime = make_runtime(php, notify_slack_url=httpserver.url_for("/hook"), notify_after_s=0)
    await runtime.start()
    await eventually(lambda: httpserver.log)
    assert "sidecar serve is not running" in httpserver.log[0][0].get_data(as_text=True)
    await runtime.close()


async def test_a_change_of_configuration_is_followed(
    php: Php, make_runtime: MakeRuntime, redis: Redis
) -> None:
    php.always(contract.VENDOR_CONFIG, answer({"vendors": [{"vendor_uid": "v"}]}))
    runtime = make_runtime(php)
    await runtime.start()
    await runtime._vendors.get("v")
    await ConfigChanges(redis, {}).announce(InvalidateRequest(vendor_uids=["v"]))
    await eventually(lambda: len(php.to(contract.VENDOR_CONFIG)) == 2)


async def test_campaigns_are_shut_down_before_it_ends(
    make_stage: MakeStage, make_runtime: MakeRuntime
) -> None:
    stage = await make_stage(200, rate=80)
    runtime = make_runtime(stage.php, stage.cloud.url)
    await start(stage, runtime)
    await eventually(lambda: len(stage.accepts()) > 5)
    await runtime.close()
    assert stage.statuses() == {4: len(stage.accepts()), 1: 200 - len(stage.accepts())}
    assert await stage.ledger.empty()
    assert not await stage.redis.exists(keys.lease(campaign_lease(stage.campaign.uid)))


async def test_it_may_be_stopped_from_another_thread(
    make_stage: MakeStage, make_runtime: MakeRuntime
) -> None:
    """As Dramatiq does; campaigns begin to end at once."""
    stage = await make_stage(200, rate=20)
    runtime = make_runtime(stage.php, stage.cloud.url)
    await start(stage, runtime)
    await eventually(lambda: len(stage.accepts()) > 2)
    await asyncio.to_thread(runtime.stop)
    await eventually(lambda: not runtime._campaigns)
    assert stage.statuses()[1] > 0
    assert await stage.ledger.empty()


async def test_what_does_not_end_in_time_is_left_in_the_ledger(
    make_stage: MakeStage, make_runtime: MakeRuntime
) -> None:
    """The Cloud API hangs. The time begins when the process is told to end."""
    stage = await make_stage(3)
    stage.fault(FaultKind.SLOW, seconds=20)
    runtime = make_runtime(stage.php, stage.cloud.url, shutdown_timeout_s=1)
    await start(stage, runtime)
    await eventually(lambda: len(stage.accepts()) == 3)
    runtime.stop()
    with capture_logs() as logs:
        await asyncio.wait_for(runtime.close(), 10)
    assert "campaign.shutdown_timeout" in [log["event"] for log in logs]
    left = await state_of(stage.ledger)
    assert len(left.sending) + len(left.known) == 3
    assert {result.outcome for result in left.known} <= {contract.SendOutcome.UNKNOWN}
    assert await stage.listed()
    assert not await stage.redis.exists(keys.lease(campaign_lease(stage.campaign.uid)))


async def test_a_process_that_steps_aside_begins_nothing(
    php: Php, make_runtime: MakeRuntime, redis: Redis
) -> None:
    runtime = make_runtime(php)
    await put(redis, Lane.MESSAGES, webhook(messages=[message()]))
    runtime._services.aside.set()
    await runtime.drain(Lane.MESSAGES)
    await runtime.send_campaign("v", "c1")
    assert (php.batches, runtime._campaigns, wakeups(runtime)) == ([], {}, [])
    runtime._services.aside.clear()
    await runtime.drain(Lane.MESSAGES)
    assert len(php.batches) == 1


async def test_a_campaign_that_waits_for_php_is_given_up_by_who_steps_aside(
    php: Php, make_runtime: MakeRuntime, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = asyncio.Event()

    async def run(self: CampaignRun) -> bool:
        await released.wait()
        return False

    monkeypatch.setattr(CampaignRun, "run", run)
    monkeypatch.setattr(module, "LEAVE_S", 0.05)
    php.always(contract.VENDOR_CONFIG, answer({"vendors": [{"vendor_uid": "v"}]}))
    runtime = make_runtime(php)
    await runtime.send_campaign("v", "c1")
    lease = keys.lease(campaign_lease("c1"))
    await eventually(lambda: redis.exists(lease))
    runtime._leave_campaigns()

    async def free() -> bool:
        return not await redis.exists(lease)

    await eventually(free)
    assert runtime._campaigns, "it has not ended, and another one can begin"
    released.set()
    await eventually(lambda: not runtime._campaigns)


async def test_a_campaign_that_is_sent_here_again_meanwhile_is_kept(
    php: Php, make_runtime: MakeRuntime, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PHP has answered again, before the earlier run was to be given up."""
    runs: list[asyncio.Event] = []

    async def run(self: CampaignRun) -> bool:
        runs.append(asyncio.Event())
        await runs[-1].wait()
        return False

    monkeypatch.setattr(CampaignRun, "run", run)
    monkeypatch.setattr(module, "LEAVE_S", 0.3)
    php.always(contract.VENDOR_CONFIG, answer({"vendors": [{"vendor_uid": "v"}]}))
    runtime = make_runtime(php)
    await runtime.send_campaign("v", "c1")
    await eventually(lambda: len(runs) == 1)
    runtime._leave_campaigns()
    runs[0].set()
    await eventually(lambda: not runtime._campaigns)
    await runtime.send_campaign("v", "c1")
    await eventually(lambda: len(runs) == 2)
    await asyncio.sleep(0.5)
    assert await redis.exists(keys.lease(campaign_lease("c1")))
    runs[1].set()
    await eventually(lambda: not runtime._campaigns)
