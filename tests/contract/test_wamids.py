"""A message's id is what it is, letter for letter, however long it is."""

from typing import Any

import pytest

from contracts.bots import TriggerType
from contracts.observation import ObserveAnswer
from simulator.backend.seed_bots import SeedBot
from simulator.backend.wamids import stored
from tests.contract.caller import Caller
from tests.contract.payloads import (
    accepted,
    message,
    message_object,
    status,
    status_object,
)
from tests.contract.talk import log, says, sends, sent
from tests.contract.under_test import BackendUnderTest, Campaign, Row, Vendor

SENDER = "999700000001"
LOGS = "whatsapp_message_logs"
LONG = "wamid." + "QUJD" * 70
#: The same but for its last letter.
LONGER = LONG[:-1] + "d"
#: What a collation takes for the same.
ALIKE = ("wamid.CaSe", "wamid.cAsE", "wamid.case ", "wamid.cäse")
#: What PHP takes for the same where it compares loosely, and for numbers as keys.
NUMBERS = ("100", "1e2", "0100", "100.0")
KINDS = [
    pytest.param(ALIKE, id="alike"),
    pytest.param((LONG, LONGER), id="long"),
    pytest.param(NUMBERS, id="numbers"),
]


def _rows(backend: BackendUnderTest, vendor: Vendor, **where: Any) -> list[Row]:
    return backend.rows(LOGS, vendors__id=vendor.id, **where)


async def _done(caller: Caller, *updates: dict[str, Any]) -> None:
    for result in await caller.process(*updates):
        assert (result.result, result.reason) == ("done", None)


@pytest.mark.parametrize("wamids", KINDS)
@pytest.mark.parametrize("together", [False, True])
async def test_messages_are_told_apart(
    caller: Caller, vendor: Vendor, wamids: tuple[str, ...], together: bool
) -> None:
    updates = [message(vendor, message_object(wamid, SENDER)) for wamid in wamids]
    for batch in [updates] if together else [[update] for update in updates]:
        await _done(caller, *batch)
    await _done(caller, *updates)
    rows = _rows(caller.backend, vendor)
    assert [row["wamid"] for row in rows] == [stored(wamid) for wamid in wamids]
    assert [row["__data"]["message"]["id"] for row in rows] == list(wamids)
    for wamid, row in zip(wamids, rows, strict=True):
        assert row["__data"].get("wamid") == (wamid if len(wamid) > 255 else None)
        reply = message_object(f"wamid.re.{row['_id']}", SENDER, context={"id": wamid})
        await _done(caller, message(vendor, reply))
        (answer,) = _rows(caller.backend, vendor, wamid=f"wamid.re.{row['_id']}")
        assert answer["replied_to_whatsapp_message_logs__uid"] == row["_uid"]


@pytest.mark.parametrize("wamids", KINDS)
async def test_sends_and_statuses_are_told_apart(
    caller: Caller, campaign: Campaign, wamids: tuple[str, ...]
) -> None:
    await caller.claim(campaign)
    reports = [
        accepted(campaign, uid, wamid=wamid)
        for uid, wamid in zip(campaign.row_uids, wamids, strict=False)
    ]
    wamids = wamids[: len(reports)]
    for _ in range(2):
        assert [result.result for result in await caller.report(*reports)] == ["done"] * len(wamids)
    vendor = campaign.vendor
    rows = _rows(caller.backend, vendor)
    assert [row["wamid"] for row in rows] == [stored(wamid) for wamid in wamids]
    await _done(caller, status(vendor, status_object(wamids[1], "read")))
    assert [row["status"] for row in _rows(caller.backend, vendor)][:2] == ["accepted", "read"]
    await _done(
        caller, *[status(vendor, status_object(wamid, "delivered")) for wamid in wamids[::-1]]
    )
    seen = [row["status"] for row in _rows(caller.backend, vendor)]
    assert seen == ["delivered", "read", "delivered"][: len(wamids)]
    observed = await caller.call(
        "/internal/observe",
        {"messages": [{"vendor_uid": vendor.uid, "wamid": wamid} for wamid in wamids]},
    )
    answer = ObserveAnswer.model_validate(observed)
    assert [one.status for one in answer.messages] == seen
    assert [one.wamid for one in answer.messages] == list(wamids)


@pytest.mark.parametrize("wamids", KINDS)
async def test_early_statuses_are_told_apart(
    caller: Caller, campaign: Campaign, wamids: tuple[str, ...]
) -> None:
    """Then the result comes, and completes the row that the status has made."""
    await caller.claim(campaign)
    pairs = list(zip(campaign.row_uids, wamids, strict=False))
    wamids = wamids[: len(pairs)]
    await _done(
        caller,
        *[
            status(campaign.vendor, status_object(wamid, "sent", row_uid=uid))
            for uid, wamid in pairs
        ],
    )
    results = await caller.report(*[accepted(campaign, uid, wamid=wamid) for uid, wamid in pairs])
    assert [result.result for result in results] == ["done"] * len(wamids)
    rows = _rows(caller.backend, campaign.vendor)
    assert [row["wamid"] for row in rows] == [stored(wamid) for wamid in wamids]
    for (uid, wamid), row in zip(pairs, rows, strict=True):
        assert row["__data"]["sidecar"]["queue_row_uid"] == uid
        assert row["__data"]["initial_response"]["messages"] == [{"id": wamid}]
        assert row["__data"].get("wamid") == (wamid if len(wamid) > 255 else None)


@pytest.mark.parametrize("early", [False, True])
async def test_replies_with_a_long_wamid(caller: Caller, vendor: Vendor, early: bool) -> None:
    (bot,) = caller.backend.seed_bots(vendor, SeedBot(TriggerType.IS, "hi", "Hello!"))
    (result,) = await caller.process(says(vendor, "hi", [(bot, "is")]))
    (effect,) = sends(result)
    if early:
        await _done(caller, status(vendor, status_object(LONG, "read", row_uid=effect.id)))
    (report,) = await caller.report(sent(vendor, effect.id, wamid=LONG))
    assert (report.result, report.reason) == ("done", None)
    (other,) = await caller.report(sent(vendor, effect.id, wamid=LONGER))
    assert (other.result, other.reason) == ("ignored", "row_has_wamid")
    await _done(caller, status(vendor, status_object(LONG, "read")))
    row = log(caller, effect.id)
    assert (row["wamid"], row["status"]) == (stored(LONG), "read")
    assert row["__data"]["wamid"] == LONG


async def test_a_superseded_send_is_known_by_its_long_wamid(
    caller: Caller, campaign: Campaign
) -> None:
    caller.backend.set_setting(campaign.vendor, "enable_requeue_healthy_error_msg", "1")
    await caller.claim(campaign)
    uid = campaign.row_uids[0]
    await caller.report(accepted(campaign, uid, wamid=LONG))
    unhealthy = status_object(LONG, "failed", row_uid=uid, code=131049)
    await _done(caller, status(campaign.vendor, unhealthy))
    await _done(caller, status(campaign.vendor, unhealthy))
    await caller.report(accepted(campaign, uid, wamid=LONG))
    (row,) = caller.backend.rows("whatsapp_message_queue", _uid=uid)
    assert (row["status"], row["retries"]) == (1, 1)
    assert _rows(caller.backend, campaign.vendor) == []


async def test_callback_data_names_a_row_letter_for_letter(
    caller: Caller, campaign: Campaign
) -> None:
    await caller.claim(campaign)
    shouted = status_object("wamid.1", "sent", row_uid=campaign.row_uids[0].upper())
    (result,) = await caller.process(status(campaign.vendor, shouted))
    assert (result.result, result.reason) == ("retry", "message_unknown")
