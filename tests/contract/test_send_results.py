"""``update-message-statuses``: what became of claimed rows, recorded once."""

import orjson
import pytest

from contracts import backend as contract
from contracts.backend import QueueStatus, SendOutcome
from tests.contract.caller import Caller
from tests.contract.payloads import (
    RATE_ERROR,
    accepted,
    failed,
    now_ms,
    result,
    result_of,
    wamid_of,
)
from tests.contract.under_test import BackendUnderTest, Campaign, Row, Vendor


def _row(backend: BackendUnderTest, uid: str) -> Row:
    return backend.rows("whatsapp_message_queue", _uid=uid)[0]


def _logs(backend: BackendUnderTest, campaign: Campaign) -> list[Row]:
    return backend.rows("whatsapp_message_logs", campaigns__id=campaign.id)


async def test_accepted_is_stored_with_everything(caller: Caller, campaign: Campaign) -> None:
    await caller.claim(campaign)
    uid = campaign.row_uids[0]
    queued = _row(caller.backend, uid)
    report = accepted(campaign, uid, message_status="held_for_quality_assessment")
    (answer,) = await caller.report(report)
    assert (answer.id, answer.result) == (uid, "done")
    assert _row(caller.backend, uid)["status"] == QueueStatus.AWAITING_STATUS
    (log,) = _logs(caller.backend, campaign)
    assert log["vendors__id"] == campaign.vendor.id
    assert log["contacts__id"] == queued["contacts__id"]
    # The application's column is a varchar(10); the API's answer in __data has it in full.
    assert log["status"] in ("held_for_quality_assessment", "held_for_q")
    assert log["wamid"] == wamid_of(uid)
    assert log["contact_wa_id"] == campaign.recipients[0]
    assert log["wab_phone_number_id"] == campaign.vendor.phone_number_ids[0]
    assert log["is_incoming_message"] == 0
    assert log["messaged_at"] is None
    data, source = log["__data"], queued["__data"]
    assert data["contact_data"] == source["contact_data"]
    assert data["initial_response"] == report["response"]
    assert data["template_proforma"] == source["campaign_data"]["templateProforma"]
    assert data["template_components"] == source["campaign_data"]["templateComponents"]
    assert data["template_component_values"] == source["campaign_data"]["messageComponents"]


async def test_without_a_message_status_it_is_accepted(caller: Caller, campaign: Campaign) -> None:
    await caller.claim(campaign)
    await caller.report(accepted(campaign, campaign.row_uids[0], message_status=None))
    assert _logs(caller.backend, campaign)[0]["status"] == "accepted"


async def test_the_contact_learns_the_number_that_the_api_knows(
    caller: Caller, campaign: Campaign
) -> None:
    await caller.claim(campaign)
    first, second = campaign.row_uids[:2]
    await caller.report(
        accepted(campaign, first, wa_id="999123"), accepted(campaign, second, wa_id=None)
    )
    logs = _logs(caller.backend, campaign)
    assert [log["contact_wa_id"] for log in logs] == ["999123", campaign.recipients[1]]
    contacts = [caller.backend.rows("contacts", _id=log["contacts__id"])[0] for log in logs]
    assert [contact["wa_id"] for contact in contacts] == ["999123", campaign.recipients[1]]


@pytest.mark.parametrize(("code", "error_status"), [(131026, "131026"), (None, None)])
async def test_failed_becomes_2_with_its_reason(
    caller: Caller, campaign: Campaign, code: int | None, error_status: str | None
) -> None:
    await caller.claim(campaign)
    uid = campaign.row_uids[0]
    (answer,) = await caller.report(failed(campaign, uid, code))
    assert answer.result == "done"
    row = _row(caller.backend, uid)
    assert row["status"] == QueueStatus.ERROR
    response = row["__data"]["process_response"]
    assert "Message undeliverable" in response["error_message"]
    assert "no such user" in response["error_message"]
    assert response["error_status"]
    if error_status is not None:
        assert response["error_status"] == error_status
    assert _logs(caller.backend, campaign) == []


async def test_requeue_waits_until_it_is_due(caller: Caller, campaign: Campaign) -> None:
    await caller.claim(campaign)
    uid = campaign.row_uids[0]
    due_at = (now_ms() // 1000 + 90) * 1000
    await caller.report(result(campaign, uid, "requeue", due_at=due_at, error=RATE_ERROR))
    row = _row(caller.backend, uid)
    assert (row["status"], row["retries"]) == (QueueStatus.QUEUED, 1)
    claim = await caller.claim(campaign)
    assert (claim.rows, claim.next_due_at) == ([], due_at)


async def test_a_row_that_was_never_tried_counts_no_retry(
    caller: Caller, campaign: Campaign
) -> None:
    uid = campaign.row_uids[0]
    caller.backend.change("whatsapp_message_queue", {"retries": 5}, _uid=uid)
    due_at = now_ms() + 90_000
    await caller.claim(campaign)
    await caller.report(result(campaign, uid, "requeue", due_at=due_at, attempted=False))
    row = _row(caller.backend, uid)
    assert (row["status"], row["retries"]) == (QueueStatus.QUEUED, 5)
    assert (await caller.claim(campaign)).next_due_at is not None


async def test_requeue_is_never_early(caller: Caller, campaign: Campaign) -> None:
    """The column holds whole seconds."""
    await caller.claim(campaign)
    second = (now_ms() // 1000 + 90) * 1000
    await caller.report(result(campaign, campaign.row_uids[0], "requeue", due_at=second + 1))
    assert (await caller.claim(campaign)).next_due_at == second + 1000


async def test_a_requeued_row_is_claimed_with_its_retries(
    caller: Caller, campaign: Campaign
) -> None:
    await caller.claim(campaign)
    await caller.report(result(campaign, campaign.row_uids[0], "requeue", due_at=now_ms() - 5000))
    (row,) = (await caller.claim(campaign)).rows
    assert (row.uid, row.retries) == (campaign.row_uids[0], 1)


async def test_more_than_five_retries_are_an_error(caller: Caller, campaign: Campaign) -> None:
    uid = campaign.row_uids[0]
    statuses = []
    for attempt in range(6):
        await caller.claim(campaign)
        report = result(
            campaign, uid, "requeue", due_at=now_ms() - 5000, error=RATE_ERROR, at=attempt
        )
        await caller.report(report)
        statuses.append(_row(caller.backend, uid)["status"])
    assert statuses == [QueueStatus.QUEUED] * 5 + [QueueStatus.ERROR]
    row = _row(caller.backend, uid)
    assert row["retries"] == 5
    assert "Rate limit hit" in row["__data"]["process_response"]["error_message"]


async def test_unknown_becomes_6(caller: Caller, campaign: Campaign) -> None:
    await caller.claim(campaign)
    uid = campaign.row_uids[0]
    error = {"code": None, "message": "no answer in time"}
    await caller.report(result(campaign, uid, "unknown", error=error))
    row = _row(caller.backend, uid)
    assert row["status"] == QueueStatus.UNKNOWN
    response = row["__data"]["process_response"]
    assert response["error_status"] == "awaited_response_error"
    assert "no answer in time" in response["error_message"]
    assert [row.uid for row in (await caller.claim(campaign)).rows] == []


async def test_accepted_settles_a_row_in_6(caller: Caller, campaign: Campaign) -> None:
    await caller.claim(campaign)
    uid = campaign.row_uids[0]
    await caller.report(result(campaign, uid, "unknown"))
    (answer,) = await caller.report(accepted(campaign, uid))
    assert answer.result == "done"
    assert _row(caller.backend, uid)["status"] == QueueStatus.AWAITING_STATUS
    assert len(_logs(caller.backend, campaign)) == 1


@pytest.mark.parametrize("queue_status", [1, 2, 5])
async def test_accepted_settles_a_row_that_somebody_gave_back(
    caller: Caller, campaign: Campaign, queue_status: int
) -> None:
    """It has gone out, so it must not go out again."""
    await caller.claim(campaign)
    uid = campaign.row_uids[0]
    caller.backend.change("whatsapp_message_queue", {"status": queue_status}, _uid=uid)
    (answer,) = await caller.report(accepted(campaign, uid))
    assert answer.result == "done"
    assert _row(caller.backend, uid)["status"] == QueueStatus.AWAITING_STATUS
    assert len(_logs(caller.backend, campaign)) == 1
    assert (await caller.claim(campaign)).rows == []


async def test_a_row_that_is_not_there_is_ignored(caller: Caller, campaign: Campaign) -> None:
    stranger = caller.backend.seed_vendor()
    other = caller.backend.seed_campaign(campaign.vendor, 1)
    await caller.claim(campaign)
    uid = campaign.row_uids[0]
    answers = await caller.report(
        {**accepted(campaign, uid), "uid": "nobody"},
        {**accepted(campaign, uid), "vendor_uid": stranger.uid},
        {**accepted(campaign, uid), "campaign_uid": other.uid},
    )
    assert [answer.result for answer in answers] == ["ignored"] * 3
    assert _row(caller.backend, uid)["status"] == QueueStatus.PROCESSING
    assert _logs(caller.backend, campaign) == []


async def test_accepted_without_a_wamid_is_not_recorded(caller: Caller, campaign: Campaign) -> None:
    await caller.claim(campaign)
    uid = campaign.row_uids[0]
    (answer,) = await caller.report(accepted(campaign, uid, wamid=None))
    assert answer.result == "ignored"
    assert _row(caller.backend, uid)["status"] == QueueStatus.PROCESSING


async def test_one_batch_of_many_outcomes_and_vendors(caller: Caller, vendor: Vendor) -> None:
    campaigns = [
        caller.backend.seed_campaign(owner, 4)
        for owner in (vendor, vendor, caller.backend.seed_vendor())
    ]
    reports = []
    for campaign in campaigns:
        await caller.claim(campaign)
        reports += [
            result_of(campaign, uid, outcome)
            for uid, outcome in zip(campaign.row_uids, SendOutcome, strict=True)
        ]
    answers = await caller.report(*reports)
    assert [answer.id for answer in answers] == [report["uid"] for report in reports]
    assert {answer.result for answer in answers} == {"done"}
    for campaign in campaigns:
        rows = caller.backend.rows("whatsapp_message_queue", campaigns__id=campaign.id)
        assert [row["status"] for row in rows] == [4, 2, 1, 6]
        assert len(_logs(caller.backend, campaign)) == 1


async def test_one_result_alone(caller: Caller, campaign: Campaign) -> None:
    await caller.claim(campaign)
    report = accepted(campaign, campaign.row_uids[0])
    answer = await caller.call(contract.UPDATE_MESSAGE_STATUS, report)
    result_of = contract.UpdateResult.model_validate(answer)
    assert (result_of.id, result_of.result) == (campaign.row_uids[0], "done")
    assert len(_logs(caller.backend, campaign)) == 1


async def test_times_beyond_the_columns_are_no_failure(caller: Caller, campaign: Campaign) -> None:
    await caller.claim(campaign)
    report = result(campaign, campaign.row_uids[0], "requeue", due_at=2**62)
    answer = await caller.signed(
        contract.UPDATE_MESSAGE_STATUSES, orjson.dumps({"results": [report]})
    )
    assert answer.status in (200, 400)


@pytest.mark.parametrize("outcome", ["failed", "requeue", "unknown"])
async def test_a_late_report_leaves_a_row_alone_that_was_claimed_anew(
    caller: Caller, campaign: Campaign, outcome: str
) -> None:
    uid = campaign.row_uids[0]
    await caller.claim(campaign, claim_uid="first-claim", limit=1)
    await caller.release(campaign, [uid], claim_uid="first-claim")
    await caller.claim(campaign, claim_uid="second-claim", limit=1)
    late = {**result(campaign, uid, outcome, error=RATE_ERROR), "claim_uid": "first-claim"}
    (answer,) = await caller.report(late)
    assert (answer.result, answer.reason) == ("ignored", "claimed_anew")
    assert _row(caller.backend, uid)["status"] == QueueStatus.PROCESSING
    await caller.report({**late, "claim_uid": "second-claim"})
    assert _row(caller.backend, uid)["status"] != QueueStatus.PROCESSING


async def test_a_late_acceptance_counts_all_the_same(caller: Caller, campaign: Campaign) -> None:
    uid = campaign.row_uids[0]
    await caller.claim(campaign, claim_uid="first-claim", limit=1)
    await caller.release(campaign, [uid], claim_uid="first-claim")
    await caller.claim(campaign, claim_uid="second-claim", limit=1)
    await caller.report({**accepted(campaign, uid), "claim_uid": "first-claim"})
    assert _row(caller.backend, uid)["status"] == QueueStatus.AWAITING_STATUS
