"""Contacts who have opted out, are blocked or were deleted, after their rows were queued."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from contracts import backend as contract
from contracts.backend import QueueStatus
from tests.contract.caller import Caller
from tests.contract.payloads import RATE_ERROR, change, now_ms, result
from tests.contract.under_test import BackendUnderTest, Campaign, Row, Vendor

OPTED_OUT = {"whatsapp_opt_out": 1}
BLOCKED = {"wa_blocked_at": "2025-01-01 00:00:00"}


def _row(backend: BackendUnderTest, uid: str) -> Row:
    [row] = backend.rows("whatsapp_message_queue", _uid=uid)
    return row


def _contact_of(backend: BackendUnderTest, uid: str) -> int:
    contact: int = _row(backend, uid)["contacts__id"]
    return contact


def _set(backend: BackendUnderTest, uid: str, values: dict[str, Any]) -> None:
    backend.change("contacts", values, _id=_contact_of(backend, uid))


# -- the template's category --


@pytest.mark.parametrize(
    ("stored", "told"),
    [("UTILITY", "UTILITY"), ("marketing", "MARKETING"), ("", None), (None, None)],
)
async def test_rows_say_their_templates_category(
    caller: Caller, vendor: Vendor, stored: str | None, told: str | None
) -> None:
    campaign = caller.backend.seed_campaign(vendor, 2)
    caller.backend.change("whatsapp_templates", {"category": stored}, vendors__id=vendor.id)
    claim = await caller.claim(campaign)
    assert [row.template_category for row in claim.rows] == [told, told]


async def test_a_template_that_nobody_knows_has_no_category(caller: Caller, vendor: Vendor) -> None:
    """Neither another vendor's, nor of another name or language; the latest row of a template
    says."""
    stranger = caller.backend.seed_vendor()
    caller.backend.seed_campaign(stranger, 1, template_name="mine", category="MARKETING")
    unknown = caller.backend.seed_campaign(vendor, 1, template_name="mine", category=None)
    caller.backend.seed_campaign(vendor, 1, template_name="Mine", category="MARKETING")
    assert [row.template_category for row in (await caller.claim(unknown)).rows] == [None]
    known = caller.backend.seed_campaign(vendor, 2, template_name="other", category="MARKETING")
    caller.backend.seed_campaign(vendor, 1, template_name="other", category="UTILITY")
    dutch = {"whatsAppTemplateName": "other", "whatsAppTemplateLanguage": "nl"}
    caller.backend.change(
        "whatsapp_message_queue", {"__data.campaign_data": dutch}, _uid=known.row_uids[0]
    )
    claim = await caller.claim(known)
    assert [row.template_category for row in claim.rows] == [None, "UTILITY"]


# -- who gets nothing --


@pytest.mark.parametrize(
    ("values", "error"),
    [(OPTED_OUT, "contact_opted_out_error"), (BLOCKED, "contact_blocked_error")],
)
async def test_rows_that_were_queued_before_are_not_sent(
    caller: Caller, campaign: Campaign, values: dict[str, Any], error: str
) -> None:
    first, skipped, last = campaign.row_uids
    _set(caller.backend, skipped, values)
    claim = await caller.claim(campaign)
    assert [row.uid for row in claim.rows] == [first, last]
    assert (claim.skipped, claim.expired, claim.due, claim.queued) == (1, 0, 0, 0)
    row = _row(caller.backend, skipped)
    assert row["status"] == QueueStatus.ERROR
    response = row["__data"]["process_response"]
    assert response["error_status"] == error
    assert response["error_message"].startswith("Not sent: the contact")
    [described] = (await caller.due(campaign)).campaigns
    assert described.counts.error == 1
    assert (await caller.claim(campaign)).skipped == 0


async def test_all_of_a_claim_may_be_skipped(caller: Caller, vendor: Vendor) -> None:
    """Then the claim brings nothing, and says that there is more."""
    campaign = caller.backend.seed_campaign(vendor, 5)
    for uid in campaign.row_uids[:3]:
        _set(caller.backend, uid, OPTED_OUT)
    claim = await caller.claim(campaign, 3)
    assert (claim.rows, claim.skipped, claim.due) == ([], 3, 2)
    claim = await caller.claim(campaign, 3)
    assert [row.uid for row in claim.rows] == list(campaign.row_uids[3:])


@pytest.mark.parametrize("values", [{"whatsapp_opt_out": 0}, {"whatsapp_opt_out": None}])
async def test_who_has_not_opted_out_gets_it(
    caller: Caller, campaign: Campaign, values: dict[str, Any]
) -> None:
    _set(caller.backend, campaign.row_uids[0], values)
    assert len((await caller.claim(campaign)).rows) == 3


@pytest.mark.parametrize(
    ("category", "values", "sent"),
    [
        ("MARKETING", OPTED_OUT, False),
        ("UTILITY", OPTED_OUT, True),
        ("AUTHENTICATION", OPTED_OUT, True),
        (None, OPTED_OUT, False),
        ("UTILITY", BLOCKED, False),
        ("UTILITY", {**OPTED_OUT, **BLOCKED}, False),
    ],
)
async def test_an_opt_out_is_of_marketing_templates(
    caller: Caller, vendor: Vendor, category: str | None, values: dict[str, Any], sent: bool
) -> None:
    campaign = caller.backend.seed_campaign(vendor, 1, category=category)
    _set(caller.backend, campaign.row_uids[0], values)
    claim = await caller.claim(campaign)
    assert (len(claim.rows), claim.skipped) == ((1, 0) if sent else (0, 1))


async def test_a_contact_that_was_deleted(caller: Caller, campaign: Campaign) -> None:
    """The row goes with it, is left without it, or names one that is not there."""
    first, second, third = campaign.row_uids
    backend = caller.backend
    backend.change("whatsapp_message_queue", {"contacts__id": None}, _uid=second)
    backend.delete("contacts", _id=_contact_of(backend, first))
    claim = await caller.claim(campaign)
    assert [row.uid for row in claim.rows] == [third]
    left = backend.rows("whatsapp_message_queue", campaigns__id=campaign.id)
    assert claim.skipped == len(left) - 1
    for row in left[:-1]:
        assert row["status"] == QueueStatus.ERROR
        response = row["__data"]["process_response"]
        assert response["error_status"] == "contact_deleted_error"


async def test_a_row_for_a_bare_number_is_sent(caller: Caller, campaign: Campaign) -> None:
    """It was never a contact's."""
    uid = campaign.row_uids[0]
    caller.backend.change(
        "whatsapp_message_queue", {"contacts__id": None, "__data.contact_data": None}, _uid=uid
    )
    claim = await caller.claim(campaign)
    assert (len(claim.rows), claim.skipped) == (3, 0)
    assert claim.rows[0].contact_uid is None


# -- rows that come back --


async def _released(caller: Caller, campaign: Campaign) -> None:
    await caller.release(campaign, campaign.row_uids)


async def _requeued(caller: Caller, campaign: Campaign) -> None:
    await caller.report(
        *(
            result(campaign, uid, "requeue", due_at=now_ms() - 1000, error=RATE_ERROR)
            for uid in campaign.row_uids
        )
    )


async def _resent(caller: Caller, campaign: Campaign) -> None:
    await caller.report(*(result(campaign, uid, "unknown") for uid in campaign.row_uids))
    request = {"row_uids": list(campaign.row_uids), "action": "resend"}
    await caller.call(contract.RESOLVE_MESSAGES, request)


async def _retried(caller: Caller, campaign: Campaign) -> None:
    error = {"code": 132015, "message": "Template is paused"}
    await caller.report(
        *(result(campaign, uid, "failed", error=error) for uid in campaign.row_uids)
    )
    assert (await caller.retry(campaign)).retried == 3


@pytest.mark.parametrize("back", [_released, _requeued, _resent, _retried])
async def test_rows_that_come_back_are_not_sent_either(
    caller: Caller, campaign: Campaign, back: Callable[[Caller, Campaign], Awaitable[None]]
) -> None:
    assert len((await caller.claim(campaign)).rows) == 3
    await back(caller, campaign)
    _set(caller.backend, campaign.row_uids[1], OPTED_OUT)
    claim = await caller.claim(campaign, claim_uid="again")
    assert [row.uid for row in claim.rows] == [campaign.row_uids[0], campaign.row_uids[2]]
    assert claim.skipped == 1


async def test_whoever_asks_again_gets_no_row_of_one_who_has_opted_out_since(
    caller: Caller, campaign: Campaign
) -> None:
    """Who recovers a claim has sent nothing of it."""
    await caller.claim(campaign, claim_uid="lost")
    _set(caller.backend, campaign.row_uids[0], OPTED_OUT)
    found = await caller.claim(campaign, claim_uid="lost", recover=True)
    assert [row.uid for row in found.rows] == list(campaign.row_uids[1:])
    assert found.skipped == 1
    assert _row(caller.backend, campaign.row_uids[0])["status"] == QueueStatus.ERROR


async def test_an_opt_out_in_whatsapp_stops_what_is_queued(
    caller: Caller, campaign: Campaign
) -> None:
    stopped = {
        "user_preferences": [
            {
                "wa_id": campaign.recipients[0],
                "category": "marketing_messages",
                "value": "stop",
                "timestamp": str(now_ms() // 1000),
            }
        ]
    }
    [answer] = await caller.process(change(campaign.vendor, "user_preferences", stopped))
    assert answer.result == "done"
    claim = await caller.claim(campaign)
    assert [row.uid for row in claim.rows] == list(campaign.row_uids[1:])
