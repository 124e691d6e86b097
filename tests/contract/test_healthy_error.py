"""Error 131049: the row is queued again hours later, if the vendor wants that."""

import pytest

from contracts.backend import QueueStatus
from tests.contract.caller import Caller
from tests.contract.payloads import (
    accepted,
    now_ms,
    status,
    status_object,
    to_ms,
    wamid_of,
)
from tests.contract.under_test import Campaign, Vendor

SETTING = "enable_requeue_healthy_error_msg"
CODE = 131049
HOUR_MS = 3_600_000


@pytest.fixture
def campaign(caller: Caller, vendor: Vendor) -> Campaign:
    """A campaign of a vendor who wants such messages queued again."""
    caller.backend.set_setting(vendor, SETTING, "1")
    return caller.backend.seed_campaign(vendor, 1)


async def _send(caller: Caller, campaign: Campaign, send: int = 1) -> str:
    (row,) = (await caller.claim(campaign)).rows
    wamid = wamid_of(row.uid, send)
    await caller.report(accepted(campaign, row.uid, wamid=wamid))
    return wamid


async def _fail(caller: Caller, campaign: Campaign, wamid: str, code: int = CODE) -> str:
    uid = campaign.row_uids[0]
    element = status_object(wamid, "failed", row_uid=uid, code=code)
    return (await caller.process(status(campaign.vendor, element)))[0].result


def _make_due(caller: Caller, campaign: Campaign) -> None:
    caller.backend.change(
        "whatsapp_message_queue",
        {"scheduled_at": "2001-01-01 00:00:00"},
        campaigns__id=campaign.id,
    )


async def test_the_row_waits_for_hours(caller: Caller, campaign: Campaign) -> None:
    for retries in range(1, 4):
        wamid = await _send(caller, campaign, retries)
        before = now_ms()
        assert await _fail(caller, campaign, wamid) == "done"
        (row,) = caller.backend.rows("whatsapp_message_queue", campaigns__id=campaign.id)
        assert (row["status"], row["retries"]) == (QueueStatus.QUEUED, retries)
        due_at = to_ms(row["scheduled_at"])
        assert before + retries * HOUR_MS - 1000 <= due_at <= now_ms() + retries * HOUR_MS + 1000
        assert caller.backend.rows("whatsapp_message_logs", campaigns__id=campaign.id) == []
        _make_due(caller, campaign)


async def test_after_five_retries_it_has_failed(caller: Caller, campaign: Campaign) -> None:
    wamid = await _send(caller, campaign)
    caller.backend.change("whatsapp_message_queue", {"retries": 5}, campaigns__id=campaign.id)
    await _fail(caller, campaign, wamid)
    assert caller.backend.rows("whatsapp_message_queue", campaigns__id=campaign.id) == []
    (log,) = caller.backend.rows("whatsapp_message_logs", campaigns__id=campaign.id)
    assert log["status"] == "failed"


@pytest.mark.parametrize("setting", ["0", "", None])
async def test_without_the_setting_it_has_failed(
    caller: Caller, campaign: Campaign, setting: str | None
) -> None:
    if setting is None:
        caller.backend.delete("vendor_settings", vendors__id=campaign.vendor.id, name=SETTING)
    else:
        caller.backend.set_setting(campaign.vendor, SETTING, setting)
    await _fail(caller, campaign, await _send(caller, campaign))
    assert caller.backend.rows("whatsapp_message_queue", campaigns__id=campaign.id) == []
    (log,) = caller.backend.rows("whatsapp_message_logs", campaigns__id=campaign.id)
    assert (log["status"], log["__data"]["error"]["code"]) == ("failed", CODE)


async def test_another_error_has_failed(caller: Caller, campaign: Campaign) -> None:
    await _fail(caller, campaign, await _send(caller, campaign), code=131026)
    assert caller.backend.rows("whatsapp_message_queue", campaigns__id=campaign.id) == []


async def test_a_delivered_message_is_not_sent_again(caller: Caller, campaign: Campaign) -> None:
    wamid = await _send(caller, campaign)
    await caller.process(status(campaign.vendor, status_object(wamid, "delivered")))
    await _fail(caller, campaign, wamid)
    assert caller.backend.rows("whatsapp_message_queue", campaigns__id=campaign.id) == []
    (log,) = caller.backend.rows("whatsapp_message_logs", campaigns__id=campaign.id)
    assert log["status"] == "delivered"


async def test_the_error_may_come_before_the_result(caller: Caller, campaign: Campaign) -> None:
    (row,) = (await caller.claim(campaign)).rows
    wamid = wamid_of(row.uid)
    assert await _fail(caller, campaign, wamid) == "done"
    (answer,) = await caller.report(accepted(campaign, row.uid, wamid=wamid))
    assert answer.result == "done"
    (queued,) = caller.backend.rows("whatsapp_message_queue", campaigns__id=campaign.id)
    assert (queued["status"], queued["retries"]) == (QueueStatus.QUEUED, 1)
    assert caller.backend.rows("whatsapp_message_logs", campaigns__id=campaign.id) == []


async def test_repeats_do_not_disturb_the_next_send(caller: Caller, campaign: Campaign) -> None:
    """Status and result of the first send come again while the second is under way: taken for the
    second's, they would send a third."""
    first = await _send(caller, campaign, 1)
    uid = campaign.row_uids[0]
    await _fail(caller, campaign, first)
    _make_due(caller, campaign)
    assert await _fail(caller, campaign, first) == "done"
    await caller.claim(campaign)
    assert await _fail(caller, campaign, first) == "done"
    (answer,) = await caller.report(accepted(campaign, uid, wamid=first))
    assert answer.result == "done"
    (queued,) = caller.backend.rows("whatsapp_message_queue", campaigns__id=campaign.id)
    assert (queued["status"], queued["retries"]) == (QueueStatus.PROCESSING, 1)
    assert caller.backend.rows("whatsapp_message_logs", campaigns__id=campaign.id) == []
    second = wamid_of(uid, 2)
    await caller.report(accepted(campaign, uid, wamid=second))
    await caller.process(status(campaign.vendor, status_object(second, "read", row_uid=uid)))
    (log,) = caller.backend.rows("whatsapp_message_logs", campaigns__id=campaign.id)
    assert (log["wamid"], log["status"]) == (second, "read")
    assert caller.backend.rows("whatsapp_message_queue", campaigns__id=campaign.id) == []
