"""Bots answer a customer's message: which of them, with what, and what they switch."""

import uuid
from typing import Any

import pytest

from contracts.bots import TriggerType
from simulator.backend.seed_bots import SeedBot
from tests.contract.caller import Caller
from tests.contract.payloads import message, message_object
from tests.contract.talk import CUSTOMER, contact, effects_of, log, says, sends, sent, texts
from tests.contract.under_test import Vendor

OPEN = SeedBot(TriggerType.IS, "open", "We open at nine.")
WELCOME = SeedBot(TriggerType.WELCOME, None, "Welcome!")


async def test_a_bot_that_matches_answers(caller: Caller, vendor: Vendor) -> None:
    (bot,) = caller.backend.seed_bots(vendor, OPEN)
    (result,) = await caller.process(says(vendor, "Open", [(bot, "is")]))
    (reply,) = sends(result)
    assert uuid.UUID(reply.id)
    assert reply.to == CUSTOMER
    assert reply.message == {"type": "text", "text": {"body": "We open at nine."}}
    assert reply.phone_number_id == vendor.phone_number_ids[0]
    row = log(caller, reply.id)
    assert (row["status"], row["wamid"], row["is_incoming_message"]) == ("pending", None, 0)
    assert row["contacts__id"] == contact(caller, vendor)["_id"]
    assert (row["vendors__id"], row["campaigns__id"]) == (vendor.id, None)
    assert row["contact_wa_id"] == CUSTOMER
    assert row["wab_phone_number_id"] == vendor.phone_number_ids[0]
    assert row["message"] == "We open at nine."


async def test_all_that_match_answer_in_their_order(caller: Caller, vendor: Vendor) -> None:
    replies = [SeedBot("contains", "a", text) for text in ("One", "Two", "Three")]
    first, second, third = caller.backend.seed_bots(vendor, *replies)
    update = says(vendor, "a", [(third, "contains"), (first, "contains")])
    (result,) = await caller.process(update)
    assert texts(sends(result)) == ["Three", "One"]
    assert second not in str(result.effects)


@pytest.mark.parametrize(
    "bot", [SeedBot("is", "a", "A", active=False), SeedBot("is", "a", "A", flow_active=False)]
)
async def test_a_bot_that_is_not_active_any_more_is_silent(
    caller: Caller, vendor: Vendor, bot: SeedBot
) -> None:
    (uid,) = caller.backend.seed_bots(vendor, bot)
    (result,) = await caller.process(says(vendor, "a", [(uid, "is")]))
    assert sends(result) == []


async def test_a_bot_that_is_not_the_vendors_is_silent(caller: Caller, vendor: Vendor) -> None:
    caller.backend.seed_bots(vendor, OPEN)
    (strange,) = caller.backend.seed_bots(caller.backend.seed_vendor(), OPEN)
    update = says(vendor, "open", [(strange, "is"), ("nobody", "is")])
    assert sends((await caller.process(update))[0]) == []


async def test_a_bot_without_a_text_sends_nothing(caller: Caller, vendor: Vendor) -> None:
    (bot,) = caller.backend.seed_bots(vendor, SeedBot("is", "a"))
    assert sends((await caller.process(says(vendor, "a", [(bot, "is")])))[0]) == []


async def test_without_matches_php_looks_itself(caller: Caller, vendor: Vendor) -> None:
    caller.backend.seed_bots(vendor, OPEN, SeedBot("contains", "shoe, 0", "We have shoes."))
    results = await caller.process(
        *[says(vendor, text, None) for text in (" OPEN ", "Any SHOES?", "opening", "10")]
    )
    assert [texts(sends(one)) for one in results] == [
        ["We open at nine."],
        ["We have shoes."],
        [],
        [],
    ]


async def test_the_sidecars_matches_are_all_there_are(caller: Caller, vendor: Vendor) -> None:
    caller.backend.seed_bots(vendor, OPEN)
    assert sends((await caller.process(says(vendor, "open", [])))[0]) == []


async def test_a_welcome_is_said_once_in_24_hours(caller: Caller, vendor: Vendor) -> None:
    (bot,) = caller.backend.seed_bots(vendor, WELCOME)
    match = [(bot, "welcome")]
    first, second = await caller.process(says(vendor, "Hi", match), says(vendor, "Hi?", match))
    assert texts(sends(first)) == ["Welcome!"]
    assert sends(second) == []
    aged = {"created_at": "2025-01-01 00:00:00", "messaged_at": "2025-01-01 00:00:00"}
    caller.backend.change("whatsapp_message_logs", aged, vendors__id=vendor.id)
    (later,) = await caller.process(says(vendor, "Hi again", match))
    assert texts(sends(later)) == ["Welcome!"]


async def test_a_welcome_answers_beside_others(caller: Caller, vendor: Vendor) -> None:
    hello, is_open = caller.backend.seed_bots(vendor, WELCOME, OPEN)
    matches = [(hello, "welcome"), (is_open, "is")]
    first, second = await caller.process(
        says(vendor, "open", matches), says(vendor, "open", matches)
    )
    assert texts(sends(first)) == ["Welcome!", "We open at nine."]
    assert texts(sends(second)) == ["We open at nine."]


@pytest.mark.parametrize(
    ("fields", "answered"),
    [
        ({}, False),
        ({"type": "button", "button": {"text": "open", "payload": "p"}}, True),
        (
            {
                "type": "interactive",
                "interactive": {"type": "button_reply", "button_reply": {"title": "open"}},
            },
            True,
        ),
    ],
)
async def test_a_contact_without_bots_hears_them_on_a_quick_reply_only(
    caller: Caller, vendor: Vendor, fields: dict[str, Any], answered: bool
) -> None:
    (bot,) = caller.backend.seed_bots(vendor, OPEN)
    await caller.process(says(vendor, "Hi"))
    caller.backend.change("contacts", {"disable_reply_bot": 1}, vendors__id=vendor.id)
    (result,) = await caller.process(says(vendor, "open", [(bot, "is")], **fields))
    assert bool(sends(result)) is answered


@pytest.mark.parametrize(
    ("kind", "column", "before", "after"),
    [
        ("start_promotional", "whatsapp_opt_out", 1, False),
        ("stop_promotional", "whatsapp_opt_out", None, True),
        ("start_ai_bot", "disable_ai_bot", 1, False),
        ("stop_ai_bot", "disable_ai_bot", None, True),
    ],
)
async def test_a_bot_that_switches(
    caller: Caller, vendor: Vendor, kind: str, column: str, before: int | None, after: bool
) -> None:
    (bot,) = caller.backend.seed_bots(vendor, SeedBot(kind, "switch", "As you like."))
    await caller.process(says(vendor, "Hi"))
    caller.backend.change("contacts", {column: before}, vendors__id=vendor.id)
    (result,) = await caller.process(says(vendor, "switch", [(bot, kind)]))
    assert texts(sends(result)) == ["As you like."]
    assert bool(contact(caller, vendor)[column]) is after


async def test_the_same_update_brings_the_same_effects(caller: Caller, vendor: Vendor) -> None:
    first, second = caller.backend.seed_bots(vendor, WELCOME, OPEN)
    update = says(vendor, "open", [(first, "welcome"), (second, "is")], wamid="wamid.same")
    (before,) = await caller.process(update)
    await caller.process(says(vendor, "and another one"))
    (again,) = await caller.process({**update, "attempt": 2})
    (redelivered,) = await caller.process({**update, "id": "another"})
    assert len(before.effects) == 2
    assert effects_of(again) == effects_of(before)
    assert effects_of(redelivered) == effects_of(before)
    assert len(caller.backend.rows("whatsapp_message_logs", vendors__id=vendor.id)) == 4


async def test_what_was_sent_is_not_named_again(caller: Caller, vendor: Vendor) -> None:
    first, second = caller.backend.seed_bots(vendor, WELCOME, OPEN)
    update = says(vendor, "open", [(first, "welcome"), (second, "is")])
    (before,) = await caller.process(update)
    welcome, reply = sends(before)
    await caller.report(sent(vendor, welcome.id))
    (again,) = await caller.process({**update, "attempt": 2})
    assert [one.id for one in sends(again)] == [reply.id]


async def test_the_same_wamid_of_two_vendors_makes_two_replies(
    caller: Caller, vendor: Vendor
) -> None:
    other = caller.backend.seed_vendor()
    updates = []
    for owner in (vendor, other):
        (bot,) = caller.backend.seed_bots(owner, OPEN)
        updates.append(says(owner, "open", [(bot, "is")], wamid="wamid.shared"))
    results = await caller.process(*updates)
    assert len({sends(result)[0].id for result in results}) == 2


async def test_a_contact_who_hides_the_number_is_stored_without_a_reply(
    caller: Caller, vendor: Vendor
) -> None:
    (bot,) = caller.backend.seed_bots(vendor, OPEN)
    element = message_object("wamid.hidden", None, from_user_id="GB.1", text={"body": "open"})
    matched = {"matches": [{"bot_uid": bot, "trigger_type": "is", "trigger": "open"}]}
    update = message(vendor, element, contacts=[{"user_id": "GB.1"}], bots=matched)
    assert sends((await caller.process(update))[0]) == []
    assert len(caller.backend.rows("whatsapp_message_logs", vendors__id=vendor.id)) == 1
