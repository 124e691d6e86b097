"""A worker process as it is: it drains, it sends, and it ends in time with everything recorded."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from contracts.jobs import Lane, drain, send_campaign
from sidecar.inbox.wakeups import WakeUpBroker, message
from sidecar.redis import keys
from sidecar.redis.client import connect
from sidecar.url import next_database
from simulator.processes import Process, ProcessFailed, python
from tests import trust
from tests.eventually import eventually
from tests.workers.conftest import MakeStage
from tests.workers.lane import put
from tests.workers.payloads import message as incoming
from tests.workers.payloads import status, webhook
from tests.workers.stage import Stage

StartWorker = Callable[..., Awaitable[Process]]


@pytest.fixture
async def start_worker(
    own_environment: None, redis_url: str, tmp_path: Path
) -> AsyncIterator[StartWorker]:
    """Start worker processes for a stage; they are stopped at the end."""
    started: list[Process] = []

    async def start(stage: Stage, *queues: str) -> Process:
        environment = {
            "SIDECAR_REDIS_URL": redis_url,
            "SIDECAR_BACKEND_URL": stage.embedded.base_url,
            "SIDECAR_CLOUD_API_URL": stage.cloud.url,
            "SIDECAR_SIGNING_KEYS": f"{trust.KEY_ID}:{trust.SIGNING_SECRET}",
            "SIDECAR_RECONCILE_INTERVAL_S": "0.1",
            "SIDECAR_DUE_CAMPAIGNS_INTERVAL_S": "0.5",
            "SIDECAR_STATUS_WAIT_MS": "0",
        }
        process = Process(
            f"worker-{len(started)}",
            python("workers", *queues),
            tmp_path / "worker.log",
            environment=environment,
        )
        started.append(process)
        return await asyncio.to_thread(process.start)

    yield start
    for process in started:
        await asyncio.to_thread(process.stop)


def texts(stage: Stage, count: int) -> list[bytes]:
    metadata = {"phone_number_id": stage.vendor.phone_number_ids[0]}
    return [
        webhook(messages=[incoming("99911", f"wamid.{stage.vendor.uid}.{n}")], metadata=metadata)
        for n in range(count)
    ]


def incoming_count(stage: Stage) -> int:
    rows = stage.embedded.rows(
        "whatsapp_message_logs", vendors__id=stage.vendor.id, is_incoming_message=1
    )
    return len(rows)


async def test_it_drains_and_sends_and_ends_in_time(
    make_stage: MakeStage, start_worker: StartWorker, redis_url: str
) -> None:
    stage = await make_stage(300, rate=80)
    await put(stage.redis, Lane.MESSAGES, *texts(stage, 20), vendor=stage.vendor.uid)
    worker = await start_worker(stage)
    broker = WakeUpBroker(next_database(redis_url))
    await stage.redis.hset(keys.CAMPAIGNS, stage.campaign.uid, stage.vendor.uid)
    broker.enqueue(message(send_campaign(stage.vendor.uid, stage.campaign.uid)))
    broker.enqueue(message(drain(Lane.MESSAGES)))
    await eventually(lambda: incoming_count(stage) == 20, 15)
    await eventually(lambda: len(stage.accepts()) > 20, 15)
    first = stage.cloud.engine.ledger.messages[0]
    body = webhook(statuses=[status(first.wamid, "read", first.callback_data)])
    await put(stage.redis, Lane.STATUSES, body, vendor=stage.vendor.uid)
    await eventually(lambda: stage.status_of(first.callback_data or "") is None, 15)
    assert await asyncio.to_thread(worker.stop) == 0
    broker.close()
    accepted = len(stage.accepts())
    assert 20 < accepted < 300
    statuses = stage.statuses()
    assert statuses[3] == statuses[6] == 0, worker.last_words()
    assert statuses[4] == accepted - 1, "of one there was a status"
    assert statuses[1] == 300 - accepted, "what was claimed and not sent went back"
    assert await stage.ledger.empty()
    assert not await stage.redis.keys(keys.lease("*"))
    assert "Traceback" not in worker.log.read_text()


async def test_wake_ups_may_get_lost(
    make_stage: MakeStage, start_worker: StartWorker, redis_url: str
) -> None:
    """Every key of Dramatiq's is deleted over and over, without wake-ups: it costs a delay."""
    stage = await make_stage(40, rate=80)
    wake_ups = connect(next_database(redis_url), timeout_s=5)
    await start_worker(stage)
    await put(stage.redis, Lane.MESSAGES, *texts(stage, 5), vendor=stage.vendor.uid)

    async def wiped_and_done() -> bool:
        await wake_ups.flushdb()
        await asyncio.sleep(0.25)
        return incoming_count(stage) == 5 and stage.all_accepted()

    await eventually(wiped_and_done, 30)
    await wake_ups.aclose()


async def test_a_process_for_each_queue(make_stage: MakeStage, start_worker: StartWorker) -> None:
    """A process that only drains customers' messages wakes others for campaigns, and sends none."""
    stage = await make_stage(5)
    await start_worker(stage, "messages")
    await put(stage.redis, Lane.MESSAGES, *texts(stage, 3), vendor=stage.vendor.uid)
    await eventually(lambda: incoming_count(stage) == 3, 15)
    assert stage.statuses() == {1: 5}
    await start_worker(stage, "campaigns")
    await eventually(stage.all_accepted, 15)


def test_it_says_what_is_wrong_with_its_settings(own_environment: None, tmp_path: Path) -> None:
    environment = {"SIDECAR_BACKEND_URL": "x"}
    process = Process("worker", python("workers"), tmp_path / "log", environment=environment)
    with pytest.raises(ProcessFailed, match="SIDECAR_"):
        process.start()


def test_it_knows_its_queues(own_environment: None) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "workers", "nonsense"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert "messages" in ended.stderr
