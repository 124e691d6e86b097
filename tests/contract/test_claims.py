"""``claim-messages``: due rows move from 1 to 3, once each, in order."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest

from contracts import backend as contract
from contracts.backend import QueueStatus
from tests.contract.caller import Caller, claim_request
from tests.contract.payloads import accepted, now_ms
from tests.contract.under_test import BackendUnderTest, Campaign, Row, Vendor

HOUR_MS = 3_600_000


def _queue(backend: BackendUnderTest, campaign: Campaign) -> list[Row]:
    return backend.rows("whatsapp_message_queue", campaigns__id=campaign.id)


def _statuses(backend: BackendUnderTest, campaign: Campaign) -> list[int]:
    return [row["status"] for row in _queue(backend, campaign)]


async def test_the_oldest_rows_come_first_and_once(caller: Caller, vendor: Vendor) -> None:
    campaign = caller.backend.seed_campaign(vendor, 7)
    claims = [await caller.claim(campaign, 3, claim_uid=f"c{n}") for n in range(4)]
    taken = [[row.uid for row in claim.rows] for claim in claims]
    uids = list(campaign.row_uids)
    assert taken == [uids[:3], uids[3:6], uids[6:], []]
    assert [(claim.due, claim.queued) for claim in claims] == [(4, 4), (1, 1), (0, 0), (0, 0)]
    assert _statuses(caller.backend, campaign) == [QueueStatus.PROCESSING] * 7


async def test_a_row_is_frozen_as_it_was_queued(caller: Caller) -> None:
    vendor = caller.backend.seed_vendor(numbers=2)
    number = vendor.phone_number_ids[1]
    campaign = caller.backend.seed_campaign(vendor, 2, from_phone_number_id=number)
    claim = await caller.claim(campaign)
    for row, stored in zip(claim.rows, _queue(caller.backend, campaign), strict=True):
        data = stored["__data"]["campaign_data"]
        contact = caller.backend.rows("contacts", _id=stored["contacts__id"])[0]
        assert row.to == stored["phone_with_country_code"]
        assert row.contact_uid == contact["_uid"]
        assert row.template_name == data["whatsAppTemplateName"]
        assert row.template_language == data["whatsAppTemplateLanguage"]
        assert row.components == data["messageComponents"]
        assert row.components
        assert row.from_phone_number_id == number
        assert row.retries == 0
    assert claim.rows[0].components != claim.rows[1].components


async def test_without_a_number_of_its_own_the_row_says_null(
    caller: Caller, campaign: Campaign
) -> None:
    claim = await caller.claim(campaign)
    assert {row.from_phone_number_id for row in claim.rows} == {None}


async def test_the_number_is_digits_only(caller: Caller, campaign: Campaign) -> None:
    uid = campaign.row_uids[0]
    caller.backend.change(
        "whatsapp_message_queue", {"phone_with_country_code": "+999 0001"}, _uid=uid
    )
    assert (await caller.claim(campaign)).rows[0].to == "9990001"


async def test_the_claim_is_kept_in_the_row(caller: Caller, campaign: Campaign) -> None:
    caller.backend.change(
        "whatsapp_message_queue", {"updated_at": "2001-01-01 00:00:00"}, campaigns__id=campaign.id
    )
    await caller.claim(campaign, claim_uid="claim-of-mine", fence=5)
    for row in _queue(caller.backend, campaign):
        assert row["__data"]["sidecar"]["claim"]["uid"] == "claim-of-mine"
        assert row["updated_at"] > "2001-01-01 00:00:00"


async def test_rows_that_are_not_due_stay(caller: Caller, vendor: Vendor) -> None:
    due_at = (now_ms() // 1000 + 3600) * 1000
    campaign = caller.backend.seed_campaign(vendor, 3, scheduled_at=due_at)
    for uid in campaign.row_uids[1:]:
        caller.backend.change(
            "whatsapp_message_queue", {"scheduled_at": "2001-01-01 00:00:00"}, _uid=uid
        )
    for uid, left in zip(campaign.row_uids[1:], (1, 0), strict=True):
        claim = await caller.claim(campaign, 1)
        assert [row.uid for row in claim.rows] == [uid]
        assert (claim.due, claim.queued, claim.next_due_at) == (left, left + 1, due_at)
    assert (await caller.claim(campaign)).rows == []


@pytest.mark.parametrize("status", [2, 3, 4, 5, 6])
async def test_rows_in_another_status_stay(caller: Caller, campaign: Campaign, status: int) -> None:
    uid = campaign.row_uids[0]
    caller.backend.change("whatsapp_message_queue", {"status": status}, _uid=uid)
    claim = await caller.claim(campaign)
    assert [row.uid for row in claim.rows] == list(campaign.row_uids[1:])
    assert _statuses(caller.backend, campaign)[0] == status


async def test_expired_rows_become_5(caller: Caller, vendor: Vendor) -> None:
    campaign = caller.backend.seed_campaign(vendor, 5, expiry_at=now_ms() + HOUR_MS)
    for uid in campaign.row_uids[:3]:
        caller.backend.change(
            "whatsapp_message_queue", {"__data.expiry_at": "2001-01-01 00:00:00"}, _uid=uid
        )
    claim = await caller.claim(campaign, 2)
    assert claim.expired == 3
    assert [row.uid for row in claim.rows] == list(campaign.row_uids[3:])
    rows = _queue(caller.backend, campaign)
    assert [row["status"] for row in rows] == [5, 5, 5, 3, 3]
    response = rows[0]["__data"]["process_response"]
    assert response["error_status"] == "campaign_expired_error"
    assert response["error_message"]
    assert (await caller.claim(campaign)).expired == 0


@pytest.mark.parametrize("expiry", ["2001-01-01T00:00:00Z", "2001-01-01T00:00:00.000000Z"])
async def test_expiry_may_be_written_as_iso_8601(
    caller: Caller, campaign: Campaign, expiry: str
) -> None:
    caller.backend.change(
        "whatsapp_message_queue", {"__data.expiry_at": expiry}, campaigns__id=campaign.id
    )
    claim = await caller.claim(campaign)
    assert (claim.expired, claim.rows) == (3, [])


async def test_an_expiry_with_an_offset_is_taken_at_its_word(
    caller: Caller, campaign: Campaign
) -> None:
    """Also where the tables' times are of another zone."""
    queue, uids = "whatsapp_message_queue", campaign.row_uids
    east, west = timezone(timedelta(hours=5.5)), timezone(timedelta(hours=-8))
    soon = datetime.now(UTC) + timedelta(minutes=30)
    just = datetime.now(UTC) - timedelta(minutes=30)
    for uid, expiry in zip(uids, (soon.astimezone(west), just.astimezone(east), soon), strict=True):
        text = expiry.isoformat(timespec="seconds").replace("+00:00", "Z")
        caller.backend.change(queue, {"__data.expiry_at": text}, _uid=uid)
    claim = await caller.claim(campaign)
    assert (claim.expired, [row.uid for row in claim.rows]) == (1, [uids[0], uids[2]])


@pytest.mark.parametrize("expiry", [None, ""])
async def test_rows_without_expiry_do_not_expire(
    caller: Caller, campaign: Campaign, expiry: str | None
) -> None:
    caller.backend.change(
        "whatsapp_message_queue", {"__data.expiry_at": expiry}, campaigns__id=campaign.id
    )
    claim = await caller.claim(campaign)
    assert (claim.expired, len(claim.rows)) == (0, 3)


async def test_a_lower_fence_is_refused(caller: Caller, campaign: Campaign) -> None:
    await caller.claim(campaign, 1, fence=7)
    request = claim_request(campaign, 1, fence=6)
    refused = await caller.refusal(contract.CLAIM_MESSAGES, request)
    assert refused == (409, contract.ErrorCode.FENCE_STALE)
    refused = await caller.refusal(contract.CLAIM_MESSAGES, {**request, "recover": True})
    assert refused == (409, contract.ErrorCode.FENCE_STALE)
    assert _statuses(caller.backend, campaign) == [3, 1, 1]
    assert len((await caller.claim(campaign, 1, fence=7)).rows) == 1
    assert len((await caller.claim(campaign, 1, fence=8)).rows) == 1


async def test_the_fence_stands_beside_the_campaign(caller: Caller, campaign: Campaign) -> None:
    await caller.claim(campaign, 1, fence=41)
    await caller.claim(campaign, 1, fence=42)
    data = caller.backend.rows("campaigns", _uid=campaign.uid)[0]["__data"]
    assert data["sidecar"]["fence"] == 42
    assert data["total_contacts"] == 3


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ("paused", contract.ErrorCode.CAMPAIGN_PAUSED),
        ("cancelled", contract.ErrorCode.CAMPAIGN_CANCELLED),
    ],
)
async def test_a_stopped_campaign_is_not_claimed(
    caller: Caller, campaign: Campaign, state: str, code: contract.ErrorCode
) -> None:
    await caller.release(campaign, campaign_state=state, reason="a person said so")
    refused = await caller.refusal(contract.CLAIM_MESSAGES, claim_request(campaign))
    assert refused == (409, code)
    assert _statuses(caller.backend, campaign) == [1, 1, 1]
    await caller.release(campaign, campaign_state="running", restart=True)
    assert len((await caller.claim(campaign)).rows) == 3


async def test_recover_returns_what_the_claim_holds(caller: Caller, vendor: Vendor) -> None:
    campaign = caller.backend.seed_campaign(vendor, 6)
    lost = await caller.claim(campaign, 3, claim_uid="lost")
    await caller.claim(campaign, 2, claim_uid="other")
    await caller.report(accepted(campaign, lost.rows[0].uid))
    found = await caller.claim(campaign, 100, claim_uid="lost", recover=True)
    assert found.rows == lost.rows[1:]
    assert found.queued == 1
    assert _statuses(caller.backend, campaign) == [4, 3, 3, 3, 3, 1]


async def test_recover_of_a_claim_that_never_was_claims_nothing(
    caller: Caller, campaign: Campaign
) -> None:
    found = await caller.claim(campaign, claim_uid="never", recover=True)
    assert (found.rows, found.due) == ([], 3)


async def test_recover_works_while_the_campaign_is_paused(
    caller: Caller, campaign: Campaign
) -> None:
    """Whoever lost the answer has to know the rows, to give them back."""
    lost = await caller.claim(campaign, claim_uid="lost")
    await caller.release(campaign, campaign_state="paused")
    found = await caller.claim(campaign, claim_uid="lost", recover=True)
    assert found.rows == lost.rows


async def test_parallel_claims_never_share_a_row(caller: Caller, vendor: Vendor) -> None:
    campaign = caller.backend.seed_campaign(vendor, 200)
    claims = await asyncio.gather(
        *(caller.claim(campaign, 30, claim_uid=f"c{n}") for n in range(12))
    )
    taken = [row.uid for claim in claims for row in claim.rows]
    assert sorted(taken) == sorted(campaign.row_uids)


async def test_another_campaign_is_left_alone(
    caller: Caller, vendor: Vendor, campaign: Campaign
) -> None:
    other = caller.backend.seed_campaign(vendor, 2)
    await caller.claim(campaign)
    assert _statuses(caller.backend, other) == [1, 1]


async def test_a_row_that_cannot_be_sent_is_an_error(caller: Caller, campaign: Campaign) -> None:
    """Left in the answer, it would be sent without a recipient; left in 3, it would hang."""
    caller.backend.change(
        "whatsapp_message_queue", {"phone_with_country_code": ""}, _uid=campaign.row_uids[1]
    )
    claim = await caller.claim(campaign)
    assert [row.uid for row in claim.rows] == [campaign.row_uids[0], campaign.row_uids[2]]
    row = _queue(caller.backend, campaign)[1]
    assert row["status"] == QueueStatus.ERROR
    assert row["__data"]["process_response"]["error_message"]


async def test_nothing_is_claimed_where_the_crons_send(caller: Caller, vendor: Vendor) -> None:
    """They and a claim would take the same rows. What was claimed before can be recovered."""
    campaign = caller.backend.seed_campaign(vendor, 4)
    before = await caller.claim(campaign, 1, claim_uid="before")
    caller.backend.leave_to_php(vendor)
    request = claim_request(campaign, 3, fence=2, claim_uid="after")
    assert await caller.refusal(contract.CLAIM_MESSAGES, request) == (
        409,
        contract.ErrorCode.VENDOR_NOT_ON_SIDECAR,
    )
    assert _statuses(caller.backend, campaign) == [3, 1, 1, 1]
    again = await caller.claim(campaign, 1, fence=3, claim_uid="before", recover=True)
    assert again.rows == before.rows
    assert await caller.release(campaign, campaign.row_uids[:1]) == 1
