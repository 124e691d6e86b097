"""Every update of a webhook comes out, once, in order, with all that belongs to it."""

import json
from typing import Any

import orjson
import pytest

from contracts.backend import UpdateKind
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
from tests.workers.splitting import element, only_change, split, split_entry, unreadable
from workers.inbox.split import MAX_NAME

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
    updates = split(body)
    assert [one.kind for one in updates] == [
        *[UpdateKind.MESSAGE] * 3,
        *[UpdateKind.ECHO] * 2,
        UpdateKind.STATUS,
        UpdateKind.CHANGE,
    ]
    assert [element(one) for one in updates[:5]] == elements[:5]
    assert [one.payload["entry"][0]["id"] for one in updates if one.payload] == [
        *["waba-1"] * 3,
        *["waba-2"] * 4,
    ]
    assert [one.wamid for one in updates] == [*[f"wamid.{n}" for n in range(5)], "wamid.6", None]


def test_messages_and_statuses_of_one_change_come_out_apart() -> None:
    updates = split(webhook(statuses=[status("wamid.1"), status("wamid.2")], messages=[message()]))
    assert sorted(one.kind or "" for one in updates) == ["message", "status", "status"]
    assert [element(one)["id"] for one in updates if one.kind is UpdateKind.STATUS] == [
        "wamid.1",
        "wamid.2",
    ]


def test_an_update_says_whose_it_is_when_it_came_and_which_it_is() -> None:
    updates = split_entry(
        entry(webhook(messages=[message(), message()]), webhook(messages=[message()]))
    )
    assert {one.vendor_uid for one in updates} == {VENDOR}
    assert {one.received_at for one in updates} == {RECEIVED_AT}
    assert [one.id for one in updates] == [
        f"{VENDOR}/uid-{RECEIVED_AT}/{place}" for place in ("0/0", "0/1", "1/0")
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
                            "since_2027": "x",
                            "messages": [one],
                        },
                    }
                ],
            }
        ],
    }
    [update] = split(body)
    assert update.payload == body


def test_the_elements_of_other_updates_are_left_out() -> None:
    updates = split(webhook(messages=[message(), message()], statuses=[status()], contacts=[]))
    for one in updates:
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
        ("calls", value(statuses=[status("wacid.1", "RINGING", type="call")])),
        ("history", value(messages=[message()], history=[])),
        ("standby", value(messages=[message()], contacts=[{"wa_id": "99911"}])),
        ("message_echoes", value(message_echoes=[message()])),
        ("messages", value(message_echoes=[message()])),
        ("smb_message_echoes", value(messages=[message()], statuses=[status()])),
        ("brand_new", value(messages=[message()], statuses=[status()], message_echoes=[{}])),
    ],
)
def test_a_change_that_is_not_split_is_one_update_as_it_is(field: str, content: Any) -> None:
    [one] = split(envelope(account(change(content, field))))
    assert one.kind is UpdateKind.CHANGE
    assert (one.wamid, one.status, one.callback_data) == (None, None, None)
    assert only_change(one) == {"field": field, "value": content}


def test_a_change_without_a_value_is_one_update() -> None:
    [one] = split(envelope(account({"field": "standby"})))
    assert one.kind is UpdateKind.CHANGE
    assert only_change(one) == {"field": "standby"}


@pytest.mark.parametrize(
    "junk",
    [
        b'"entry":[%s]' % b",".join([b"{}"] * 11_000),
        b'"entry":[{"changes":[%s]}]' % b",".join([b"{}"] * 11_000),
    ],
    ids=["accounts", "changes"],
)
def test_more_changes_than_meta_sends_are_one_piece_of_junk(junk: bytes) -> None:
    """To look at each of a million takes seconds, in which nobody else is served."""
    [one] = split(b'{"object":"x",' + junk + b"}")
    assert one.unreadable
    assert one.reason is not None
    assert "more than 10,000 elements" in one.reason


def test_a_whole_webhook_is_split_however_much_is_in_it() -> None:
    """One go looks at a bounded number of elements; shadow wants all of them."""
    updates = split(webhook(statuses=[status(f"wamid.{n}") for n in range(20_001)]))
    assert [one.wamid for one in updates] == [f"wamid.{n}" for n in range(20_001)]


# -- what an update is known by --


def test_a_status_is_known_by_its_message() -> None:
    [one] = split(webhook(statuses=[status("wamid.7", "delivered", row="row-3")]))
    assert (one.wamid, one.status, one.callback_data) == ("wamid.7", "delivered", "row-3")
    assert one.order_key == f"{VENDOR}/wamid.7"


@pytest.mark.parametrize("odd", [None, 5, "", ["wamid"], {"a": 1}])
def test_what_is_not_text_is_not_known(odd: Any) -> None:
    found = {"id": "wamid.1", "status": odd, "biz_opaque_callback_data": odd}
    [one] = split(webhook(statuses=[found]))
    assert (one.wamid, one.status, one.callback_data) == ("wamid.1", None, None)
    assert one.kind is UpdateKind.STATUS
    assert element(one) == found


@pytest.mark.parametrize("odd", [None, True, 5.5, "", ["wamid"], {"a": 1}])
@pytest.mark.parametrize("name", ["messages", "message_echoes", "statuses"])
def test_what_has_no_id_is_unreadable(name: str, odd: Any) -> None:
    found = {"id": odd, "from": "99911", "status": "sent"}
    one = unreadable(webhook(**{name: [found]}))
    assert orjson.loads(one.body) == found
    why = "it has no id, or one that is neither text nor a number"
    assert one.reason == f"{name}[0] cannot be read: {why}"


@pytest.mark.parametrize("number", [7, 15550001111, 2**64 + 1])
def test_an_id_may_be_a_number(number: int) -> None:
    """It is read as its digits, and passed on as it came."""
    sent = {"id": number, "from": number, "timestamp": number, "type": "text"}
    [one] = split(
        webhook(messages=[sent], contacts=[{"wa_id": str(number)}])
        if number < 2**63
        else webhook(messages=["HERE"]).replace(b'"HERE"', json.dumps(sent).encode())
    )
    assert (one.kind, one.wamid) == (UpdateKind.MESSAGE, str(number))
    assert one.order_key == f"{VENDOR}/{number}"
    assert json.loads(one.raw_payload or b"")["entry"][0]["changes"][0]["value"]["messages"] == [
        sent
    ]


@pytest.mark.parametrize(
    ("one", "contact"),
    [
        ({"from": "99911"}, "99911"),
        ({"from": "99911", "from_user_id": "US.1"}, "US.1"),
        ({"from_user_id": "US.1"}, "US.1"),
        ({"from": "", "from_user_id": "US.1"}, "US.1"),
        ({"from": 99911}, "99911"),
        ({"from": "+999 11"}, "99911"),
        ({"from": "US.1"}, "US.1"),
        ({"from": "5582999990001"}, "558299990001"),
        ({"from": "99911", "from_parent_user_id": "US.ENT.1"}, "US.ENT.1"),
        ({}, "unknown"),
    ],
)
def test_the_messages_of_a_contact_stay_in_order(one: dict[str, Any], contact: str) -> None:
    [split_one] = split(webhook(messages=[{"id": "wamid.1", **one}]))
    assert split_one.order_key == f"{VENDOR}/{contact}"


def test_a_long_name_is_shortened_and_stays_one_of_its_own() -> None:
    names = ["9" * MAX_NAME, "9" * (MAX_NAME + 1), "9" * (MAX_NAME + 2), "\x00" * 100_000]
    found = split(webhook(messages=[message(name) for name in names * 2]))
    order_keys = [one.order_key for one in found]
    assert order_keys[:4] == order_keys[4:]
    assert len(set(order_keys)) == 4
    assert order_keys[0] == f"{VENDOR}/{names[0]}"
    assert all(len(key) <= len(VENDOR) + 1 + MAX_NAME for key in order_keys)


def test_an_echo_belongs_to_the_contact_that_it_was_sent_to() -> None:
    echo = {"id": "wamid.1", "from": "99900000000", "to": "99911"}
    [one] = split(webhook(message_echoes=[echo]))
    assert one.order_key == f"{VENDOR}/99911"


# -- what is unreadable --


def test_what_is_unreadable_takes_nobody_along() -> None:
    good = [message(wamid=f"wamid.{n}") for n in range(3)]
    updates = split(webhook(messages=[good[0], "x", [], good[1], {}, good[2]], statuses=[5]))
    assert [one.wamid for one in updates] == ["wamid.0", None, "wamid.1", None, "wamid.2", None]
    bad = [one for one in updates if one.unreadable]
    assert [one.body for one in bad] == [b'"x"\n[]', b"{}", b"5"]
    assert [one.reason for one in bad] == [
        "messages[1] cannot be read: it is no object; and 1 more after it",
        "messages[4] cannot be read: it has no id, or one that is neither text nor a number",
        "statuses[0] cannot be read: it is no object",
    ]
    assert [one.id.rpartition("/")[2] for one in updates] == ["0", "1", "3", "4", "5", "6"]


# -- what carries nothing --


def left_out(body: Any) -> list[str | None]:
    """Return why updates are ignored, with nothing for those that are not."""
    updates = split(body)
    for one in updates:
        assert one.ignored_reason is None or (one.kind is None and not one.unreadable)
    return [one.ignored_reason for one in updates]


def test_null_beside_an_update_is_counted_and_ignored() -> None:
    good = message(wamid="wamid.1")
    assert left_out(webhook(messages=[good, None, None], statuses=[None])) == [
        None,
        "null_element",
    ]
    body = envelope(None, account(None, change(value(messages=[good]))))  # type: ignore[arg-type]
    assert left_out(body) == ["null_element", None]


@pytest.mark.parametrize(
    "empty", [{}, {"id": "1"}, {"id": "1", "time": 2, "changes": []}, {"changes": None}]
)
def test_an_entry_without_changes_is_counted_and_ignored(empty: Any) -> None:
    good = account(change(value(messages=[message()])))
    assert left_out(envelope(empty, good)) == ["entry_without_changes", None]
    assert left_out(envelope(empty)) == ["entry_without_changes"]


def test_what_is_ignored_keeps_its_bytes() -> None:
    [one] = split(b'{"entry":[ {"id": "1"}, {"id": "2"} ]}')
    assert one.body == b'{"id": "1"}\n{"id": "2"}'


@pytest.mark.parametrize(
    "more", [{"messaging": [{"sender": 1}]}, {"changes": {}}, {"changes": "x"}]
)
def test_an_entry_that_holds_something_else_is_unreadable(more: Any) -> None:
    bad, good = split(envelope({"id": "1", **more}, account(change(value(messages=[message()])))))
    assert bad.unreadable
    assert bad.reason == "entry[0] cannot be read: it has no list of changes"
    assert good.kind is UpdateKind.MESSAGE


# -- calls --


def test_the_status_of_a_call_is_none_of_a_message() -> None:
    calls = [status("wacid.1", "RINGING"), status("wamid.2", "ACCEPTED", type="call")]
    first, sent, second = split(webhook(statuses=[calls[0], status("wamid.1"), calls[1]]))
    assert (sent.kind, sent.wamid) == (UpdateKind.STATUS, "wamid.1")
    for update, call in zip([first, second], calls, strict=True):
        assert (update.kind, update.wamid, update.status) == (UpdateKind.CHANGE, None, None)
        assert only_change(update)["value"]["statuses"] == [call]


# -- whose they are --


def test_a_person_with_and_without_a_number_is_one() -> None:
    hidden = {"id": "wamid.1", "from_user_id": "US.1"}
    shown = message("99911", "wamid.2")
    known = message("99911", "wamid.3", from_user_id="US.1")
    contact = {"wa_id": "99911", "user_id": "US.1"}
    for bodies in (
        [change(value(messages=[hidden, shown], contacts=[contact]))],
        [change(value(messages=[hidden])), change(value(messages=[shown], contacts=[contact]))],
        [change(value(messages=[shown])), change(value(messages=[hidden, known]))],
        [
            change(value(messages=[hidden, shown])),
            change(value(statuses=[status(recipient_id="+99911", recipient_user_id="US.1")])),
        ],
    ):
        keys = {u.order_key for u in split(envelope(account(*bodies))) if u.kind == "message"}
        assert keys == {f"{VENDOR}/US.1"}


def test_strangers_are_not_linked() -> None:
    contacts = [{"wa_id": "99922", "user_id": "US.1"}]
    updates = split(webhook(messages=[message("99911"), message("99922")], contacts=contacts))
    assert [one.order_key for one in updates] == [f"{VENDOR}/99911", f"{VENDOR}/US.1"]


def test_edits_and_revokes_stay_in_the_order_of_their_contact() -> None:
    edit = message("99911", "wamid.2", type="edit", edit={"original_message_id": "wamid.1"})
    revoke = message("99911", "wamid.3", type="revoke", revoke={"original_message_id": "wamid.1"})
    updates = split(webhook(messages=[message("99911", "wamid.1"), edit, revoke]))
    assert [one.wamid for one in updates] == ["wamid.1", "wamid.2", "wamid.3"]
    assert len({one.order_key for one in updates}) == 1


def test_what_stands_for_a_message_to_come_is_provisional() -> None:
    types = ["unsupported", "unknown", "text", "reaction"]
    updates = split(webhook(messages=[message(type=name) for name in types]))
    assert [one.provisional for one in updates] == [True, True, False, False]


def test_an_update_knows_its_webhook_and_how_long_that_is() -> None:
    body = webhook(messages=[message(), message()])
    for one in [*split(body), *split(b" junk")]:
        [(name, size)] = one.webhooks.items()
        assert one.id.startswith(name)
        assert size == (len(body) if one.kind else 5)


# -- when a status was set --


def test_a_status_says_when_it_was_set() -> None:
    said = [status(), status(timestamp=1_750_000_001), status(timestamp="soon"), message()]
    updates = split(webhook(statuses=said[:3], messages=said[3:]))
    assert sorted(str(one.status_at) for one in updates) == [
        *("1750000000", "1750000001", "None", "None")
    ]
    assert {one.status_at for one in updates if one.kind is UpdateKind.MESSAGE} == {None}
