"""Moving a vendor whose campaign real processes send; and they are killed."""

import asyncio
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from contracts.backend import QueueStatus
from contracts.modes import Mode
from sidecar.redis import keys
from simulator.processes import Process
from tests import trust
from tests.eventually import eventually
from tests.workers.conftest import MakeStage
from tests.workers.moving import Moving
from tests.workers.stage import Stage
from tests.workers.test_main import start_worker

__all__ = ["start_worker"]

StartWorker = Callable[..., Awaitable[Process]]


@pytest.fixture
async def sent_by_a_process(
    make_stage: MakeStage, start_worker: StartWorker
) -> tuple[Moving, Process]:
    """A campaign of ten seconds, of which something is sent."""
    stage = await make_stage(500, rate=50)
    await stage.redis.hset(keys.CAMPAIGNS, stage.campaign.uid, stage.vendor.uid)
    worker = await start_worker(stage, "campaigns")
    await eventually(lambda: len(stage.accepts()) >= 20, 20)
    return Moving(stage), worker


def run_command(redis_url: str, stage: Stage, *arguments: str, **settings: str) -> Any:
    return asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sidecar.commands.main", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={
            "SIDECAR_REDIS_URL": redis_url,
            "SIDECAR_BACKEND_URL": stage.embedded.base_url,
            "SIDECAR_SIGNING_KEYS": f"{trust.KEY_ID}:{trust.SIGNING_SECRET}",
            "SIDECAR_CRON_SETTLE_S": "0",
            **settings,
        },
    )


def assert_returned(stage: Stage) -> None:
    """What was not sent is queued again."""
    statuses = stage.statuses()
    assert set(statuses) == {QueueStatus.QUEUED, QueueStatus.AWAITING_STATUS}
    assert statuses[QueueStatus.AWAITING_STATUS] == len(stage.accepts())


async def test_a_rollback_on_the_command_line(
    sent_by_a_process: tuple[Moving, Process], redis_url: str
) -> None:
    moving, _ = sent_by_a_process
    stage = moving.stage
    command = await run_command(redis_url, stage, "rollback", stage.vendor.uid)
    output, _ = await command.communicate()
    assert command.returncode == 0, output.decode()
    assert (await moving.modes()).campaigns is Mode.PHP
    assert_returned(stage)
    sent = len(stage.accepts())
    await asyncio.sleep(1)
    assert len(stage.accepts()) == sent, "nobody sends any more"


async def test_a_worker_that_is_killed_before_it_has_settled(
    sent_by_a_process: tuple[Moving, Process], start_worker: StartWorker
) -> None:
    """Its rows may be sent, or not: the vendor is held until another worker has settled them."""
    moving, worker = sent_by_a_process
    stage = moving.stage
    worker.kill()
    assert not await stage.ledger.empty()
    modes, waits_for = await moving.move(campaigns=Mode.PHP, timeout_s=0.5)
    assert modes.campaigns is Mode.HELD
    assert waits_for is not None
    await stage.drop_lease()
    await start_worker(stage, "campaigns")
    modes, waits_for = await moving.move(campaigns=Mode.PHP, timeout_s=20)
    assert (modes.campaigns, waits_for) == (Mode.PHP, None)
    statuses: Counter[int] = stage.statuses()
    assert sum(statuses.values()) == 500
    assert set(statuses) <= {
        *(QueueStatus.QUEUED, QueueStatus.AWAITING_STATUS, QueueStatus.UNKNOWN),
    }


async def test_a_command_that_is_killed_while_the_vendor_is_held(
    make_stage: MakeStage, redis_url: str
) -> None:
    moving = Moving(await make_stage(3))
    stage = moving.stage
    await moving.move(campaigns=Mode.PHP)
    arguments = ("cutover", stage.vendor.uid, "--campaigns", "sidecar")
    command = await run_command(redis_url, stage, *arguments, SIDECAR_CRON_SETTLE_S="600")
    await eventually(moving.held, 20)
    command.kill()
    await command.communicate()
    listed = await run_command(redis_url, stage, "modes", "list")
    output, _ = await listed.communicate()
    assert b"of 1 vendor are held, so nobody sends them" in output
    command = await run_command(redis_url, stage, *arguments)
    output, _ = await command.communicate()
    assert command.returncode == 0, output.decode()
    assert (await moving.modes()).campaigns is Mode.SIDECAR
