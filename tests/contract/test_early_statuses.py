"""Statuses whose send is not recorded: too early, or of a send whose outcome is unknown."""

import pytest

from contracts.backend import QueueStatus
from tests.contract.caller import Caller
from tests.contract.payloads import (
    T0,
    accepted,
    failed,
    now_ms,
    result,
    status,
    status_object,
    to_text,
    wamid_of,
)
from tests.contract.under_test import BackendUnderTest, Campaign, Row, Vendor

MINUTE_MS = 60_000


def _log(backend: BackendUnderTest, vendor: Vendor, wamid: str) -> Row:
    (row,) = backend.rows("whatsapp_message_logs", vendors__id=vendor.id, wamid=wamid)
    return row


@pytest.mark.parametrize("queue_status", [3, 4, 6])
async def test_a_status_of_an_unrecorded_send_makes_the_log_row(
    caller: Caller, campaign: Campaign, queue_status: int
) -> None:
    """It is earlier than the result, or it settles an unknown outcome."""
    await caller.claim(campaign)
    uid = campaign.row_uids[0]
    queued = caller.backend.rows("whatsapp_message_queue", _uid=uid)[0]
    caller.backend.change("whatsapp_message_queue", {"status": queue_status}, _uid=uid)
    element = status_object(wamid_of(uid), "delivered", at=T0 + 10, row_uid=uid)
    (answer,) = await caller.process(status(campaign.vendor, element))
    assert answer.result == "done"
    log = _log(caller.backend, campaign.vendor, wamid_of(uid))
    assert (log["status"], log["messaged_at"]) == ("delivered", to_text(T0 + 10))
    assert log["contacts__id"] == queued["contacts__id"]
    assert log["campaigns__id"] == campaign.id
    assert log["is_incoming_message"] == 0
    assert log["wab_phone_number_id"] == campaign.vendor.phone_number_ids[0]
    assert log["__data"]["contact_data"] == queued["__data"]["contact_data"]
    values = queued["__data"]["campaign_data"]["messageComponents"]
    assert log["__data"]["template_component_values"] == values
    assert caller.backend.rows("whatsapp_message_queue", _uid=uid) == []


async def test_a_failed_status_settles_an_unknown_outcome(
    caller: Caller, campaign: Campaign
) -> None:
    await caller.claim(campaign)
    uid = campaign.row_uids[0]
    await caller.report(result(campaign, uid, "unknown"))
    element = status_object(wamid_of(uid), "failed", row_uid=uid, code=131026)
    await caller.process(status(campaign.vendor, element))
    assert _log(caller.backend, campaign.vendor, wamid_of(uid))["status"] == "failed"
    assert caller.backend.rows("whatsapp_message_queue", _uid=uid) == []


async def test_a_row_that_was_given_back_is_settled_by_proof_that_it_went_out(
    caller: Caller, campaign: Campaign
) -> None:
    await caller.claim(campaign)
    uid = campaign.row_uids[0]
    await caller.report(result(campaign, uid, "requeue", due_at=now_ms() - 5000))
    await caller.process(status(campaign.vendor, status_object(wamid_of(uid), "sent", row_uid=uid)))
    assert _log(caller.backend, campaign.vendor, wamid_of(uid))["status"] == "sent"
    assert (await caller.claim(campaign)).rows == []


@pytest.mark.parametrize("queue_status", [1, 2, 5])
async def test_a_failed_status_says_nothing_about_a_row_that_is_not_in_flight(
    caller: Caller, campaign: Campaign, queue_status: int
) -> None:
    """The same failure may arrive as the answer and as a status: it must not end a new try."""
    await caller.claim(campaign)
    uid = campaign.row_uids[0]
    caller.backend.change("whatsapp_message_queue", {"status": queue_status}, _uid=uid)
    element = status_object(wamid_of(uid), "failed", row_uid=uid, code=130429)
    (answer,) = await caller.process(status(campaign.vendor, element))
    assert answer.result == "retry"
    row = caller.backend.rows("whatsapp_message_queue", _uid=uid)[0]
    assert row["status"] == queue_status
    old = status(campaign.vendor, element, received_at=now_ms() - 11 * MINUTE_MS)
    assert (await caller.process(old))[0].result == "ignored"


async def test_another_vendors_row_is_not_settled(caller: Caller, campaign: Campaign) -> None:
    stranger = caller.backend.seed_vendor()
    await caller.claim(campaign)
    uid = campaign.row_uids[0]
    element = status_object(wamid_of(uid), "sent", row_uid=uid)
    (answer,) = await caller.process(status(stranger, element))
    assert answer.result == "retry"
    row = caller.backend.rows("whatsapp_message_queue", _uid=uid)[0]
    assert row["status"] == QueueStatus.PROCESSING


async def test_an_unknown_message_is_asked_for_again_for_ten_minutes(
    caller: Caller, vendor: Vendor
) -> None:
    element = status_object("wamid.of-nothing", "sent")
    young = status(vendor, element, received_at=now_ms() - 9 * MINUTE_MS)
    old = status(vendor, element, received_at=now_ms() - 11 * MINUTE_MS, attempt=9)
    first, second = await caller.process(young, old)
    assert (first.result, first.reason) == ("retry", "message_unknown")
    assert first.retry_after_ms is not None
    assert 0 < first.retry_after_ms <= 5 * MINUTE_MS
    assert (second.result, second.reason) == ("ignored", "message_unknown")


@pytest.mark.parametrize("uid_known", [False, True])
async def test_the_result_comes_between_two_tries(
    caller: Caller, campaign: Campaign, uid_known: bool
) -> None:
    await caller.claim(campaign)
    uid = campaign.row_uids[0]
    element = status_object(wamid_of(uid), "sent", row_uid="somebody else's" if uid_known else None)
    first = status(campaign.vendor, element)
    assert (await caller.process(first))[0].result == "retry"
    await caller.report(accepted(campaign, uid))
    assert (await caller.process({**first, "attempt": 2}))[0].result == "done"
    assert _log(caller.backend, campaign.vendor, wamid_of(uid))["status"] == "sent"


async def test_statuses_of_a_failed_send_change_nothing(caller: Caller, campaign: Campaign) -> None:
    await caller.claim(campaign)
    uid = campaign.row_uids[0]
    await caller.report(failed(campaign, uid))
    element = status_object(wamid_of(uid), "failed", row_uid=uid, code=131026)
    await caller.process(status(campaign.vendor, element))
    row = caller.backend.rows("whatsapp_message_queue", _uid=uid)[0]
    assert row["status"] == QueueStatus.ERROR
    assert caller.backend.rows("whatsapp_message_logs", campaigns__id=campaign.id) == []
