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
    pages = await _pages(caller, **{"ended_since": now_ms() - 60_000, "limit": 1000, **request})
    messages = [one for page in pages for one in page.messages]
    return [one for one in messages if one.campaign_uid == campaign.uid]


async def _pages(caller: Caller, **request: Any) -> list[PreviewMessagesAnswer]:
    pages = [await _ask(caller, **request)]
    while pages[-1].next is not None:
        pages.append(await _ask(caller, **request, after=pages[-1].next))
    return pages


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
    pages = [page.messages for page in await _pages(caller, campaign_uid=campaign.uid, limit=2)]
    uids = [one.row.uid for page in pages for one in page]
    assert (uids, [len(page) for page in pages]) == ([*campaign.row_uids], [2, 2, 1])


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


#: Nobody else's rows have ended by then.
FUTURE = 2_114_380_800_000


def _end(caller: Caller, campaign: Campaign, *ends: tuple[int, int]) -> None:
    """Have the rows end in these seconds, in these statuses."""
    for uid, (second, status_) in zip(campaign.row_uids, ends, strict=True):
        values = {"status": status_, "updated_at": f"2037-01-01 00:00:{second:02}"}
        caller.backend.change(QUEUE, values, _uid=uid)


@pytest.mark.parametrize("limit", [1, 2, 3, 9, 10])
async def test_rows_come_in_the_order_in_which_they_have_ended(
    caller: Caller, vendor: Vendor, limit: int
) -> None:
    """However they have, also those of one second, and wherever a page ends."""
    error, sent, old = QueueStatus.ERROR, QueueStatus.AWAITING_STATUS, QueueStatus.EXPIRED
    campaign = caller.backend.seed_campaign(vendor, 9)
    seconds = [(3, sent), (1, sent), (1, old), (1, error), (1, sent), (2, error), (1, old)]
    _end(caller, campaign, *seconds, (1, error), (0, error))
    await switch(caller, vendor, campaigns="shadow")
    pages = await _pages(caller, ended_since=FUTURE, limit=limit)
    caller.backend.delete(QUEUE, campaigns__id=campaign.id)
    uids = [one.row.uid for page in pages for one in page.messages]
    assert uids == [campaign.row_uids[place] for place in (8, 1, 2, 3, 4, 6, 7, 5, 0)]
    assert {len(page.messages) for page in pages[:-1]} <= {limit}


async def test_rows_of_other_vendors_are_looked_at(caller: Caller, vendor: Vendor) -> None:
    """So a page may be empty, and there is a next one: one vendor of hundreds may be in shadow."""
    other = caller.backend.seed_campaign(vendor, 5)
    campaign = caller.backend.seed_campaign(caller.backend.seed_vendor(), 3)
    sent = QueueStatus.AWAITING_STATUS
    _end(caller, other, *[(second, sent) for second in (1, 2, 3, 4, 6)])
    _end(caller, campaign, *[(second, sent) for second in (0, 3, 7)])
    await switch(caller, campaign.vendor, campaigns="shadow")
    pages = await _pages(caller, ended_since=FUTURE, limit=2)
    first, second, third = campaign.row_uids
    found = [[one.row.uid for one in page.messages] for page in pages]
    assert found == [[first], [], [second], [third]] or found == [[first], [second], [], [third]]
    # It is told of no time that is still to come.
    assert all(abs((page.looked_until or 0) - now_ms()) < 60_000 for page in pages)
    await switch(caller, campaign.vendor, campaigns="sidecar")
    [page] = await _pages(caller, ended_since=FUTURE, limit=8)
    assert (page.messages, page.looked_until is not None) == ([], True)
    for one in (other, campaign):
        caller.backend.delete(QUEUE, campaigns__id=one.id)
    assert (await _ask(caller, ended_since=FUTURE)).looked_until is None


async def test_how_far_it_has_looked(caller: Caller, vendor: Vendor, campaign: Campaign) -> None:
    await caller.claim(campaign)
    await caller.report(*(accepted(campaign, uid) for uid in campaign.row_uids))
    pages = await _pages(caller, ended_since=now_ms() - 60_000, limit=1000)
    [row, *_] = caller.backend.rows(QUEUE, campaigns__id=campaign.id)
    times = [page.looked_until or 0 for page in pages]
    assert (times[-1] == max(times), row["status"]) == (True, QueueStatus.AWAITING_STATUS)
    await switch(caller, vendor, campaigns="shadow")
    ended = [one.ended_at or 0 for one in await _ended(caller, campaign)]
    assert max(ended) <= times[-1] <= now_ms()


async def test_rows_of_many_campaigns(caller: Caller) -> None:
    """Each has its own campaign's template, and its category as its vendor has it."""
    campaigns = []
    for category in ("MARKETING", "UTILITY"):
        vendor = caller.backend.seed_vendor()
        campaigns += [caller.backend.seed_campaign(vendor, 2, category=category) for _ in range(2)]
    for position, campaign in enumerate(campaigns):
        _end(caller, campaign, (position, QueueStatus.ERROR), (9 - position, QueueStatus.ERROR))
    for campaign in campaigns[::2]:
        await switch(caller, campaign.vendor, campaigns="shadow")
    [page] = await _pages(caller, ended_since=FUTURE)
    for campaign in campaigns:
        caller.backend.delete(QUEUE, campaigns__id=campaign.id)
    order = [0, 1, 2, 3, 3, 2, 1, 0]
    assert [one.campaign_uid for one in page.messages] == [campaigns[n].uid for n in order]
    assert [one.vendor_uid for one in page.messages] == [campaigns[n].vendor.uid for n in order]
    assert [one.row.template_category for one in page.messages] == [
        ("MARKETING", "MARKETING", "UTILITY", "UTILITY")[n] for n in order
    ]


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
