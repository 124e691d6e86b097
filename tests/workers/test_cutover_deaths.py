"""Whoever moves a vendor dies, at each step: the same move again finishes it, nothing is sent
twice, and nothing is left."""

import asyncio
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from contracts.backend import (
    RELEASE_MESSAGES,
    CampaignState,
    QueueStatus,
    ReleaseMessagesAnswer,
    ReleaseMessagesRequest,
)
from contracts.modes import Mode, ModesAnswer, ModesRequest
from contracts.sidecar_api import InvalidateRequest
from sidecar.migration.cutover import Cutover
from sidecar.php.config_feed import ConfigChanges
from sidecar.redis import keys
from tests.eventually import eventually
from tests.workers.moving import Moving

pytestmark = pytest.mark.usefixtures("short_pauses")

#: What a move does that others see: it reads, holds, tells, passes on, tells.
STEPS = 5


class Died(Exception):
    """Stands for the end of the process."""


class Mortal:
    """Dies before or after the step of this number."""

    def __init__(self, step: int, *, before: bool) -> None:
        self._step, self._before = step, before
        self._steps = count(1)

    async def take(self, step: Callable[[], Any]) -> Any:
        last = next(self._steps) == self._step
        if last and self._before:
            raise Died
        done = await step()
        if last:
            raise Died
        return done


class MortalCutover(Cutover):
    def __init__(self, moving: Moving, mortal: Mortal) -> None:
        stage = moving.stage
        changes = MortalChanges(moving, mortal)
        super().__init__(moving.settings, stage.redis, stage.backend, changes)
        self._mortal = mortal

    async def _call(self, request: ModesRequest) -> ModesAnswer:
        call = super()._call
        answer: ModesAnswer = await self._mortal.take(lambda: call(request))
        return answer


class MortalChanges(ConfigChanges):
    def __init__(self, moving: Moving, mortal: Mortal) -> None:
        super().__init__(moving.stage.redis, {})
        self._mortal = mortal

    async def announce(self, change: InvalidateRequest) -> None:
        announce = super().announce
        await self._mortal.take(lambda: announce(change))


async def die(moving: Moving, step: int, *, before: bool, **asked: Any) -> None:
    with pytest.raises(Died):
        await MortalCutover(moving, Mortal(step, before=before)).move(moving.asked(**asked))


async def run_until_it_leaves(moving: Moving) -> None:
    """Run as a worker and the reconciler would: while the campaign is on the list."""
    while await moving.stage.listed():
        await moving.run()


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("step", range(1, STEPS + 1))
async def test_on_the_way_to_php(moving: Moving, step: int, before: bool) -> None:
    stage = moving.stage
    await stage.redis.hset(keys.CAMPAIGNS, stage.campaign.uid, stage.vendor.uid)
    running = asyncio.create_task(run_until_it_leaves(moving))
    await eventually(lambda: len(stage.accepts()) >= 3)
    await die(moving, step, before=before, campaigns=Mode.PHP)
    assert (await moving.modes()).campaigns in (Mode.SIDECAR, Mode.HELD, Mode.PHP)
    modes, waits_for = await moving.move(campaigns=Mode.PHP)
    assert (modes.campaigns, waits_for) == (Mode.PHP, None)
    await running
    await eventually(lambda: not moving.ours())
    assert await stage.ledger.empty()
    statuses = stage.statuses()
    assert set(statuses) == {QueueStatus.QUEUED, QueueStatus.AWAITING_STATUS}
    assert statuses[QueueStatus.AWAITING_STATUS] == len(stage.accepts())


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("step", range(1, STEPS + 1))
async def test_on_the_way_to_the_sidecar(moving: Moving, step: int, before: bool) -> None:
    await moving.move(campaigns=Mode.PHP)
    await eventually(lambda: not moving.ours())
    moving.settings = moving.settings.model_copy(update={"cron_settle_s": 0.01})
    await die(moving, step, before=before, campaigns=Mode.SIDECAR)
    modes, waits_for = await moving.move(campaigns=Mode.SIDECAR)
    assert (modes.campaigns, waits_for) == (Mode.SIDECAR, None)
    await eventually(moving.ours)
    assert (await moving.path())[-3:] == [Mode.PHP, Mode.HELD, Mode.SIDECAR], "held once"


@pytest.mark.parametrize("step", range(1, STEPS + 1))
async def test_a_pause_is_there_whoever_dies(moving: Moving, step: int) -> None:
    """On the way to PHP and back."""
    stage = moving.stage
    release = {"vendor_uid": stage.vendor.uid, "campaign_uid": stage.campaign.uid}
    request = ReleaseMessagesRequest(**release, campaign_state=CampaignState.PAUSED)
    await stage.backend.call(RELEASE_MESSAGES, request, ReleaseMessagesAnswer)
    for mode in (Mode.PHP, Mode.SIDECAR):
        await die(moving, step, before=False, campaigns=mode)
        assert (await moving.move(campaigns=mode))[0].campaigns is mode
        [row] = stage.embedded.rows("campaigns", _uid=stage.campaign.uid)
        assert row["__data"]["sidecar"]["state"] == "paused"
    await eventually(moving.ours)
    await stage.redis.hset(keys.CAMPAIGNS, stage.campaign.uid, stage.vendor.uid)
    await moving.run()
    assert set(stage.statuses()) == {QueueStatus.QUEUED}


@pytest.mark.parametrize("mode", [Mode.PHP, Mode.SIDECAR])
async def test_another_way_out(moving: Moving, mode: Mode) -> None:
    """What was held on the way to one side may as well go to the other."""
    if mode is Mode.SIDECAR:
        await die(moving, 3, before=True, campaigns=Mode.PHP)
    else:
        await moving.move(campaigns=Mode.PHP)
        await die(moving, 3, before=True, campaigns=Mode.SIDECAR)
    assert await moving.held()
    assert (await moving.move(campaigns=mode))[0].campaigns is mode


async def test_a_move_has_as_many_steps(moving: Moving) -> None:
    """If it had more, the tests above would leave some out."""
    mortal = Mortal(STEPS + 1, before=True)
    await MortalCutover(moving, mortal).move(moving.asked(campaigns=Mode.PHP))
    assert next(mortal._steps) == STEPS + 1
