"""``release-messages``: rows that were not sent go back, and the campaign's state is kept."""

import asyncio
from typing import Any

import orjson
import pytest

from contracts import backend as contract
from contracts.campaigns import TRANSITIONS, CampaignAction, CampaignState
from tests.contract.caller import Caller
from tests.contract.payloads import accepted
from tests.contract.under_test import BackendUnderTest, Campaign


def _statuses(backend: BackendUnderTest, campaign: Campaign) -> list[int]:
    return [
        row["status"] for row in backend.rows("whatsapp_message_queue", campaigns__id=campaign.id)
    ]


async def test_released_rows_are_queued_again_without_an_attempt(
    caller: Caller, campaign: Campaign
) -> None:
    claimed = await caller.claim(campaign)
    released = await caller.release(campaign, campaign.row_uids[:2], claim_uid="claim")
    assert released == 2
    rows = caller.backend.rows("whatsapp_message_queue", campaigns__id=campaign.id)
    assert [row["status"] for row in rows] == [1, 1, 3]
    assert [row["retries"] for row in rows] == [0, 0, 0]
    assert "claim" not in rows[0]["__data"]["sidecar"]
    assert (await caller.claim(campaign, claim_uid="again")).rows == claimed.rows[:2]


async def test_releasing_twice_changes_nothing(caller: Caller, campaign: Campaign) -> None:
    await caller.claim(campaign)
    assert await caller.release(campaign, campaign.row_uids) == 3
    assert await caller.release(campaign, campaign.row_uids) == 0
    assert _statuses(caller.backend, campaign) == [1, 1, 1]


async def test_rows_of_another_claim_stay(caller: Caller, campaign: Campaign) -> None:
    await caller.claim(campaign, 1, claim_uid="mine")
    await caller.claim(campaign, 2, claim_uid="yours")
    assert await caller.release(campaign, campaign.row_uids, claim_uid="mine") == 1
    assert _statuses(caller.backend, campaign) == [1, 3, 3]
    assert await caller.release(campaign, campaign.row_uids) == 2


@pytest.mark.parametrize("status", [1, 2, 4, 5, 6])
async def test_rows_that_are_not_in_3_stay(caller: Caller, campaign: Campaign, status: int) -> None:
    await caller.claim(campaign)
    caller.backend.change("whatsapp_message_queue", {"status": status}, campaigns__id=campaign.id)
    assert await caller.release(campaign, campaign.row_uids, claim_uid="claim") == 0
    assert _statuses(caller.backend, campaign) == [status] * 3


async def test_rows_of_another_campaign_stay(caller: Caller, campaign: Campaign) -> None:
    other = caller.backend.seed_campaign(campaign.vendor, 1)
    await caller.claim(other)
    assert await caller.release(campaign, other.row_uids) == 0
    assert _statuses(caller.backend, other) == [3]


async def test_a_sent_row_is_not_given_back(caller: Caller, campaign: Campaign) -> None:
    await caller.claim(campaign)
    await caller.report(accepted(campaign, campaign.row_uids[0]))
    assert await caller.release(campaign, campaign.row_uids) == 2
    assert _statuses(caller.backend, campaign) == [4, 1, 1]


async def test_the_state_is_kept_with_its_reason(caller: Caller, campaign: Campaign) -> None:
    await caller.release(campaign, campaign_state="paused", reason="limit reached")
    described = (await caller.due(campaign)).campaigns[0]
    assert (described.state, described.reason) == ("paused", "limit reached")
    await caller.release(campaign, campaign_state="running")
    described = (await caller.due(campaign)).campaigns[0]
    assert (described.state, described.reason) == ("running", None)


#: What the sidecar asks PHP to keep for each action.
WRITES: dict[CampaignAction, dict[str, Any]] = {
    CampaignAction.SEND: {"campaign_state": "running", "restart": True},
    CampaignAction.RESUME: {"campaign_state": "running"},
    CampaignAction.PAUSE: {"campaign_state": "paused"},
    CampaignAction.CANCEL: {"campaign_state": "cancelled"},
}


@pytest.mark.parametrize("action", list(CampaignAction))
@pytest.mark.parametrize("before", list(CampaignState))
async def test_states_change_as_the_table_says(
    caller: Caller, campaign: Campaign, before: CampaignState, action: CampaignAction
) -> None:
    """A write that the table has not is refused and changes nothing, rows included."""
    await caller.claim(campaign)
    await caller.release(campaign, campaign_state=before.value, reason="why")
    request = {
        "vendor_uid": campaign.vendor.uid,
        "campaign_uid": campaign.uid,
        "row_uids": campaign.row_uids,
        "reason": "why not",
        **WRITES[action],
    }
    answer = await caller.signed(contract.RELEASE_MESSAGES, orjson.dumps(request))
    described = (await caller.due(campaign)).campaigns[0]
    after = TRANSITIONS.after(before, action)
    if after is None:
        assert (answer.status, answer.code) == (409, "campaign_cancelled")
        assert (described.state, described.reason) == (before, "why")
        assert _statuses(caller.backend, campaign) == [3, 3, 3]
    else:
        assert (answer.status, answer.json) == (200, {"released": 3})
        assert (described.state, described.reason) == (after, "why not")


async def test_a_cancel_that_comes_between_wins(caller: Caller, campaign: Campaign) -> None:
    """Who resumes has seen it paused; by the time of the write it is cancelled."""
    await caller.release(campaign, campaign_state="paused")
    assert (await caller.due(campaign)).campaigns[0].state == "paused"
    await caller.release(campaign, campaign_state="cancelled", reason="stop it")
    resume = {"vendor_uid": campaign.vendor.uid, "campaign_uid": campaign.uid}
    refused = await caller.refusal(
        contract.RELEASE_MESSAGES, {**resume, "campaign_state": "running"}
    )
    assert refused == (409, contract.ErrorCode.CAMPAIGN_CANCELLED)
    described = (await caller.due(campaign)).campaigns[0]
    assert (described.state, described.reason) == ("cancelled", "stop it")


async def test_a_cancel_wins_however_calls_meet(caller: Caller, campaign: Campaign) -> None:
    """It is allowed at any time, and neither a pause nor a resume may follow it."""
    for _ in range(5):
        await caller.release(campaign, campaign_state="running", restart=True)
        writes = [WRITES[action] for action in CampaignAction if action is not CampaignAction.SEND]
        answers = await asyncio.gather(
            *(
                caller.signed(
                    contract.RELEASE_MESSAGES,
                    orjson.dumps(
                        {"vendor_uid": campaign.vendor.uid, "campaign_uid": campaign.uid, **write}
                    ),
                )
                for write in writes * 3
            )
        )
        assert {answer.status for answer in answers} <= {200, 409}
        assert (await caller.due(campaign)).campaigns[0].state == "cancelled"


async def test_without_a_state_it_stays(caller: Caller, campaign: Campaign) -> None:
    await caller.release(campaign, campaign_state="cancelled", reason="wrong template")
    await caller.release(campaign, campaign.row_uids)
    described = (await caller.due(campaign)).campaigns[0]
    assert (described.state, described.reason) == ("cancelled", "wrong template")


async def test_rows_and_state_in_one_call(caller: Caller, campaign: Campaign) -> None:
    await caller.claim(campaign)
    released = await caller.release(campaign, campaign.row_uids, campaign_state="paused")
    assert released == 3
    assert (await caller.due(campaign)).campaigns[0].state == "paused"


async def test_state_and_fence_do_not_hurt_each_other(caller: Caller, campaign: Campaign) -> None:
    await caller.claim(campaign, 1, fence=9)
    await caller.release(campaign, campaign_state="paused")
    data = caller.backend.rows("campaigns", _uid=campaign.uid)[0]["__data"]
    assert data["sidecar"]["fence"] == 9
    assert data["sidecar"]["state"] == "paused"
    assert data["total_contacts"] == 3
