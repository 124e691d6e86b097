"""``preview-messages``: rows as a claim would give them out, and what crons have sent."""

from typing import Any

import pytest

from contracts import backend as contract
from contracts.backend import QueueStatus
from contracts.preview import PreviewedMessage, PreviewMessagesAnswer, SentByPhp
from tests.contract.caller import Caller
from tests.contract.payloads import accepted, failed, now_ms, status, status_object, wamid_of
from tests.contract.switching import switch
from tests.contract.under_test import Campaign, Vendor

QUEUE, LOGS = "whatsapp_message_queue", "whatsapp_message_logs"
LONG_AGO = "2001-01-01 00:00:00"


async def _ask(caller: Caller, **request: Any) -> PreviewMessagesAnswer:
    answer = await caller.call(contract.PREVIEW_MESSAGES, request)
    return PreviewMessagesAnswer.model_validate(answer)


async def _of(caller: Caller, campaign: Campaign) -> list[PreviewedMessage]:
    return (await _ask(caller, campaign_uid=campaign.uid)).messages


async def _ended(caller: Caller, campaign: Campaign, **request: Any) -> list[PreviewedMessage]:
    answer = await _ask(caller, **{"ended_since": now_ms() - 60_000, "limit": 1000, **request})
    return [one for one in answer.messages if one.campaign_uid == campaign.uid]


@pytest.mark.parametrize("mode", ["php", "shadow", "held", "sidecar"])
async def test_rows_are_as_a_claim_has_them_whoever_sends(
    caller: Caller, vendor: Vendor, campaign: Campaign, mode: str
) -> None:
    before = caller.backend.rows(QUEUE, campaigns__id=campaign.id)
    await switch(caller, vendor, campaigns=mode)
    found = await _of(caller, campaign)
    assert caller.backend.rows(QUEUE, campaigns__id=campaign.id) == before
    assert caller.backend.rows("campaigns", _id=campaign.id)[0]["__data"].get("sidecar") is None
    assert {(one.vendor_uid, one.campaign_uid) for one in found} == {(vendor.uid, campaign.uid)}
    assert {(one.skipped, one.status, one.ended_at, one.sent) for one in found} == {
        (None, QueueStatus.QUEUED, None, None)
    }
    await switch(caller, vendor, campaigns="sidecar")
    assert [one.row for one in found] == (await caller.claim(campaign)).rows
    assert await _of(caller, campaign) == [], "they are claimed"


async def test_what_would_be_skipped_and_what_is_due_later(
    caller: Caller, vendor: Vendor, campaign: Campaign
) -> None:
    later = (now_ms() // 1000 + 3600) * 1000
    other = caller.backend.seed_campaign(vendor, 1, scheduled_at=later)
    [found] = await _of(caller, other)
    assert (found.skipped, found.due_at) == (None, later)
    first, second, third = caller.backend.rows(QUEUE, campaigns__id=campaign.id)
    caller.backend.change(QUEUE, {"__data.expiry_at": LONG_AGO}, _id=first["_id"])
    caller.backend.change("contacts", {"whatsapp_opt_out": 1}, _id=second["contacts__id"])
    nothing = {"whatsAppTemplateName": None}
    caller.backend.change(QUEUE, {"__data.campaign_data": nothing}, _id=third["_id"])
    caller.backend.change("campaigns", {"template_name": None}, _id=campaign.id)
    found_ = await _of(caller, campaign)
    assert [one.skipped for one in found_] == [
        "campaign_expired_error",
        "contact_opted_out_error",
        "campaign_data_invalid_error",
    ]
    assert found_[2].row.template_name == ""


async def test_page_after_page(caller: Caller, vendor: Vendor) -> None:
    campaign = caller.backend.seed_campaign(vendor, 5)
    uids, after, sizes = [], None, []
    while True:
        page = await _ask(caller, campaign_uid=campaign.uid, limit=2, after=after)
        uids += [one.row.uid for one in page.messages]
        sizes.append(len(page.messages))
        after = page.next
        if after is None:
            break
    assert (uids, sizes) == ([*campaign.row_uids], [2, 2, 1])


async def test_a_campaign_that_there_is_not(caller: Caller) -> None:
    refused = await caller.refusal(contract.PREVIEW_MESSAGES, {"campaign_uid": "nothing"})
    assert refused == (404, contract.ErrorCode.CAMPAIGN_UNKNOWN)


async def test_what_the_crons_of_vendors_in_shadow_have_ended(
    caller: Caller, vendor: Vendor
) -> None:
    campaign = caller.backend.seed_campaign(vendor, 5)
    sent, refused, old, waiting, read = campaign.row_uids
    await caller.claim(campaign)
    await caller.report(
        accepted(campaign, sent), accepted(campaign, read), failed(campaign, refused)
    )
    await caller.release(campaign, [waiting])
    values = {"status": QueueStatus.EXPIRED, "__data.expiry_at": LONG_AGO}
    caller.backend.change(QUEUE, values, _uid=old)
    await caller.process(status(vendor, status_object(wamid_of(read), "read", row_uid=read)))
    assert await _ended(caller, campaign) == [], "they are the sidecar's own"
    await switch(caller, vendor, campaigns="php")
    assert await _ended(caller, campaign) == []
    await switch(caller, vendor, campaigns="shadow")
    found = {one.row.uid: one for one in await _ended(caller, campaign)}
    assert {uid: (one.status, one.skipped) for uid, one in found.items()} == {
        sent: (QueueStatus.AWAITING_STATUS, None),
        refused: (QueueStatus.ERROR, None),
        old: (QueueStatus.EXPIRED, "campaign_expired_error"),
    }
    assert found[refused].error_status is not None
    assert (found[refused].sent, found[old].sent) == (None, None)
    one = found[sent]
    assert one.ended_at is not None
    assert abs(one.ended_at - now_ms()) < 60_000
    assert isinstance(one.sent, SentByPhp)
    assert one.sent.wamid == wamid_of(sent)
    assert one.sent.phone_number_id == vendor.phone_number_ids[0]
    assert one.sent.to is not None
    assert one.sent.to.lstrip("+") == one.row.to
    assert (one.sent.template_name, one.sent.template_language) == ("spring_offer", "en")
    assert one.sent.components == one.row.components != []
    assert await _ended(caller, campaign, ended_since=now_ms() + 3_600_000) == []


async def test_what_the_log_says_of_a_message(
    caller: Caller, vendor: Vendor, campaign: Campaign
) -> None:
    """Whoever has written it; what is odd in it is not told."""
    uid = campaign.row_uids[0]
    await caller.claim(campaign, 1)
    await caller.report(accepted(campaign, uid))
    await switch(caller, vendor, campaigns="shadow")
    answer = {"contacts": [{"input": "+99 91", "wa_id": "9991"}]}
    values = {"__data.initial_response": answer, "__data.template_component_values": [{"a": 1}]}
    caller.backend.change(LOGS, values, campaigns__id=campaign.id)
    [found] = await _ended(caller, campaign)
    assert found.sent is not None
    assert (found.sent.to, found.sent.components) == ("+99 91", [{"a": 1}])
    odd = {"__data.initial_response": {"contacts": ["x"]}, "__data.template_proforma": "x"}
    odd["__data.template_component_values"] = "x"
    caller.backend.change(LOGS, odd, campaigns__id=campaign.id)
    [found] = await _ended(caller, campaign)
    assert found.sent is not None
    assert found.sent.template_name is None
    assert found.sent.components is None
    caller.backend.delete(LOGS, campaigns__id=campaign.id)
    [found] = await _ended(caller, campaign)
    assert found.sent is None


async def test_pages_of_rows_that_ended_in_the_same_second(caller: Caller, vendor: Vendor) -> None:
    campaign = caller.backend.seed_campaign(vendor, 5)
    ended = {"status": QueueStatus.AWAITING_STATUS, "updated_at": "2037-01-01 00:00:00"}
    caller.backend.change(QUEUE, ended, campaigns__id=campaign.id)
    await switch(caller, vendor, campaigns="shadow")
    uids, after = [], None
    since = 2_114_380_800_000 - 86_400_000
    for _ in range(3):
        page = await _ask(caller, ended_since=since, limit=2, after=after)
        uids += [one.row.uid for one in page.messages]
        after = page.next
    assert (after, uids) == (None, [*campaign.row_uids])
    caller.backend.delete(QUEUE, campaigns__id=campaign.id)


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"campaign_uid": "c", "ended_since": 1},
        {"campaign_uid": "c", "limit": 0},
        {"campaign_uid": "c", "limit": 1001},
        {"ended_since": 1, "after": "x"},
        {"ended_since": "x"},
        {"campaign_uid": "c", "more": 1},
    ],
)
async def test_what_is_not_as_documented_is_refused(
    caller: Caller, request_: dict[str, Any]
) -> None:
    refused = await caller.refusal(contract.PREVIEW_MESSAGES, request_)
    assert refused == (400, contract.ErrorCode.REQUEST_INVALID)


async def test_a_place_that_is_none(caller: Caller, campaign: Campaign) -> None:
    request = {"campaign_uid": campaign.uid, "after": "x"}
    refused = await caller.refusal(contract.PREVIEW_MESSAGES, request)
    assert refused == (400, contract.ErrorCode.REQUEST_INVALID)
