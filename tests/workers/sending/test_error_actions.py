"""Every error code as the answer to a send: what is done, on the real parts."""

import time
from dataclasses import replace

import pytest

from contracts.backend import CampaignState, SendError
from contracts.cloud_api.errors import RULES, rule_for
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.sending.campaigns import ErrorPath
from sidecar.sending.halts import Halt, Halts
from simulator.cloud_api.fault import FaultKind
from tests.conftest import MakeSettings
from tests.workers.conftest import MakeStage
from tests.workers.error_effects import ACTIONS, effects
from tests.workers.rows import CAMPAIGN
from tests.workers.slots import limits
from tests.workers.stage import Stage
from workers.sending.error_actions import ErrorActions, Failure, Streak
from workers.sending.error_policy import decide_error
from workers.sending.holds import PAUSES
from workers.sending.limiter import Limiter


def test_every_code_has_an_action() -> None:
    assert set(ACTIONS) == set(RULES), (
        "say in tests/workers/error_effects.py what the new code does"
    )


async def seen(stage: Stage) -> set[str]:
    """Return what the error has done."""
    found = await effects(
        stage.redis,
        vendor=stage.vendor.uid,
        campaign=stage.campaign.uid,
        number=stage.vendor.phone_number_ids[0],
        account=stage.vendor.business_account_id,
        path="answer",
    )
    rows = stage.queue()
    if any(row["status"] == 2 for row in rows):
        found.add("message failed")
    if any(row["status"] == 1 and row["retries"] for row in rows):
        found.add("message retried")
    return found


@pytest.fixture(autouse=True)
def long_maintenance(short_pauses: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a campaign does not wait for its end."""
    for code in (131057, 2494100):
        monkeypatch.setitem(PAUSES, code, replace(PAUSES[code], first_s=60))


@pytest.mark.parametrize("code", RULES)
async def test_an_answer(make_stage: MakeStage, code: int) -> None:
    stage = await make_stage(3, send_concurrency=1)
    # The last one of the row: what is accepted after it would end a row of errors.
    stage.fault(FaultKind.ERROR, code=code, to=stage.campaign.recipients[-1], times=1)
    await stage.run()
    paused = any(action.endswith(" paused") for action in ACTIONS[code])
    expected = ACTIONS[code] | ({"campaign stopped"} if paused else set())
    found = await seen(stage)
    if found & {"account held", "app held", "number held"} and code != 130429:
        expected.add("campaign rests")
    assert found == expected
    state = stage.campaign_data().get("state")
    if "campaign stopped" in expected:
        assert state == "paused"
        assert str(code) in stage.campaign_data()["reason"]
    else:
        assert state != "paused"
    assert stage.statuses()[3] == 0


# -- errors in a row --


def failure(code: int = 131009, at: float | None = None) -> Failure:
    error = SendError(code=code, message="x")
    decision = decide_error(rule_for(code, 400), error)
    seconds = time.time() if at is None else at
    return Failure("vendor-1", CAMPAIGN, limits(80.0), (), seconds, error, decision)


@pytest.fixture
def actions(redis: Redis, make_settings: MakeSettings) -> ErrorActions:
    return ErrorActions(make_settings(campaign_error_streak=3), redis, Limiter(redis))


async def test_errors_of_the_class_are_one_row(actions: ErrorActions) -> None:
    codes = (131008, 131009, 135000)
    found = [await actions.count(failure(code), ErrorPath.ANSWER) for code in codes]
    assert found[:2] == [Streak(), Streak()]
    assert found[2] == Streak(stopped=True, reason="3 errors in a row, the last one: 135000 x")


async def test_a_campaign_that_is_halted_is_stopped_whatever_came_before(
    actions: ErrorActions, redis: Redis
) -> None:
    await Halts(redis).put(CAMPAIGN, "vendor-1", Halt(CampaignState.CANCELLED, "by hand"))
    for code in (131009, 132015):
        assert await actions.count(failure(code), ErrorPath.ANSWER) == Streak(stopped=True)
    halt = await Halts(redis).find(CAMPAIGN)
    assert halt is not None
    assert halt.state is CampaignState.CANCELLED


async def test_what_came_before_a_person_acted_counts_for_nothing(
    actions: ErrorActions, redis: Redis
) -> None:
    await redis.set(keys.lifted("campaign", CAMPAIGN), int(time.time() * 1000) - 1000)
    before = failure(132015, time.time() - 5)
    assert await actions.count(before, ErrorPath.STATUS) == Streak()
    assert (await actions.count(failure(132015), ErrorPath.STATUS)).reason == "132015 x"


async def test_a_clock_that_was_set_back_hides_no_error(
    actions: ErrorActions, redis: Redis
) -> None:
    """What a person did seems to lie in the future."""
    await redis.set(keys.lifted("campaign", CAMPAIGN), int(time.time() * 1000) + 1_200_000)
    assert (await actions.count(failure(132015), ErrorPath.ANSWER)).stopped
