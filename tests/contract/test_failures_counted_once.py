"""Of a status that has changed a campaign's message PHP names the campaign, and of no other: so
whoever counts failures by campaign counts none twice."""

import pytest

from tests.contract.caller import Caller
from tests.contract.payloads import accepted, failed, result, status, status_object, wamid_of
from tests.contract.under_test import Campaign


async def told(caller: Caller, campaign: Campaign, uid: str, *names: str) -> list[str | None]:
    """Hand over statuses of a row, one after the other, and return the campaigns that are named."""
    found = []
    for name in names:
        code = 131026 if name == "failed" else None
        element = status_object(wamid_of(uid), name, row_uid=uid, code=code)
        (answer,) = await caller.process(status(campaign.vendor, element))
        found.append(answer.campaign_uid)
    return found


async def test_a_failure_and_its_repetition(caller: Caller, campaign: Campaign) -> None:
    await caller.claim(campaign)
    uid = campaign.row_uids[0]
    await caller.report(accepted(campaign, uid))
    assert await told(caller, campaign, uid, "failed", "failed") == [campaign.uid, None]


async def test_each_step_up_is_told_once(caller: Caller, campaign: Campaign) -> None:
    await caller.claim(campaign)
    uid = campaign.row_uids[0]
    await caller.report(accepted(campaign, uid))
    names = ("sent", "sent", "read", "delivered", "failed")
    expected = [campaign.uid, None, campaign.uid, None, None]
    assert await told(caller, campaign, uid, *names) == expected


async def test_a_failure_that_the_answer_has_told_already(
    caller: Caller, campaign: Campaign
) -> None:
    await caller.claim(campaign)
    uid = campaign.row_uids[0]
    await caller.report(failed(campaign, uid))
    assert await told(caller, campaign, uid, "failed") == [None]


@pytest.mark.parametrize("name", ["sent", "failed"])
async def test_a_status_that_settles_an_unknown_outcome(
    caller: Caller, campaign: Campaign, name: str
) -> None:
    await caller.claim(campaign)
    uid = campaign.row_uids[0]
    await caller.report(result(campaign, uid, "unknown"))
    assert await told(caller, campaign, uid, name, name) == [campaign.uid, None]


async def test_a_failure_after_which_the_row_is_sent_again(
    caller: Caller, campaign: Campaign
) -> None:
    caller.backend.set_setting(campaign.vendor, "enable_requeue_healthy_error_msg", "1")
    await caller.claim(campaign)
    uid = campaign.row_uids[0]
    await caller.report(accepted(campaign, uid))
    element = status_object(wamid_of(uid), "failed", row_uid=uid, code=131049)
    answers = [(await caller.process(status(campaign.vendor, element)))[0] for _ in range(2)]
    assert [one.campaign_uid for one in answers] == [campaign.uid, None]


async def test_a_message_without_a_campaign(caller: Caller, campaign: Campaign) -> None:
    await caller.claim(campaign)
    uid = campaign.row_uids[0]
    await caller.report(accepted(campaign, uid))
    caller.backend.change("whatsapp_message_logs", {"campaigns__id": None}, wamid=wamid_of(uid))
    assert await told(caller, campaign, uid, "sent") == [None]


async def test_two_statuses_of_a_message_in_one_batch(caller: Caller, campaign: Campaign) -> None:
    await caller.claim(campaign)
    uid = campaign.row_uids[0]
    await caller.report(accepted(campaign, uid))
    elements = [status_object(wamid_of(uid), "sent") for _ in range(2)]
    answers = await caller.process(*(status(campaign.vendor, element) for element in elements))
    assert [one.campaign_uid for one in answers] == [campaign.uid, None]
