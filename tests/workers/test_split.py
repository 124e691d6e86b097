"""Every update of a webhook comes out, once, in order, with all that belongs to it."""

from typing import Any

import pytest

from contracts.backend import UpdateKind
from tests.workers.apart import element, only_change, split
from tests.workers.payloads import (
    METADATA,
    RECEIVED_AT,
    VENDOR,
    account,
    change,
    entry,
    envelope,
    message,
    status,
    value,
    webhook,
)
from workers.inbox.split import split_entry

# -- what comes out --


def test_every_element_of_every_change_and_entry_comes_out_in_order() -> None:
    elements = [message(wamid=f"wamid.{n}") for n in range(6)]
    body = envelope(
        account(
            change(value(messages=elements[:2])),
            change(value(messages=elements[2:3])),
            id_="waba-1",
        ),
        account(
            change(value(message_echoes=elements[3:5]), "smb_message_echoes"),
            change(value(statuses=[status("wamid.6")])),
            change({"event": "PARTNER_REMOVED"}, "account_update"),
            id_="waba-2",
        ),
    )
    items = split(body)
    assert [one.kind for one in items] == [
        *[UpdateKind.MESSAGE] * 3,
        *[UpdateKind.ECHO] * 2,
        UpdateKind.STATUS,
        UpdateKind.CHANGE,
    ]
    assert [element(one) for one in items[:5]] == elements[:5]
    assert [one.payload["entry"][0]["id"] for one in items if one.payload] == [
        *["waba-1"] * 3,
        *["waba-2"] * 4,
    ]
    assert [one.wamid for one in items] == [*[f"wamid.{n}" for n in range(5)], "wamid.6", None]


def test_messages_and_statuses_of_one_change_come_out_apart() -> None:
    items = split(webhook(statuses=[status("wamid.1"), status("wamid.2")], messages=[message()]))
    assert sorted(one.kind or "" for one in items) == ["message", "status", "status"]
    assert [element(one)["id"] for one in items if one.kind is UpdateKind.STATUS] == [
        "wamid.1",
        "wamid.2",
    ]


def test_an_item_says_whose_it_is_when_it_came_and_which_it_is() -> None:
    items = split_entry(
        entry(webhook(messages=[message(), message()]), webhook(messages=[message()]))
    )
    assert {one.vendor_uid for one in items} == {VENDOR}
    assert {one.received_at for one in items} == {RECEIVED_AT}
    assert [one.id for one in items] == [
        f"{VENDOR}/{RECEIVED_AT}-0/{place}" for place in ("0/0", "0/1", "1/0")
    ]


def test_the_same_webhook_in_another_entry_has_another_id() -> None:
    body = webhook(messages=[message()])
    first, second = (split_entry(entry(body, at=at)) for at in (RECEIVED_AT, RECEIVED_AT + 1))
    assert first[0].id != second[0].id


def test_nothing_that_is_unknown_is_left_out() -> None:
    one = message(brand_new={"a": [1, None]})
    body = {
        "object": "whatsapp_business_account",
        "signed_by": "meta",
        "entry": [
            {
                "id": "waba-1",
                "time": 1_750_000_000,
                "region": "eu",
                "changes": [
                    {
                        "field": "messages",
                        "version": 26,
                        "value": {
                            "messaging_product": "whatsapp",
                            "metadata": {**METADATA, "more": True},
                            "errors": [{"code": 131051}],
                            "since_2027": "x",
                            "messages": [one],
                        },
                    }
                ],
            }
        ],
    }
    [item] = split(body)
    assert item.payload == body


def test_the_elements_of_other_updates_are_left_out() -> None:
    items = split(webhook(messages=[message(), message()], statuses=[status()], contacts=[]))
    for one in items:
        element(one)
        assert "contacts" not in only_change(one)["value"]


@pytest.mark.parametrize(
    ("field", "content"),
    [
        ("account_update", {"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": "DISABLE"}}),
        ("message_template_status_update", {"event": "APPROVED", "message_template_id": 12}),
        ("smb_app_state_sync", {"metadata": METADATA, "state_sync": [{"type": "contact"}]}),
        ("history", {"history": [{"threads": []}]}),
        ("messages", value(user_actions=[{"action_type": "new_one"}])),
        ("messages", value(errors=[{"code": 130429}])),
        ("messages", value(messages=[], statuses=[])),
        ("calls", None),
        ("calls", "ringing"),
        ("calls", []),
    ],
)
def test_a_change_without_these_lists_is_one_update(field: str, content: Any) -> None:
    [one] = split(envelope(account(change(content, field))))
    assert one.kind is UpdateKind.CHANGE
    assert (one.wamid, one.status, one.callback_data) == (None, None, None)
    assert only_change(one) == {"field": field, "value": content}


def test_a_change_without_a_value_is_one_update() -> None:
    [one] = split(envelope(account({"field": "standby"})))
    assert one.kind is UpdateKind.CHANGE
    assert only_change(one) == {"field": "standby"}


# -- what an update is known by --


def test_a_status_is_known_by_its_message() -> None:
    [one] = split(webhook(statuses=[status("wamid.7", "delivered", row="row-3")]))
    assert (one.wamid, one.status, one.callback_data) == ("wamid.7", "delivered", "row-3")
    assert one.order_key == f"{VENDOR}/wamid.7"


@pytest.mark.parametrize("odd", [None, 5, "", ["wamid"], {"a": 1}])
def test_what_is_not_text_is_not_known(odd: Any) -> None:
    [one] = split(webhook(statuses=[{"id": odd, "status": odd, "biz_opaque_callback_data": odd}]))
    assert (one.wamid, one.status, one.callback_data) == (None, None, None)
    assert one.kind is UpdateKind.STATUS


@pytest.mark.parametrize(
    ("one", "contact"),
    [
        ({"from": "99911"}, "99911"),
        ({"from": "99911", "from_user_id": "US.1"}, "99911"),
        ({"from_user_id": "US.1"}, "US.1"),
        ({"from": "", "from_user_id": "US.1"}, "US.1"),
        ({"from": 99911}, "unknown"),
        ({}, "unknown"),
    ],
)
def test_the_messages_of_a_contact_stay_in_order(one: dict[str, Any], contact: str) -> None:
    [split_one] = split(webhook(messages=[{"id": "wamid.1", **one}]))
    assert split_one.order_key == f"{VENDOR}/{contact}"


def test_an_echo_belongs_to_the_contact_that_it_was_sent_to() -> None:
    echo = {"id": "wamid.1", "from": "99900000000", "to": "99911"}
    [one] = split(webhook(message_echoes=[echo]))
    assert one.order_key == f"{VENDOR}/99911"


# -- contacts --

ADA = {"wa_id": "99911", "profile": {"name": "Ada"}}
BEN = {"wa_id": "99922", "user_id": "US.22", "profile": {"name": "Ben"}}
CID = {"user_id": "US.33", "profile": {"username": "cid"}}


@pytest.mark.parametrize(
    ("kind", "one", "expected"),
    [
        ("messages", {"from": "99911"}, [ADA]),
        ("messages", {"from": "99922"}, [BEN]),
        ("messages", {"from_user_id": "US.33"}, [CID]),
        ("messages", {"from": "99944"}, [ADA, BEN, CID]),
        ("messages", {}, [ADA, BEN, CID]),
        ("messages", {"from": ["99911"]}, [ADA, BEN, CID]),
        ("statuses", {"recipient_id": "99922"}, [BEN]),
        ("statuses", {"recipient_user_id": "US.33"}, [CID]),
        ("statuses", {"recipient_id": None}, [ADA, BEN, CID]),
        ("message_echoes", {"from": "99900000000", "to": "99911"}, [ADA]),
        ("message_echoes", {"from": "99900000000", "to_user_id": "US.33"}, [CID]),
    ],
)
def test_an_update_gets_its_own_contact_or_if_that_is_not_clear_all(
    kind: str, one: dict[str, Any], expected: list[Any]
) -> None:
    [split_one] = split(webhook(**{kind: [{"id": "wamid.1", **one}]}, contacts=[ADA, BEN, CID]))
    assert only_change(split_one)["value"]["contacts"] == expected


def test_a_single_contact_goes_along_whoever_it_is() -> None:
    [one] = split(webhook(messages=[message("99977")], contacts=[ADA]))
    assert only_change(one)["value"]["contacts"] == [ADA]


@pytest.mark.parametrize("contacts", ["Ada", {"wa_id": "99911"}, [1, "x", {"wa_id": ["99911"]}]])
def test_contacts_of_another_shape_are_kept(contacts: Any) -> None:
    [one] = split(webhook(messages=[message("99911")], contacts=contacts))
    assert only_change(one)["value"]["contacts"] == contacts


def test_two_contacts_get_each_message_its_own() -> None:
    items = split(webhook(messages=[message("99911"), message("99922")], contacts=[ADA, BEN]))
    assert [only_change(one)["value"]["contacts"] for one in items] == [[ADA], [BEN]]
