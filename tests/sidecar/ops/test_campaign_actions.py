"""Pausing, resuming and cancelling campaigns: what is said of it."""

from typing import cast

import pytest

from contracts.backend import CampaignCounts, ErrorCode
from contracts.campaigns import CampaignAction, CampaignState
from contracts.sidecar_api import CampaignAnswer
from sidecar.ops.audit import Audit, Who
from sidecar.ops.campaign_actions import Auditor, act
from sidecar.php.client import BackendUnavailable
from sidecar.redis.client import Redis, RedisUnavailable
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


@pytest.fixture
def by(redis: Redis) -> Auditor:
    return Audit(redis, 100), Who("command", "ada@host")


async def recorded(by: Auditor) -> tuple[str, str, str, dict[str, str]]:
    [entry] = await by[0].read()
    assert entry.who == by[1]
    return entry.action, entry.target, entry.outcome, entry.details


async def test_how_it_stands(by: Auditor) -> None:
    acted = await act(control(stands(CampaignState.PAUSED)), "c-1", PAUSE, "the price", by)
    assert (acted.trouble, acted.done) == (None, True)
    assert await recorded(by) == ("campaign.pause", "c-1", "done", {"reason": "the price"})
    assert str(acted) == "campaign c-1 is paused: the price; 1,000 queued, 2 claimed, 3 unknown"
    acted = await act(control(stands(CampaignState.RUNNING, "but for")), "c-1", RESUME, None, by)
    assert (acted.trouble, acted.done) == ("but for", True)
    assert str(acted).startswith("campaign c-1 is running; ")


@pytest.mark.parametrize(
    ("action", "answer", "says", "outcome"),
    [
        (RESUME, stands(CampaignState.PAUSED), "somebody has stopped it meanwhile", "failed"),
        (PAUSE, stands(CampaignState.PAUSED, "gone"), "Redis could not be told: what", "done"),
    ],
)
async def test_what_is_done_but_for_something(
    by: Auditor, action: CampaignAction, answer: CampaignAnswer, says: str, outcome: str
) -> None:
    acted = await act(control(answer), "c-1", action, None, by)
    assert acted.answer is answer
    assert says in (acted.trouble or "")
    *_, was, details = await recorded(by)
    assert (was, details) == (outcome, {"trouble": acted.trouble})


@pytest.mark.parametrize(
    ("error", "says", "outcome"),
    [
        (CampaignRefused(409, ErrorCode.CAMPAIGN_CANCELLED, "no"), "it was cancelled", "failed"),
        (CampaignRefused(404, ErrorCode.CAMPAIGN_UNKNOWN, "PHP knows no"), "PHP knows", "failed"),
        (PhpNotTold("gone"), "stopped; PHP does not know it yet", "done"),
        (BackendUnavailable("gone"), "PHP call failed: gone", "failed"),
        (RedisUnavailable[0]("gone"), "Redis is unavailable: gone", "failed"),
    ],
)
async def test_what_went_wrong(by: Auditor, error: Exception, says: str, outcome: str) -> None:
    acted = await act(control(error), "c-1", PAUSE, None, by)
    assert (acted.answer, str(acted)) == (None, "")
    assert (acted.trouble or "").startswith(says)
    assert (await recorded(by))[2] == outcome
