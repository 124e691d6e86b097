"""Statuses: a message's status only moves up, whatever comes in whatever order."""

import itertools
from collections.abc import Sequence

import pytest

from contracts.backend import QueueStatus
from contracts.cloud_api.webhook import higher_status
from tests.contract.caller import Caller
from tests.contract.payloads import (
    T0,
    accepted,
    envelope,
    messaging,
    status,
    status_object,
    to_text,
    update,
    wamid_of,
)
from tests.contract.under_test import BackendUnderTest, Campaign, Row, Vendor

EVENTS = ("accepted", "sent", "delivered", "read", "failed")
TIMES = {"sent": T0, "delivered": T0 + 10, "read": T0 + 20, "failed": T0 + 5}
MINUTE_MS = 60_000


def _log(backend: BackendUnderTest, vendor: Vendor, wamid: str) -> Row:
    (row,) = backend.rows("whatsapp_message_logs", vendors__id=vendor.id, wamid=wamid)
    return row


def _expected(events: Sequence[str]) -> str:
    highest = "accepted"
    for event in events:
        if higher_status(highest, event):
            highest = event
    return highest


def _orders() -> list[tuple[str, ...]]:
    """Every order of every set of events that has a status in it."""
    return [
        order
        for size in range(1, len(EVENTS) + 1)
        for order in itertools.permutations(EVENTS, size)
        if order != ("accepted",)
    ]


async def test_every_order_ends_in_the_highest_status(caller: Caller, vendor: Vendor) -> None:
    """Each order has a row of its own; the n-th events of all of them come in one batch."""
    orders = _orders()
    campaign = caller.backend.seed_campaign(vendor, len(orders))
    await caller.claim(campaign, len(orders))
    rows = list(zip(campaign.row_uids, orders, strict=True))
    for position in range(len(EVENTS)):
        now = [(uid, order[position]) for uid, order in rows if len(order) > position]
        reports = [accepted(campaign, uid) for uid, event in now if event == "accepted"]
        if reports:
            assert {answer.result for answer in await caller.report(*reports)} == {"done"}
        updates = [
            status(
                vendor,
                status_object(
                    wamid_of(uid),
                    event,
                    at=TIMES[event],
                    row_uid=uid,
                    code=131026 if event == "failed" else None,
                ),
            )
            for uid, event in now
            if event != "accepted"
        ]
        assert {answer.result for answer in await caller.process(*updates)} == {"done"}
    logs = {
        row["wamid"]: row
        for row in caller.backend.rows("whatsapp_message_logs", campaigns__id=campaign.id)
    }
    assert len(logs) == len(orders)
    for uid, order in rows:
        log = logs[wamid_of(uid)]
        assert log["status"] == _expected(order), order
        assert log["messaged_at"] == _messaged_at(order), order
        has_error = bool(log["__data"].get("error"))
        assert has_error == (log["status"] == "failed"), order
    assert caller.backend.rows("whatsapp_message_queue", campaigns__id=campaign.id) == []
    assert len(caller.backend.rows("whatsapp_message_logs", campaigns__id=campaign.id)) == len(
        orders
    )


def _messaged_at(events: Sequence[str]) -> str | None:
    if "delivered" in events:
        return to_text(TIMES["delivered"])
    return to_text(TIMES["read"]) if "read" in events else None


async def test_coalesced_statuses_are_applied_as_if_they_had_come_alone(
    caller: Caller, vendor: Vendor
) -> None:
    ladders = [("sent", "delivered", "read"), ("sent", "read"), ("sent", "failed", "delivered")]
    campaign = caller.backend.seed_campaign(vendor, len(ladders))
    await caller.claim(campaign)
    await caller.report(*(accepted(campaign, uid) for uid in campaign.row_uids))
    updates = []
    for uid, ladder in zip(campaign.row_uids, ladders, strict=True):
        objects = [status_object(wamid_of(uid), name, at=TIMES[name]) for name in ladder]
        updates.append(status(vendor, objects[-1], tuple(objects[:-1])))
    assert {answer.result for answer in await caller.process(*updates)} == {"done"}
    for uid, ladder in zip(campaign.row_uids, ladders, strict=True):
        log = _log(caller.backend, vendor, wamid_of(uid))
        assert log["status"] == ladder[-1]
        assert log["messaged_at"] == _messaged_at(ladder)


async def test_a_delivered_that_comes_after_read_still_tells_the_time(
    caller: Caller, campaign: Campaign
) -> None:
    wamid = await _sent(caller, campaign)
    vendor = campaign.vendor
    await caller.process(status(vendor, status_object(wamid, "read", at=T0 + 20)))
    assert _log(caller.backend, vendor, wamid)["messaged_at"] == to_text(T0 + 20)
    await caller.process(status(vendor, status_object(wamid, "delivered", at=T0 + 10)))
    log = _log(caller.backend, vendor, wamid)
    assert (log["status"], log["messaged_at"]) == ("read", to_text(T0 + 10))


async def test_a_repeated_status_changes_nothing(caller: Caller, campaign: Campaign) -> None:
    wamid = await _sent(caller, campaign)
    element = status_object(wamid, "failed", code=131026)
    await caller.process(status(campaign.vendor, element))
    before = _log(caller.backend, campaign.vendor, wamid)
    answers = await caller.process(
        status(campaign.vendor, element), status(campaign.vendor, element)
    )
    assert [answer.result for answer in answers] == ["done", "done"]
    assert _log(caller.backend, campaign.vendor, wamid) == before


async def test_failed_keeps_its_error(caller: Caller, campaign: Campaign) -> None:
    wamid = await _sent(caller, campaign)
    await caller.process(status(campaign.vendor, status_object(wamid, "failed", code=131026)))
    log = _log(caller.backend, campaign.vendor, wamid)
    assert log["status"] == "failed"
    assert log["__data"]["error"]["code"] == 131026
    assert log["__data"]["error"]["details"] == "Its details."
    assert log["__data"]["contact_data"]


@pytest.mark.parametrize("name", ["sent", "delivered", "read", "failed"])
async def test_any_status_ends_the_queue_row(caller: Caller, campaign: Campaign, name: str) -> None:
    wamid = await _sent(caller, campaign)
    await caller.process(status(campaign.vendor, status_object(wamid, name)))
    left = caller.backend.rows("whatsapp_message_queue", campaigns__id=campaign.id)
    assert [row["_uid"] for row in left] == list(campaign.row_uids[1:])


async def test_rows_of_the_crons_own_sends_end_too(caller: Caller, campaign: Campaign) -> None:
    """A log row that the cron wrote does not name its row of the queue."""
    wamid = await _sent(caller, campaign)
    log = _log(caller.backend, campaign.vendor, wamid)
    caller.backend.change("whatsapp_message_logs", {"__data.sidecar": None}, _id=log["_id"])
    await caller.process(status(campaign.vendor, status_object(wamid, "sent")))
    left = caller.backend.rows("whatsapp_message_queue", campaigns__id=campaign.id)
    assert [row["_uid"] for row in left] == list(campaign.row_uids[1:])


async def test_a_queued_row_of_the_same_contact_stays(caller: Caller, campaign: Campaign) -> None:
    """The cron's log row means a row that was sent, not one that waits."""
    wamid = await _sent(caller, campaign)
    log = _log(caller.backend, campaign.vendor, wamid)
    caller.backend.change("whatsapp_message_logs", {"__data.sidecar": None}, _id=log["_id"])
    caller.backend.change(
        "whatsapp_message_queue",
        {"status": QueueStatus.QUEUED, "contacts__id": log["contacts__id"]},
        _uid=campaign.row_uids[1],
    )
    await caller.process(status(campaign.vendor, status_object(wamid, "sent")))
    left = caller.backend.rows("whatsapp_message_queue", campaigns__id=campaign.id)
    assert [row["_uid"] for row in left] == list(campaign.row_uids[1:])


async def test_a_status_that_is_new_to_us_changes_nothing(
    caller: Caller, campaign: Campaign
) -> None:
    wamid = await _sent(caller, campaign)
    (answer,) = await caller.process(status(campaign.vendor, status_object(wamid, "teleported")))
    assert answer.result == "done"
    assert _log(caller.backend, campaign.vendor, wamid)["status"] == "accepted"


async def test_another_vendors_log_row_is_not_touched(caller: Caller, campaign: Campaign) -> None:
    stranger = caller.backend.seed_vendor()
    wamid = await _sent(caller, campaign)
    await caller.process(status(stranger, status_object(wamid, "read")))
    assert _log(caller.backend, campaign.vendor, wamid)["status"] == "accepted"


@pytest.mark.parametrize("element", [{}, {"id": 5}, {"id": "wamid.x"}, {"status": "sent"}])
async def test_a_status_without_its_fields_is_ignored(
    caller: Caller, vendor: Vendor, element: dict[str, object]
) -> None:
    payload = envelope(vendor, "messages", messaging(vendor, statuses=[element]))
    (answer,) = await caller.process(update(vendor, "status", payload))
    assert answer.result == "ignored"


async def test_a_time_that_cannot_be_read_is_now(caller: Caller, campaign: Campaign) -> None:
    wamid = await _sent(caller, campaign)
    element = {**status_object(wamid, "delivered"), "timestamp": "soon"}
    (answer,) = await caller.process(status(campaign.vendor, element))
    assert answer.result == "done"
    messaged_at = _log(caller.backend, campaign.vendor, wamid)["messaged_at"]
    assert messaged_at is not None
    assert messaged_at > "2025-06-16"


async def _sent(caller: Caller, campaign: Campaign) -> str:
    """Send the campaign's rows, and return the wamid of the first."""
    await caller.claim(campaign)
    await caller.report(*(accepted(campaign, uid) for uid in campaign.row_uids))
    return wamid_of(campaign.row_uids[0])
