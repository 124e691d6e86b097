"""A vendor reaches nothing of another's in PHP, whatever its webhooks or calls in its name say."""

from typing import Any

import pytest

from contracts import backend as contract
from contracts.backend import CampaignState
from tests.contract.caller import Caller, claim_request
from tests.contract.payloads import (
    accepted,
    failed,
    message,
    message_object,
    result,
    status,
    status_object,
    wamid_of,
)
from tests.contract.under_test import Campaign, Row, Vendor

TABLES = ("whatsapp_message_queue", "whatsapp_message_logs", "contacts", "campaigns")
UNKNOWN = (404, contract.ErrorCode.CAMPAIGN_UNKNOWN)


@pytest.fixture
def mallory(caller: Caller) -> Vendor:
    """Another vendor, whose settings name the number and the account of the first."""
    return caller.backend.seed_vendor()


@pytest.fixture
def own(caller: Caller, mallory: Vendor) -> Campaign:
    return caller.backend.seed_campaign(mallory, 3)


@pytest.fixture
async def victim(caller: Caller, campaign: Campaign) -> Campaign:
    """A campaign whose rows are sent, of unknown outcome, and still in 3."""
    await caller.claim(campaign)
    first, second, _ = campaign.row_uids
    await caller.report(accepted(campaign, first, claim_uid="claim"))
    await caller.report(result(campaign, second, "unknown", claim_uid="claim"))
    return campaign


def _all(caller: Caller, vendor: Vendor) -> dict[str, list[Row]]:
    return {table: caller.backend.rows(table, vendors__id=vendor.id) for table in TABLES}


@pytest.mark.parametrize("name", ["sent", "read", "failed"])
@pytest.mark.parametrize("together", [False, True], ids=["alone", "beside the other's own"])
async def test_statuses_that_name_anothers_messages(
    caller: Caller, victim: Campaign, mallory: Vendor, own: Campaign, name: str, together: bool
) -> None:
    """By wamid, by callback data or by both. 131049 would have the row sent again."""
    caller.backend.set_setting(mallory, "enable_requeue_healthy_error_msg", "1")
    code = 131049 if name == "failed" else None
    wamids = [wamid_of(uid) for uid in victim.row_uids]
    (log,) = caller.backend.rows("whatsapp_message_logs", vendors__id=victim.vendor.id)
    elements = [
        *(status_object(wamid, name, code=code) for wamid in wamids),
        *(status_object("wamid.m", name, row_uid=uid, code=code) for uid in victim.row_uids),
        *(
            status_object(wamid_of(uid), name, row_uid=uid, code=code)
            for uid in [*victim.row_uids, log["_uid"]]
        ),
    ]
    beside = [status(victim.vendor, status_object("wamid.nobody", "read"))] if together else []
    before = _all(caller, victim.vendor)
    answers = await caller.process(*beside, *(status(mallory, element) for element in elements))
    assert [answer.campaign_uid for answer in answers] == [None] * len(answers)
    assert _all(caller, victim.vendor) == before
    assert caller.backend.rows("whatsapp_message_logs", vendors__id=mallory.id) == []


async def test_a_status_of_ones_own_row_with_the_wamid_of_anothers(
    caller: Caller, victim: Campaign, mallory: Vendor, own: Campaign
) -> None:
    """It is the vendor's own message that fails, and its own campaign that is named."""
    await caller.claim(own)
    uid, wamid = own.row_uids[0], wamid_of(victim.row_uids[0])
    before = _all(caller, victim.vendor)
    element = status_object(wamid, "failed", row_uid=uid, code=131042)
    (answer,) = await caller.process(status(mallory, element))
    assert answer.campaign_uid == own.uid
    assert _all(caller, victim.vendor) == before
    later = status(victim.vendor, status_object(wamid, "read"))
    (answer,) = await caller.process(later)
    assert answer.campaign_uid == victim.uid
    (log,) = caller.backend.rows("whatsapp_message_logs", vendors__id=mallory.id)
    assert log["status"] == "failed"


async def test_results_in_the_name_of_another(
    caller: Caller, victim: Campaign, mallory: Vendor, own: Campaign
) -> None:
    before = _all(caller, victim.vendor)
    results: list[dict[str, Any]] = []
    for uid in victim.row_uids:
        for campaign_uid in (victim.uid, own.uid, None):
            names = {"vendor_uid": mallory.uid, "campaign_uid": campaign_uid, "claim_uid": "claim"}
            results += [
                {**accepted(victim, uid, wamid="wamid.m"), **names},
                {**failed(victim, uid), **names},
                {**result(victim, uid, "requeue", due_at=1), **names},
            ]
    answers = await caller.report(*results)
    assert {answer.result for answer in answers} == {"ignored"}
    assert _all(caller, victim.vendor) == before


async def test_claims_and_releases_in_the_name_of_another(
    caller: Caller, victim: Campaign, mallory: Vendor, own: Campaign
) -> None:
    before = _all(caller, victim.vendor)
    for recover in (False, True):
        request = claim_request(victim, vendor_uid=mallory.uid, fence=9, recover=recover)
        assert await caller.refusal(contract.CLAIM_MESSAGES, request) == UNKNOWN
    request = {
        "vendor_uid": mallory.uid,
        "campaign_uid": victim.uid,
        "row_uids": list(victim.row_uids),
        "campaign_state": CampaignState.CANCELLED.value,
    }
    assert await caller.refusal(contract.RELEASE_MESSAGES, request) == UNKNOWN
    assert await caller.release(own, victim.row_uids) == 0
    assert await caller.release(own, victim.row_uids, claim_uid="claim") == 0
    assert _all(caller, victim.vendor) == before


async def test_settings_that_name_anothers_number_and_account(
    caller: Caller, campaign: Campaign, mallory: Vendor
) -> None:
    """They are told as entered, and of the other's configuration they change nothing."""
    vendor = campaign.vendor

    async def told(uid: str) -> Any:
        answer = await caller.call(contract.VENDOR_CONFIG, {"vendor_uids": [uid]})
        return answer["vendors"][0]

    before = await told(vendor.uid)
    number = vendor.phone_number_ids[0]
    caller.backend.set_setting(mallory, "whatsapp_business_account_id", vendor.business_account_id)
    caller.backend.set_setting(mallory, "current_phone_number_id", number)
    assert await told(vendor.uid) == before
    config = contract.VendorConfig.model_validate(await told(mallory.uid))
    assert config.whatsapp_business_account_id == vendor.business_account_id
    assert [one.verified for one in config.phone_numbers if one.phone_number_id == number] == [None]


async def test_customers_messages_to_anothers_number(
    caller: Caller, campaign: Campaign, mallory: Vendor
) -> None:
    """Whoever has entered the number gets what its own webhook says, and the other nothing."""
    vendor = campaign.vendor
    number = vendor.phone_number_ids[0]
    before = _all(caller, vendor)
    quoted = {"context": {"id": "wamid.of.another"}}
    first = message(mallory, message_object("wamid.1", campaign.recipients[0]), number=number)
    (answer,) = await caller.process(first)
    assert (answer.result, answer.reason) == ("ignored", "phone_number_unknown")
    caller.backend.set_setting(mallory, "current_phone_number_id", number)
    element = message_object("wamid.2", campaign.recipients[0], **quoted)
    await caller.process(message(mallory, element, number=number))
    assert _all(caller, vendor) == before
    (log,) = caller.backend.rows("whatsapp_message_logs", vendors__id=mallory.id)
    assert log["replied_to_whatsapp_message_logs__uid"] is None
