"""Whatever comes from outside fits its column, or is made to fit; the whole of it is kept."""

import json
import time
from typing import Any

import aiohttp
import orjson
import pytest

from contracts.backend import PROCESS_WEBHOOK, PROCESS_WEBHOOKS, UpdateResult
from simulator.backend.jsontext import dump_bytes
from tests.contract.caller import Caller
from tests.contract.embedded import EmbeddedBackend
from tests.contract.installed import InstalledBackend
from tests.contract.payloads import (
    T0,
    accepted,
    envelope,
    failed,
    message,
    message_object,
    messaging,
    now_ms,
    status,
    status_object,
    to_ms,
    to_text,
)
from tests.contract.talk import says
from tests.contract.under_test import BackendUnderTest, Campaign, Row, Vendor

SENDER = "999700000001"
LOGS = "whatsapp_message_logs"

#: More bytes than a text column takes, in characters of two and of four bytes.
LONG_TEXT = "é😀 " * 12_000
LONG_NAME = "Zoë" * 60
DIGITS = (
    '{"created_timestamp":18446744073709551617,"ratio":0.1234567890123456789,"one":1.0,"exp":1e+22}'
)


async def _result(caller: Caller, update: dict[str, Any]) -> UpdateResult:
    (result,) = await caller.process(update)
    return result


async def _done(caller: Caller, *updates: dict[str, Any]) -> None:
    for result in await caller.process(*updates):
        assert (result.result, result.reason) == ("done", None)


def _only_log(backend: BackendUnderTest, vendor: Vendor) -> Row:
    (row,) = backend.rows(LOGS, vendors__id=vendor.id)
    return row


async def test_a_long_text_is_cut_on_a_character_and_kept_whole(
    caller: Caller, vendor: Vendor
) -> None:
    await _done(caller, says(vendor, LONG_TEXT))
    row = _only_log(caller.backend, vendor)
    assert 65_530 <= len(row["message"].encode()) <= 65_535
    assert LONG_TEXT.startswith(row["message"])
    assert row["__data"]["message"]["text"]["body"] == LONG_TEXT


async def test_long_names_are_cut(caller: Caller, vendor: Vendor) -> None:
    contact = {"wa_id": SENDER, "profile": {"name": f"{LONG_NAME} {LONG_NAME}"}}
    await _done(caller, message(vendor, message_object("wamid.1", SENDER), contacts=[contact]))
    (row,) = caller.backend.rows("contacts", vendors__id=vendor.id)
    assert (row["first_name"], row["last_name"]) == (LONG_NAME[:150], LONG_NAME[:150])


@pytest.mark.parametrize("timestamp", ["253402300800", "-1", -1, "1e5", 2**70, None, [], "١"])
async def test_a_time_that_no_column_holds_is_now(
    caller: Caller, vendor: Vendor, timestamp: object
) -> None:
    before = now_ms()
    element = message_object("wamid.1", SENDER, timestamp=timestamp)
    body = orjson.dumps(envelope(vendor, "messages", messaging(vendor, messages=[{}])))
    raw = body.replace(b"{}", dump_bytes(element))
    assert (await caller.process_raw(vendor, raw)).result == "done"
    row = _only_log(caller.backend, vendor)
    assert before - 1000 <= to_ms(row["messaged_at"]) <= now_ms()


async def test_odd_characters_are_kept_or_replaced(caller: Caller, vendor: Vendor) -> None:
    texts = (r"nul \u0000 end", r"half \ud83d end", r"pair \ud83d\ude00 end", "byte \xff end")
    right = ("nul \0 end", "half � end", "pair 😀 end", "byte � end")
    for place, text in enumerate(texts):
        element = message_object(f"wamid.{place}", SENDER, text={"body": "TEXT"})
        contact = {"wa_id": SENDER, "profile": {"name": "TEXT"}}
        value = messaging(vendor, contacts=[contact], messages=[element])
        body = orjson.dumps(envelope(vendor, "messages", value))
        raw = body.replace(b"TEXT", text.encode("latin-1"))
        assert (await caller.process_raw(vendor, b"\xef\xbb\xbf" + raw)).result == "done"
    rows = caller.backend.rows(LOGS, vendors__id=vendor.id)
    assert tuple(row["message"] for row in rows) == right


@pytest.mark.parametrize("raw", [False, True])
async def test_digits_are_kept(caller: Caller, vendor: Vendor, raw: bool) -> None:
    update = says(vendor, "hi", identity="DIGITS")
    path, request = PROCESS_WEBHOOKS, {"updates": [update]}
    if raw:
        path, request = PROCESS_WEBHOOK.format(vendor_uid=vendor.uid), update["payload"]
    answer = await caller.signed(path, orjson.dumps(request).replace(b'"DIGITS"', DIGITS.encode()))
    assert b'"done"' in answer.content
    assert isinstance(caller.backend, InstalledBackend)
    (row,) = caller.backend.run(f"SELECT __data FROM {LOGS} WHERE vendors__id = ?", (vendor.id,))
    if caller.backend.keeps_json_text:
        assert DIGITS in row["__data"].replace(" ", "")
    else:
        kept = json.loads(row["__data"], parse_int=float)["message"]["identity"]
        assert kept == json.loads(DIGITS, parse_int=float)


async def test_ids_that_are_too_long_are_left_out(caller: Caller, vendor: Vendor) -> None:
    """For a part of an id is somebody else's; the whole of it stands in the message."""
    sender = "9" * 60
    await _done(caller, message(vendor, message_object("wamid.1", sender)))
    await _done(caller, message(vendor, message_object("wamid.2", sender)))
    rows = caller.backend.rows(LOGS, vendors__id=vendor.id)
    assert [row["contact_wa_id"] for row in rows] == [None, None]
    assert rows[0]["contacts__id"] == rows[1]["contacts__id"]
    assert rows[0]["__data"]["message"]["from"] == sender


async def test_a_number_that_is_too_long_is_left_out(caller: Caller, vendor: Vendor) -> None:
    number = "8" * 60
    caller.backend.set_setting(vendor, "current_phone_number_id", number)
    await _done(caller, message(vendor, message_object("wamid.1", SENDER), number=number))
    assert _only_log(caller.backend, vendor)["wab_phone_number_id"] is None


@pytest.mark.parametrize("name", ["warning", "deleted", "pending_moderation_by_somebody_or_other"])
async def test_statuses_that_nobody_knows_rank_below_all(
    caller: Caller, campaign: Campaign, name: str
) -> None:
    await caller.claim(campaign)
    uid = campaign.row_uids[0]
    await caller.report(accepted(campaign, uid, wamid="wamid.1"))
    await _done(caller, status(campaign.vendor, status_object("wamid.1", name)))
    assert _only_log(caller.backend, campaign.vendor)["status"] == "accepted"
    await _done(caller, status(campaign.vendor, status_object("wamid.1", "read")))
    caller.backend.change(LOGS, {"status": None}, vendors__id=campaign.vendor.id)
    odd = status_object("wamid.1", name, at=T0) | {"recipient_id": 7, "timestamp": []}
    await _done(caller, status(campaign.vendor, odd))
    assert _only_log(caller.backend, campaign.vendor)["status"] == name[:10]
    again = await _result(caller, status(campaign.vendor, status_object("wamid.1", name)))
    assert (again.result, again.campaign_uid) == ("done", None)
    await _done(caller, status(campaign.vendor, status_object("wamid.1", "sent")))
    assert _only_log(caller.backend, campaign.vendor)["status"] == "sent"


async def test_a_held_message_is_known_by_what_the_column_holds(
    caller: Caller, campaign: Campaign
) -> None:
    await caller.claim(campaign)
    held = "held_for_quality_assessment"
    await caller.report(
        accepted(campaign, campaign.row_uids[0], wamid="wamid.1", message_status=held)
    )
    assert _only_log(caller.backend, campaign.vendor)["status"] == held[:10]
    await _done(caller, status(campaign.vendor, status_object("wamid.1", "accepted")))
    assert _only_log(caller.backend, campaign.vendor)["status"] == held[:10]
    await _done(caller, status(campaign.vendor, status_object("wamid.1", "sent")))
    assert _only_log(caller.backend, campaign.vendor)["status"] == "sent"


async def test_a_status_of_odd_types_is_never_stuck(caller: Caller, campaign: Campaign) -> None:
    await caller.claim(campaign)
    uid = campaign.row_uids[0]
    deep: Any = "x"
    for _ in range(40):
        deep = [deep]
    errors = [
        {"code": 2**40, "title": LONG_TEXT, "message": deep, "error_data": {"details": {"a": deep}}}
    ]
    odd = status_object("wamid.1", "failed", row_uid=uid) | {"errors": errors, "conversation": deep}
    await _done(caller, status(campaign.vendor, odd))
    row = _only_log(caller.backend, campaign.vendor)
    assert row["status"] == "failed"
    assert row["__data"]["error"]["title"] == LONG_TEXT
    await _done(caller, says(campaign.vendor, "hi", wamid="7"))
    await _done(caller, status(campaign.vendor, status_object("7", "read") | {"id": 7}))
    (row,) = caller.backend.rows(LOGS, vendors__id=campaign.vendor.id, wamid="7")
    assert row["status"] == "read"
    nameless: list[dict[str, Any]] = [
        {"id": []},
        {"id": "wamid.1", "status": 7},
        {"status": "read"},
    ]
    for element in nameless:
        result = await _result(caller, status(campaign.vendor, element))
        assert result.result == "ignored"


async def test_results_fit(caller: Caller, campaign: Campaign) -> None:
    await caller.claim(campaign)
    first, second, _ = campaign.row_uids
    deep: Any = "x"
    for _ in range(40):
        deep = [deep]
    error = {"code": 1, "message": LONG_TEXT, "details": LONG_TEXT}
    reports = (
        accepted(
            campaign,
            first,
            wamid="wamid.1",
            wa_id="9" * 60,
            phone_number_id="8" * 60,
            message_status="paused_for_some_reason_that_is_long",
            response={"messages": deep},
        ),
        failed(campaign, second, error=error),
    )
    assert [result.result for result in await caller.report(*reports)] == ["done", "done"]
    row = _only_log(caller.backend, campaign.vendor)
    assert row["status"] == "paused_for"
    assert (row["contact_wa_id"], row["wab_phone_number_id"]) == (campaign.recipients[0], None)
    (contact,) = caller.backend.rows("contacts", _id=row["contacts__id"])
    assert contact["wa_id"] == campaign.recipients[0]


@pytest.mark.parametrize("data", ["[]", None])
async def test_an_empty_list_of_phps_counts_as_an_object(
    caller: Caller, campaign: Campaign, data: str | None
) -> None:
    backend, vendor = caller.backend, campaign.vendor
    uid = campaign.row_uids[0]
    backend.change("whatsapp_message_queue", {"__data": data}, _uid=uid)
    backend.change("contacts", {"__data": data}, vendors__id=vendor.id)
    backend.change("campaigns", {"__data": data}, _uid=campaign.uid)
    claimed = await caller.claim(campaign, 1)
    assert [row.uid for row in claimed.rows] == [uid]
    recovered = await caller.claim(campaign, 1, recover=True)
    assert [row.uid for row in recovered.rows] == [uid]
    await caller.report(accepted(campaign, uid, wamid="wamid.1"))
    element = message_object("wamid.2", campaign.recipients[0], from_user_id="US.1")
    await _done(caller, message(vendor, element))
    (contact,) = backend.rows("contacts", vendors__id=vendor.id, wa_id=campaign.recipients[0])
    assert contact["__data"]["user_id"] == "US.1"
    backend.change(LOGS, {"__data": data}, vendors__id=vendor.id)
    failure = status_object("wamid.1", "failed", code=131026)
    await _done(caller, status(vendor, failure))
    (row,) = backend.rows(LOGS, vendors__id=vendor.id, wamid="wamid.1")
    assert row["__data"]["error"]["code"] == 131026


async def test_a_templates_name_may_be_a_number(caller: Caller, campaign: Campaign) -> None:
    uid = campaign.row_uids[0]
    (row,) = caller.backend.rows("whatsapp_message_queue", _uid=uid)
    data = row["__data"]["campaign_data"] | {"whatsAppTemplateName": 2026}
    caller.backend.change("whatsapp_message_queue", {"__data.campaign_data": data}, _uid=uid)
    claimed = await caller.claim(campaign, 1)
    assert [one.template_name for one in claimed.rows] == ["2026"]


async def test_the_time_of_a_status_fits(caller: Caller, campaign: Campaign) -> None:
    await caller.claim(campaign)
    await caller.report(accepted(campaign, campaign.row_uids[0], wamid="wamid.1"))
    late = status_object("wamid.1", "delivered", at=253_402_300_800)
    before = int(time.time())
    await _done(caller, status(campaign.vendor, late))
    messaged_at = _only_log(caller.backend, campaign.vendor)["messaged_at"]
    assert to_text(before) <= messaged_at <= to_text(int(time.time()))


@pytest.mark.parametrize("levels", [22, 28, 60])
async def test_a_message_of_any_depth_is_kept(caller: Caller, vendor: Vendor, levels: int) -> None:
    deep: Any = "x"
    for _ in range(levels):
        deep = [deep]
    update = says(vendor, "hi", odd=deep)
    await _done(caller, update)
    kept = _only_log(caller.backend, vendor)["__data"]["message"]
    message = kept if isinstance(kept, dict) else orjson.loads(kept)
    assert message["odd"] == deep
    await _done(caller, update)


async def test_what_can_never_be_written_is_rejected_and_holds_nobody_back(
    embedded: EmbeddedBackend,
) -> None:
    """For the real stack, see tests/stack/test_isolation.py."""
    vendor = embedded.seed_vendor()
    embedded.run(
        f"CREATE TRIGGER refusal BEFORE INSERT ON {LOGS} WHEN NEW.wamid = 'wamid.refused'"
        " BEGIN SELECT RAISE(ABORT, 'no'); END"
    )
    wamids = ["wamid.before", "wamid.refused", "wamid.after"]
    updates = [message(vendor, message_object(wamid, SENDER), order="c") for wamid in wamids]
    async with aiohttp.ClientSession() as session:
        results = await Caller(embedded, session).process(*updates)
    embedded.run("DROP TRIGGER refusal")
    assert [result.result for result in results] == ["done", "rejected", "done"]
    assert results[1].reason == "error: IntegrityError: no"
