"""Customers' messages and echoes: stored once, with their contact."""

from typing import Any

import pytest

from tests.contract.caller import Caller
from tests.contract.payloads import (
    T0,
    accepted,
    echo,
    message,
    message_object,
    to_text,
    wamid_of,
)
from tests.contract.under_test import BackendUnderTest, Campaign, Row, Vendor

SENDER = "999700000001"


def _logs(backend: BackendUnderTest, vendor: Vendor) -> list[Row]:
    return backend.rows("whatsapp_message_logs", vendors__id=vendor.id)


def _contacts(backend: BackendUnderTest, vendor: Vendor) -> list[Row]:
    return backend.rows("contacts", vendors__id=vendor.id)


async def _result(caller: Caller, update: dict[str, Any]) -> tuple[str, str | None]:
    (answer,) = await caller.process(update)
    return answer.result, answer.reason


async def test_a_message_is_stored_with_a_new_contact(caller: Caller, vendor: Vendor) -> None:
    assert await _result(caller, message(vendor, message_object("wamid.a", SENDER))) == (
        "done",
        None,
    )
    (contact,) = _contacts(caller.backend, vendor)
    assert contact["wa_id"] == SENDER
    assert (contact["first_name"], contact["last_name"]) == ("Ada", "Stone")
    (log,) = _logs(caller.backend, vendor)
    assert log["is_incoming_message"] == 1
    assert log["contacts__id"] == contact["_id"]
    assert log["campaigns__id"] is None
    assert log["wamid"] == "wamid.a"
    assert log["contact_wa_id"] == SENDER
    assert log["wab_phone_number_id"] == vendor.phone_number_ids[0]
    assert log["message"] == "Hello"
    assert log["messaged_at"] == to_text(T0)


async def test_a_known_contact_is_found(caller: Caller, campaign: Campaign) -> None:
    vendor = campaign.vendor
    before = _contacts(caller.backend, vendor)
    element = message_object("wamid.a", campaign.recipients[1])
    await caller.process(message(vendor, element))
    assert _contacts(caller.backend, vendor) == before
    assert _logs(caller.backend, vendor)[0]["contacts__id"] == before[1]["_id"]


async def test_another_vendors_contact_is_not_taken(caller: Caller, vendor: Vendor) -> None:
    other = caller.backend.seed_vendor()
    await caller.process(
        message(vendor, message_object("wamid.a", SENDER)),
        message(other, message_object("wamid.a", SENDER)),
    )
    for owner in (vendor, other):
        (contact,) = _contacts(caller.backend, owner)
        (log,) = _logs(caller.backend, owner)
        assert log["contacts__id"] == contact["_id"]


async def test_a_message_that_comes_again_is_stored_once(caller: Caller, vendor: Vendor) -> None:
    update = message(vendor, message_object("wamid.a", SENDER))
    again = message(vendor, message_object("wamid.a", SENDER))
    answers = [
        *await caller.process(update, again),
        *await caller.process({**update, "attempt": 2}),
    ]
    assert [answer.result for answer in answers] == ["done"] * 3
    assert len(_logs(caller.backend, vendor)) == 1
    assert len(_contacts(caller.backend, vendor)) == 1


async def test_another_vendors_number_is_ignored(caller: Caller, vendor: Vendor) -> None:
    other = caller.backend.seed_vendor()
    element = message_object("wamid.a", SENDER)
    result, reason = await _result(
        caller, message(vendor, element, number=other.phone_number_ids[0])
    )
    assert result == "ignored"
    assert reason
    assert _logs(caller.backend, vendor) == []
    assert _contacts(caller.backend, vendor) == []


async def test_each_of_the_vendors_numbers_is_heard(caller: Caller) -> None:
    vendor = caller.backend.seed_vendor(numbers=2)
    for position, number in enumerate(vendor.phone_number_ids):
        element = message_object(f"wamid.{position}", SENDER)
        assert (await _result(caller, message(vendor, element, number=number)))[0] == "done"
    numbers = [log["wab_phone_number_id"] for log in _logs(caller.backend, vendor)]
    assert numbers == list(vendor.phone_number_ids)


async def test_request_welcome_is_ignored(caller: Caller, vendor: Vendor) -> None:
    element = message_object("wamid.a", SENDER, type="request_welcome")
    assert (await _result(caller, message(vendor, element)))[0] == "ignored"
    assert _logs(caller.backend, vendor) == []
    assert _contacts(caller.backend, vendor) == []


async def test_a_contact_who_hides_the_number_is_known_by_user_id(
    caller: Caller, vendor: Vendor
) -> None:
    contacts = [{"user_id": "GB.1349", "profile": {"name": "Ada"}}]
    for wamid in ("wamid.a", "wamid.b"):
        element = message_object(wamid, None, from_user_id="GB.1349")
        assert (await _result(caller, message(vendor, element, contacts=contacts)))[0] == "done"
    (contact,) = _contacts(caller.backend, vendor)
    assert contact["wa_id"] is None
    assert contact["first_name"] == "Ada"
    assert {log["contacts__id"] for log in _logs(caller.backend, vendor)} == {contact["_id"]}


async def test_number_and_user_id_are_joined(caller: Caller, vendor: Vendor) -> None:
    """First only the number is seen, then both, then only the user id, then the number again."""
    both = [{"wa_id": SENDER, "user_id": "GB.7", "profile": {"name": "Ada"}}]
    hidden = [{"user_id": "GB.7"}]
    await caller.process(
        message(vendor, message_object("wamid.0", SENDER)),
        message(vendor, message_object("wamid.a", SENDER), contacts=both),
        message(vendor, message_object("wamid.b", None, from_user_id="GB.7"), contacts=hidden),
        message(vendor, message_object("wamid.c", SENDER)),
    )
    (contact,) = _contacts(caller.backend, vendor)
    assert contact["wa_id"] == SENDER
    assert {log["contacts__id"] for log in _logs(caller.backend, vendor)} == {contact["_id"]}


async def test_a_user_who_shows_the_number_later_is_the_same_contact(
    caller: Caller, vendor: Vendor
) -> None:
    hidden = [{"user_id": "GB.9"}]
    both = [{"wa_id": SENDER, "user_id": "GB.9"}]
    await caller.process(
        message(vendor, message_object("wamid.a", None, from_user_id="GB.9"), contacts=hidden),
        message(vendor, message_object("wamid.b", SENDER), contacts=both),
        message(vendor, message_object("wamid.c", SENDER)),
    )
    (contact,) = _contacts(caller.backend, vendor)
    assert contact["wa_id"] == SENDER


async def test_a_reply_names_what_it_answers(caller: Caller, campaign: Campaign) -> None:
    await caller.claim(campaign)
    uid = campaign.row_uids[0]
    await caller.report(accepted(campaign, uid))
    element = message_object(
        "wamid.a", campaign.recipients[0], context={"id": wamid_of(uid), "forwarded": True}
    )
    await caller.process(message(campaign.vendor, element))
    sent, reply = _logs(caller.backend, campaign.vendor)
    assert reply["replied_to_whatsapp_message_logs__uid"] == sent["_uid"]
    assert reply["is_forwarded"] == 1


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"type": "image", "image": {"id": "1", "caption": "Look"}}, "Look"),
        ({"type": "image", "image": {"id": "1"}}, None),
        ({"type": "button", "button": {"text": "Yes", "payload": "y"}}, "Yes"),
        ({"type": "interactive", "interactive": {"list_reply": {"title": "Two"}}}, "Two"),
        ({"type": "interactive", "interactive": {"nfm_reply": {"body": "Sent"}}}, "Sent"),
        ({"type": "interactive", "interactive": {"call_permission_reply": {}}}, None),
        ({"type": "location", "location": {"latitude": 48.1, "longitude": 11}}, "48.1, 11"),
        ({"type": "contacts", "contacts": [{"name": {"formatted_name": "Ann"}}]}, "Ann"),
        ({"type": "order", "order": {"text": "Soon, please"}}, "Soon, please"),
        ({"type": "unsupported", "errors": [{"code": 131051}]}, None),
        ({"type": "from_the_future", "from_the_future": [1, {"a": None}]}, None),
    ],
)
async def test_every_type_is_stored(
    caller: Caller, vendor: Vendor, fields: dict[str, Any], text: str | None
) -> None:
    element = {**message_object("wamid.a", SENDER), **fields}
    del element["text"]
    assert (await _result(caller, message(vendor, element)))[0] == "done"
    (log,) = _logs(caller.backend, vendor)
    assert log["message"] == text
    assert log["__data"]["message"] == element


async def test_letters_of_every_script_survive(caller: Caller, vendor: Vendor) -> None:
    body = 'Grüße, 你好, مرحبا, 👩🏽‍🚀 \\ " \u2028'
    element = message_object("wamid.a", SENDER, text={"body": body})
    await caller.process(message(vendor, element))
    assert _logs(caller.backend, vendor)[0]["message"] == body


async def test_an_echo_is_stored_as_sent(caller: Caller, vendor: Vendor) -> None:
    element = message_object("wamid.e", "99900000000", to=SENDER)
    for _ in range(2):
        assert (await _result(caller, echo(vendor, element)))[0] == "done"
    (contact,) = _contacts(caller.backend, vendor)
    assert contact["wa_id"] == SENDER
    (log,) = _logs(caller.backend, vendor)
    assert log["is_incoming_message"] == 0
    assert log["contacts__id"] == contact["_id"]
    assert log["contact_wa_id"] == SENDER
    assert log["message"] == "Hello"


@pytest.mark.parametrize(
    "element", [{}, {"id": "wamid.a"}, {"from": SENDER}, {"id": [], "from": {}}]
)
async def test_a_message_without_its_fields_is_ignored(
    caller: Caller, vendor: Vendor, element: dict[str, Any]
) -> None:
    assert (await _result(caller, message(vendor, element, contacts=[])))[0] == "ignored"
    assert _logs(caller.backend, vendor) == []
