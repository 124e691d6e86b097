"""``due-campaigns``: which campaigns have rows to send, and how far they are."""

from typing import Any

import pytest

from contracts.backend import QueueStatus
from tests.contract.caller import Caller
from tests.contract.payloads import (
    accepted,
    failed,
    now_ms,
    result,
    status,
    status_object,
    wamid_of,
)
from tests.contract.under_test import Campaign, Vendor

LONG_AGO = "2001-01-01 00:00:00"


async def _due_uids(caller: Caller, **fields: Any) -> list[str]:
    return [campaign.campaign_uid for campaign in (await caller.due(**fields)).campaigns]


async def test_campaigns_with_due_rows_are_found(caller: Caller, vendor: Vendor) -> None:
    due = caller.backend.seed_campaign(vendor, 2)
    later = caller.backend.seed_campaign(vendor, 2, scheduled_at=now_ms() + 3_600_000)
    paused = caller.backend.seed_campaign(vendor, 2)
    cancelled = caller.backend.seed_campaign(vendor, 2)
    claimed = caller.backend.seed_campaign(vendor, 2)
    await caller.release(paused, campaign_state="paused")
    await caller.release(cancelled, campaign_state="cancelled")
    await caller.claim(claimed)
    answer = await caller.due(limit=1000)
    assert all(campaign.on_sidecar for campaign in answer.campaigns)
    found = [campaign.campaign_uid for campaign in answer.campaigns]
    assert due.uid in found
    assert not {later.uid, paused.uid, cancelled.uid, claimed.uid} & set(found)


async def test_open_campaigns_are_listed_whatever_their_state(
    caller: Caller, vendor: Vendor
) -> None:
    """Those that have rows to send, claimed ones or ones of unknown outcome; the newest first."""
    seed, change = caller.backend.seed_campaign, caller.backend.change
    due, later = seed(vendor, 2), seed(vendor, 2, scheduled_at=now_ms() + 3_600_000)
    paused, cancelled, claimed = seed(vendor, 2), seed(vendor, 2), seed(vendor, 1)
    unknown, over, gone = seed(vendor, 1), seed(vendor, 3), seed(vendor, 1)
    await caller.release(paused, campaign_state="paused", reason="a person says so")
    await caller.release(cancelled, campaign_state="cancelled")
    await caller.claim(claimed)
    change("whatsapp_message_queue", {"status": 6}, campaigns__id=unknown.id)
    for row, status_ in zip(over.row_uids, (2, 4, 5), strict=True):
        change("whatsapp_message_queue", {"status": status_}, _uid=row)
    caller.backend.delete("whatsapp_message_queue", campaigns__id=gone.id)
    answer = await caller.due(open=True, limit=1000)
    ours = {one.uid for one in (due, later, paused, cancelled, claimed, unknown, over, gone)}
    found = [one.campaign_uid for one in answer.campaigns if one.campaign_uid in ours]
    assert found == [one.uid for one in (unknown, claimed, cancelled, paused, later, due)]
    states = {one.campaign_uid: (one.state, one.reason) for one in answer.campaigns}
    assert states[paused.uid] == ("paused", "a person says so")
    assert states[cancelled.uid][0] == "cancelled"
    assert answer.pending_webhooks == 0
    newest = await caller.due(open=True, limit=1)
    assert [one.campaign_uid for one in newest.campaigns] == [unknown.uid]
    named = await caller.due(due, open=True)
    assert [one.campaign_uid for one in named.campaigns] == [due.uid]
    caller.backend.leave_to_php(vendor)
    of_php = ours & set(await _due_uids(caller, open=True, limit=1000))
    assert of_php == {paused.uid}, "its cron leaves it to whoever resumes it"


async def test_campaigns_that_the_crons_send_are_left_to_them(
    caller: Caller, vendor: Vendor
) -> None:
    campaign = caller.backend.seed_campaign(vendor, 2)
    caller.backend.change(
        "whatsapp_message_queue",
        {"status": QueueStatus.PROCESSING, "updated_at": LONG_AGO},
        _uid=campaign.row_uids[0],
    )
    caller.backend.leave_to_php(vendor)
    assert campaign.uid not in await _due_uids(caller, limit=1000)
    [named] = (await caller.due(campaign)).campaigns
    assert (named.due, named.on_sidecar) == (1, False)
    assert named.counts.processing == 1, "the crons say when a row has been there for too long"


async def test_a_requeued_row_is_found_when_it_falls_due(
    caller: Caller, campaign: Campaign
) -> None:
    await caller.claim(campaign)
    due_at = (now_ms() // 1000 + 60) * 1000
    await caller.report(result(campaign, campaign.row_uids[0], "requeue", due_at=due_at))
    assert campaign.uid not in await _due_uids(caller, limit=1000)
    assert (await caller.due(campaign)).campaigns[0].next_due_at == due_at
    caller.backend.change(
        "whatsapp_message_queue", {"scheduled_at": LONG_AGO}, _uid=campaign.row_uids[0]
    )
    assert campaign.uid in await _due_uids(caller, limit=1000)


async def test_the_longest_waiting_comes_first(caller: Caller, vendor: Vendor) -> None:
    """So that a limit starves nobody."""
    campaigns = [caller.backend.seed_campaign(vendor, 1) for _ in range(3)]
    for campaign, year in zip(campaigns, (1993, 1991, 1992), strict=True):
        caller.backend.change(
            "whatsapp_message_queue",
            {"scheduled_at": f"{year}-01-01 00:00:00"},
            campaigns__id=campaign.id,
        )
    first, second, third = campaigns
    assert await _due_uids(caller, limit=2) == [second.uid, third.uid]
    assert (await _due_uids(caller, limit=3))[2] == first.uid
    for campaign in campaigns:
        await caller.claim(campaign)


async def test_a_campaign_is_described(caller: Caller, vendor: Vendor) -> None:
    campaign = caller.backend.seed_campaign(vendor, 12)
    uids = campaign.row_uids
    later = (now_ms() // 1000 + 3600) * 1000
    await caller.claim(campaign, 10)
    await caller.report(
        *(accepted(campaign, uid) for uid in uids[:5]),
        failed(campaign, uids[5]),
        result(campaign, uids[6], "unknown"),
        result(campaign, uids[7], "requeue", due_at=later),
    )
    caller.backend.change("whatsapp_message_queue", {"status": QueueStatus.EXPIRED}, _uid=uids[8])
    for uid, name in zip(uids, ("sent", "delivered", "read", "failed"), strict=False):
        await caller.process(status(vendor, status_object(wamid_of(uid), name)))
    (described,) = (await caller.due(campaign)).campaigns
    assert (described.campaign_uid, described.vendor_uid) == (campaign.uid, vendor.uid)
    assert described.title
    assert (described.state, described.reason) == ("running", None)
    assert (described.due, described.next_due_at) == (2, later)
    assert described.counts.model_dump() == {
        "queued": 3,
        "error": 1,
        "processing": 1,
        "awaiting_status": 1,
        "expired": 1,
        "unknown": 1,
        "accepted": 1,
        "sent": 1,
        "delivered": 1,
        "read": 1,
        "failed": 1,
    }


async def test_what_messages_have_failed_of(caller: Caller, vendor: Vendor) -> None:
    """Of the queue and of the log, the most frequent first; the newest campaign's are its own."""
    campaign, other = (caller.backend.seed_campaign(vendor, 8) for _ in range(2))
    uids = campaign.row_uids
    await caller.claim(campaign)
    await caller.claim(other, 1)
    await caller.report(
        *(accepted(campaign, uid) for uid in uids[:4]),
        *(failed(campaign, uid, 132015) for uid in uids[4:6]),
        failed(campaign, uids[6], 131047),
        failed(campaign, uids[7]),
        failed(other, other.row_uids[0]),
    )
    for uid, code in zip(uids, (131026, 131026, None, "131053"), strict=False):
        errors = [{"code": code, "title": "undeliverable"}] if code else []
        told = {**status_object(wamid_of(uid), "failed"), "errors": errors}
        await caller.process(status(vendor, told))
    # What the application itself has written, and what cannot be a code.
    change = caller.backend.change
    for uid, error in ((uids[6], 131047), (uids[7], True)):
        data = {"process_response": {"error_status": error, "error_message": None}}
        change("whatsapp_message_queue", {f"__data.{name}": data[name] for name in data}, _uid=uid)
    [described] = (await caller.due(campaign, errors=True)).campaigns
    assert described.errors is not None
    found = [(one.error_status, one.count, one.later) for one in described.errors]
    assert found[0] == ("132015", 2, False)
    assert set(found[1:3]) == {("131047", 1, False), (None, 1, False)}
    assert found[3] == ("131026", 2, True)
    assert set(found[4:]) == {(None, 1, True), ("131053", 1, True)}
    assert described.errors[0].message
    assert [one.message for one in described.errors[1:3]] == [None, None]
    assert described.errors[3].message == "undeliverable"
    answer = await caller.due(campaign, other, errors=True)
    both = {one.campaign_uid: one for one in answer.campaigns}
    assert [one.count for one in both[other.uid].errors or []] == [1]
    assert both[campaign.uid].errors == described.errors


async def test_errors_are_told_only_if_they_are_asked_for(
    caller: Caller, campaign: Campaign
) -> None:
    assert (await caller.due(campaign)).campaigns[0].errors is None
    assert (await caller.due(campaign, errors=True)).campaigns[0].errors == []
    assert all(one.errors is None for one in (await caller.due(open=True, errors=True)).campaigns)


async def test_named_campaigns_are_described_whatever_their_state(
    caller: Caller, vendor: Vendor
) -> None:
    empty = caller.backend.seed_campaign(vendor, 0)
    paused = caller.backend.seed_campaign(vendor, 1)
    await caller.release(paused, campaign_state="paused", reason="night")
    described = {row.campaign_uid: row for row in (await caller.due(empty, paused)).campaigns}
    assert described[empty.uid].due == 0
    assert described[empty.uid].next_due_at is None
    assert (described[paused.uid].state, described[paused.uid].reason) == ("paused", "night")


async def test_a_campaign_that_does_not_exist_is_left_out(
    caller: Caller, campaign: Campaign
) -> None:
    answer = await caller.call(
        "/internal/due-campaigns", {"campaign_uids": ["nothing", campaign.uid]}
    )
    assert [row["campaign_uid"] for row in answer["campaigns"]] == [campaign.uid]
    assert (await caller.call("/internal/due-campaigns", {"campaign_uids": []}))["campaigns"] == []


async def test_customers_messages_are_not_counted(caller: Caller, campaign: Campaign) -> None:
    await caller.claim(campaign)
    await caller.report(accepted(campaign, campaign.row_uids[0]))
    caller.backend.change(
        "whatsapp_message_logs", {"is_incoming_message": 1}, campaigns__id=campaign.id
    )
    assert (await caller.due(campaign)).campaigns[0].counts.accepted == 0


async def test_rows_that_stand_in_3_become_6(caller: Caller, vendor: Vendor) -> None:
    campaign = caller.backend.seed_campaign(vendor, 3)
    await caller.claim(campaign, 2)
    old, young, _ = campaign.row_uids
    caller.backend.change("whatsapp_message_queue", {"updated_at": LONG_AGO}, _uid=old)
    answer = await caller.due(campaign, stale_after_s=300)
    assert answer.made_unknown >= 1
    assert (answer.campaigns[0].counts.unknown, answer.campaigns[0].counts.processing) == (1, 1)
    row = caller.backend.rows("whatsapp_message_queue", _uid=old)[0]
    assert row["status"] == QueueStatus.UNKNOWN
    assert row["__data"]["process_response"]["error_status"] == "awaited_response_error"
    row = caller.backend.rows("whatsapp_message_queue", _uid=young)[0]
    assert row["status"] == QueueStatus.PROCESSING
    assert (await caller.due(campaign)).made_unknown == 0


@pytest.mark.parametrize("queue_status", [1, 2, 4, 5, 6])
async def test_old_rows_in_another_status_stay(
    caller: Caller, campaign: Campaign, queue_status: int
) -> None:
    values = {"status": queue_status, "updated_at": LONG_AGO}
    caller.backend.change("whatsapp_message_queue", values, campaigns__id=campaign.id)
    assert (await caller.due(campaign)).made_unknown == 0
    rows = caller.backend.rows("whatsapp_message_queue", campaigns__id=campaign.id)
    assert {row["status"] for row in rows} == {queue_status}


async def test_a_stale_row_is_settled_by_its_result(caller: Caller, campaign: Campaign) -> None:
    await caller.claim(campaign)
    caller.backend.change(
        "whatsapp_message_queue", {"updated_at": LONG_AGO}, campaigns__id=campaign.id
    )
    await caller.due(campaign)
    await caller.report(*(accepted(campaign, uid) for uid in campaign.row_uids))
    counts = (await caller.due(campaign)).campaigns[0].counts
    assert (counts.awaiting_status, counts.unknown) == (3, 0)
