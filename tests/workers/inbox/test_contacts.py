"""An update gets its own contact, and never a neighbour's."""

from typing import Any

import pytest

from contracts.backend import UpdateKind
from tests.workers.payloads import VENDOR, message, status, webhook
from tests.workers.splitting import element, only_change, split
from workers.inbox.contacts import MAX_CONTACT_BYTES
from workers.inbox.update import Update

ADA = {"wa_id": "99911", "profile": {"name": "Ada"}}
BEN = {"wa_id": "99922", "user_id": "US.22", "profile": {"name": "Ben"}}
CID = {"user_id": "US.33", "profile": {"username": "cid"}}
DAN = {"user_id": "US.44", "parent_user_id": "US.ENT.4"}


@pytest.mark.parametrize(
    ("kind", "one", "expected"),
    [
        ("messages", {"from": "99911"}, ADA),
        ("messages", {"from": "99922"}, BEN),
        ("messages", {"from_user_id": "US.33"}, CID),
        ("messages", {"from": "99944"}, None),
        ("messages", {}, None),
        ("messages", {"from": ["99911"]}, None),
        ("messages", {"from": "99900000000", "to": "99911"}, None),
        ("messages", {"from_parent_user_id": "US.ENT.4"}, DAN),
        ("messages", {"from": "US.33"}, CID),
        ("statuses", {"recipient_id": "99922"}, BEN),
        ("statuses", {"recipient_user_id": "US.33"}, CID),
        ("statuses", {"recipient_parent_user_id": "US.ENT.4"}, DAN),
        ("statuses", {"recipient_id": "a group", "recipient_participant_id": "99911"}, ADA),
        ("statuses", {"recipient_id": "99944"}, None),
        ("statuses", {"recipient_id": None}, None),
        ("message_echoes", {"from": "99900000000", "to": "99911"}, ADA),
        ("message_echoes", {"from": "99900000000", "to_user_id": "US.33"}, CID),
        ("message_echoes", {"from": "99911", "to": "99944"}, None),
    ],
)
def test_an_update_gets_its_own_contact_and_never_a_neighbours(
    kind: str, one: dict[str, Any], expected: Any
) -> None:
    [split_one] = split(
        webhook(**{kind: [{"id": "wamid.1", **one}]}, contacts=[ADA, BEN, CID, DAN])
    )
    assert contacts_of(split_one) == ([expected] if expected else None)


def contacts_of(update: Update) -> Any:
    return only_change(update)["value"].get("contacts")


def test_a_contact_that_stands_alone_is_nobodys_if_it_has_other_ids() -> None:
    for updates in (
        split(webhook(messages=[message("99977")], contacts=[ADA])),
        split(webhook(messages=[message("99977"), message("99978")], contacts=[ADA])),
        split(webhook(messages=[message("99911")], contacts=[{"profile": {"name": "No id"}}])),
    ):
        assert [contacts_of(one) for one in updates] == [None] * len(updates)


def test_a_message_that_names_nobody_is_of_the_only_contact() -> None:
    """So are those that share a contact on request."""
    sent = {"id": "wamid.1", "type": "contacts"}
    [one] = split(webhook(messages=[sent], contacts=[CID]))
    assert contacts_of(one) == [CID]
    assert one.order_key == f"{VENDOR}/US.33"
    for lists in (
        {"messages": [sent, sent], "contacts": [CID]},
        {"messages": [sent], "statuses": [status()], "contacts": [CID]},
        {"messages": [sent], "contacts": [CID, ADA]},
    ):
        assert contacts_of(split(webhook(**lists))[0]) is None


@pytest.mark.parametrize(
    ("contact", "sender"),
    [
        ("558299990001", "5582999990001"),
        ("5582999990001", "558299990001"),
        ("5215550000001", "525550000001"),
        ("525550000001", "5215550000001"),
        ("5491155550001", "541155550001"),
        ("99911", "+999 11"),
        (99911, "99911"),
        ("99911", 99911),
        (99911, 99911),
    ],
)
def test_a_number_has_forms(contact: Any, sender: Any) -> None:
    mine, other = {"wa_id": contact}, {"wa_id": "99922"}
    sent = message(sender)
    for contacts in ([mine], [other, mine]):
        [one] = split(webhook(messages=[sent], contacts=contacts))
        assert contacts_of(one) == [mine]


@pytest.mark.parametrize(
    "contacts", ["Ada", {"wa_id": "99911"}, [1, "x", {"wa_id": ["99911"]}], [5], ["99911"], None]
)
def test_contacts_of_another_shape_are_nobodys(contacts: Any) -> None:
    found = message("99911")
    [one] = split(webhook(messages=[found], contacts=contacts))
    assert contacts_of(one) is None
    assert element(one) == found


def test_two_contacts_get_each_message_its_own() -> None:
    updates = split(webhook(messages=[message("99911"), message("99922")], contacts=[ADA, BEN]))
    assert [contacts_of(one) for one in updates] == [[ADA], [BEN]]


def test_a_contact_goes_with_each_of_its_messages() -> None:
    updates = split(webhook(messages=[message("99911"), message("99911")], contacts=[BEN, ADA]))
    assert [contacts_of(one) for one in updates] == [[ADA], [ADA]]


def test_a_long_contact_goes_once_and_with_its_messages_as_its_ids_and_name() -> None:
    short = {**ADA, "user_id": "US.11"}
    long = {"note": "x" * MAX_CONTACT_BYTES, **short}
    sent = [message("99922"), message("99911"), message("99911")]
    *messages, rest = split(webhook(messages=sent, contacts=[BEN, long]))
    assert [contacts_of(one) for one in messages] == [[BEN], [short], [short]]
    assert rest.kind is UpdateKind.CHANGE
    assert contacts_of(rest) == [BEN, long]


def test_of_a_contact_that_is_long_all_over_the_name_begins_with_its_messages() -> None:
    for letter in ("x", "\U0001f600"):
        long = {"wa_id": "99911", "profile": {"name": letter * 9000}, "user_id": "y" * 9000}
        first, rest = split(webhook(messages=[message("99911")], contacts=[long]))
        assert contacts_of(first) == [{"wa_id": "99911", "profile": {"name": letter * 60}}]
        assert contacts_of(rest) == [long]


@pytest.mark.parametrize("name", [7, ["x"], {"x": "y" * 9000}, None])
def test_of_a_long_contact_a_name_that_is_none(name: Any) -> None:
    long = {"wa_id": "99911", "profile": {"name": name}, "note": "y" * 9000}
    first, _ = split(webhook(messages=[message("99911")], contacts=[long]))
    kept = {} if isinstance(name, dict) else {"name": name}
    assert contacts_of(first) == [{"wa_id": "99911", "profile": kept}]


def test_five_hundred_failures_carry_no_strangers() -> None:
    """Nor more bytes than came in, by a factor that does not grow."""
    contacts = [{"wa_id": f"1555{n:07}", "profile": {"name": f"Name {n}"}} for n in range(500)]
    failed = [status(f"wamid.{n}", "failed", recipient_id=f"1666{n:07}") for n in range(500)]
    body = webhook(statuses=failed, contacts=contacts)
    updates = split(body)
    assert len(updates) == 500
    assert all(contacts_of(one) is None for one in updates)
    assert sum(one.size for one in updates) < 6 * len(body)


def test_contacts_beyond_what_meta_could_mean_are_not_looked_at() -> None:
    contacts = [{"wa_id": str(n), "profile": {"name": f"n{n}"}} for n in range(10_001)]
    [first, last] = split(webhook(messages=[message("9999"), message("10000")], contacts=contacts))
    assert b'"n9999"' in (first.raw_payload or b"")
    assert b"contacts" not in (last.raw_payload or b"")


def moved(old: dict[str, Any], **new: Any) -> dict[str, Any]:
    """Return a system message: who was known by ``old`` is somebody else now."""
    return {**message(type="system", system={"type": "user_changed", **new}), "from": None, **old}


CHANGES = {
    "numbers": [
        message("99911"),
        moved({"from": "99911"}, wa_id="99922"),
        moved({"from": "99922"}, new_wa_id="99933"),
        message("99933"),
    ],
    "user ids": [
        {**message(), "from": "US.1"},
        moved({"from_user_id": "US.2"}, user_id="US.2", previous_user_id="US.1"),
        moved({"from_user_id": "US.3"}, user_id="US.3", previous_user_id="US.2"),
        {**message(), "from": None, "from_user_id": "US.3"},
    ],
    "the other way round": [
        message("99933"),
        moved({"from": "99922"}, wa_id="99933"),
        moved({"from": "99911"}, wa_id="99922"),
        message("99911"),
    ],
    "back": [
        moved({"from": "99911"}, wa_id="99922"),
        message("99922"),
        moved({"from": "99922"}, wa_id="99911"),
        message("99911"),
    ],
    "in a circle": [
        message("99911", from_user_id="US.1"),
        moved({"from": "99911"}, user_id="US.1"),
        message("99911"),
    ],
}


@pytest.mark.parametrize("what", CHANGES)
def test_who_has_other_ids_now_stays_in_order(what: str) -> None:
    stranger = message("99999")
    *updates, last = split(webhook(messages=[*CHANGES[what], stranger]))
    assert len({one.order_key for one in updates}) == 1
    assert last.order_key == f"{VENDOR}/99999"


def test_a_system_message_that_says_nothing_is_in_order_with_its_sender() -> None:
    systems: list[Any] = [
        None,
        [],
        {},
        {"wa_id": None},
        {"wa_id": 5},
        {"wa_id": "99911"},
        {"user_id": []},
    ]
    messages = [message(type="system", system=one) for one in systems]
    assert {one.order_key for one in split(webhook(messages=messages))} == {f"{VENDOR}/99911"}
