"""Pausing, resuming and cancelling campaigns: what is said of it."""

from typing import cast

import pytest

from contracts.backend import CampaignCounts, ErrorCode
from contracts.campaigns import CampaignAction, CampaignState
from contracts.sidecar_api import CampaignAnswer
from sidecar.ops.campaign_actions import act
from sidecar.php.client import BackendUnavailable
from sidecar.redis.client import RedisUnavailable
from sidecar.sending.campaign_control import CampaignControl, CampaignRefused, PhpNotTold

PAUSE, RESUME = CampaignAction.PAUSE, CampaignAction.RESUME


class Control:
    """Answers as it is told to."""

    def __init__(self, answer: CampaignAnswer | Exception) -> None:
        self._answer = answer

    async def act(self, uid: str, action: CampaignAction, reason: str | None) -> CampaignAnswer:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def control(answer: CampaignAnswer | Exception) -> CampaignControl:
    return cast(CampaignControl, Control(answer))


def stands(state: CampaignState, warning: str | None = None) -> CampaignAnswer:
    return CampaignAnswer(
        campaign_uid="c-1",
        vendor_uid="v-1",
        state=state,
        reason="the price" if state is CampaignState.PAUSED else None,
        active=False,
        warning=warning,
        due=0,
        counts=CampaignCounts(queued=1000, processing=2, unknown=3),
    )


async def test_how_it_stands() -> None:
    acted = await act(control(stands(CampaignState.PAUSED)), "c-1", PAUSE)
    assert acted.trouble is None
    assert str(acted) == "campaign c-1 is paused: the price; 1,000 queued, 2 claimed, 3 unknown"
    acted = await act(control(stands(CampaignState.RUNNING, "but for this")), "c-1", RESUME)
    assert acted.trouble == "but for this"
    assert str(acted).startswith("campaign c-1 is running; ")


@pytest.mark.parametrize(
    ("action", "answer", "says"),
    [
        (RESUME, stands(CampaignState.PAUSED), "somebody has stopped it meanwhile"),
        (PAUSE, stands(CampaignState.PAUSED, "gone"), "Redis could not be told: what workers"),
    ],
)
async def test_what_is_done_but_for_something(
    action: CampaignAction, answer: CampaignAnswer, says: str
) -> None:
    acted = await act(control(answer), "c-1", action)
    assert acted.answer is answer
    assert says in (acted.trouble or "")


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (CampaignRefused(409, ErrorCode.CAMPAIGN_CANCELLED, "no"), "it was cancelled, and stays"),
        (CampaignRefused(404, ErrorCode.CAMPAIGN_UNKNOWN, "PHP knows no campaign"), "PHP knows no"),
        (PhpNotTold("gone"), "stopped; PHP does not know it yet"),
        (BackendUnavailable("gone"), "PHP call failed: gone"),
        (RedisUnavailable[0]("gone"), "Redis is unavailable: gone"),
    ],
)
async def test_what_went_wrong(error: Exception, says: str) -> None:
    acted = await act(control(error), "c-1", PAUSE)
    assert (acted.answer, str(acted)) == (None, "")
    assert (acted.trouble or "").startswith(says)
