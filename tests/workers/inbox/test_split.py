"""Every update of a webhook comes out, once, in order, with all that belongs to it."""

import time
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from contracts.backend import UpdateKind
from sidecar.inbox.store import RawWebhook
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
from workers.inbox.split import MAX_DEPTH, MAX_NAME, MAX_SHARED_BYTES, Parsed, _usual_runs
from workers.inbox.update import Update

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
                            "errors": [{"code": 131051}],
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


#: Shapes that what looks at bytes may look at again and again, by how many bytes there are of them.
SHAPES: dict[str, Callable[[int], bytes]] = {
    "strings without an end": lambda size: b"[" * 200 + b'"\\' * (size // 2),
    "escaped marks": lambda size: b'["' + b'\\"' * (size // 2) + b'"' + b",[]" * 200 + b"]",
    "open lists": lambda size: b"[" * size,
    "deep lists": lambda size: b"[" * (size // 2) + b"]" * (size // 2),
    "forest": lambda size: b"[[]" + (b"," + b"[" * 150 + b"]" * 150) * (size // 301) + b"]",
    "empty objects": lambda size: b"[{}" + b",{}" * (size // 3) + b"]",
    "surrogates": lambda size: b'["' + b"\\ud83d" * (size // 6) + b'"]',
    "backslashes": lambda size: b'["' + b"\\\\" * (size // 2) + b"\\ud83d" + b'"]',
}


@pytest.mark.parametrize("where", ["message", "value", "contacts", "messages", "entry"])
@pytest.mark.parametrize("shape", SHAPES)
def test_what_it_takes_is_linear_in_the_bytes(shape: str, where: str) -> None:
    """Eight times the bytes take about eight times as long, and not sixty-four times."""

    def body(size: int) -> bytes:
        content = value(messages=[message(mark="HERE" if where == "message" else "")])
        if where not in ("message", "entry"):
            content[where] = "HERE"
        whole = envelope(account(change(content)))
        if where == "entry":
            whole["entry"] = "HERE"
        return orjson.dumps(whole).replace(b'"HERE"', SHAPES[shape](size))

    def took(raw: bytes) -> float:
        times = []
        for _ in range(5):
            began = time.process_time()
            split(raw)
            times.append(time.process_time() - began)
        return min(times)

    assert took(body(80_000)) < 30 * max(took(body(10_000)), 0.0002)


@pytest.mark.parametrize("text", ["", "]" * 500, "[" * 500, '\\"[[', "\\\\", '"'])
def test_levels_are_counted_outside_of_text(text: str) -> None:
    def nested(levels: int) -> Any:
        deep: Any = [text]
        for _ in range(levels - 1):
            deep = [deep, {}] if levels % 2 else {text: deep}
        return deep

    [good] = split(webhook(messages=[message(deep=nested(MAX_DEPTH - 1))]))
    assert not good.unreadable
    [bad] = split(webhook(messages=[message(deep=nested(MAX_DEPTH))]))
    assert bad.unreadable
    assert "more than 170 levels" in (bad.reason or "")


def test_contacts_beyond_what_meta_could_mean_are_not_looked_at() -> None:
    contacts = [{"wa_id": str(n), "profile": {"name": f"n{n}"}} for n in range(10_001)]
    [first, last] = split(webhook(messages=[message("9999"), message("10000")], contacts=contacts))
    assert b'"n9999"' in (first.raw_payload or b"")
    assert b"contacts" not in (last.raw_payload or b"")


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


@pytest.mark.parametrize("odd", [None, 5, "", ["wamid"], {"a": 1}])
@pytest.mark.parametrize("name", ["messages", "message_echoes", "statuses"])
def test_what_has_no_id_is_unreadable(name: str, odd: Any) -> None:
    found = {"id": odd, "from": "99911", "status": "sent"}
    one = unreadable(webhook(**{name: [found]}))
    assert orjson.loads(one.body) == found
    assert one.reason == f"{name}[0] cannot be read: it has no id, or one that is no text"


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


# -- contacts --

ADA = {"wa_id": "99911", "profile": {"name": "Ada"}}
BEN = {"wa_id": "99922", "user_id": "US.22", "profile": {"name": "Ben"}}
CID = {"user_id": "US.33", "profile": {"username": "cid"}}


@pytest.mark.parametrize(
    ("kind", "one", "expected"),
    [
        ("messages", {"from": "99911"}, ADA),
        ("messages", {"from": "99922"}, BEN),
        ("messages", {"from_user_id": "US.33"}, CID),
        ("messages", {"from": "99944"}, None),
        ("messages", {}, None),
        ("messages", {"from": ["99911"]}, None),
        ("statuses", {"recipient_id": "99922"}, BEN),
        ("statuses", {"recipient_user_id": "US.33"}, CID),
        ("statuses", {"recipient_id": None}, None),
        ("message_echoes", {"from": "99900000000", "to": "99911"}, ADA),
        ("message_echoes", {"from": "99900000000", "to_user_id": "US.33"}, CID),
    ],
)
def test_an_update_gets_its_own_contact_and_never_a_neighbours(
    kind: str, one: dict[str, Any], expected: Any
) -> None:
    [split_one] = split(webhook(**{kind: [{"id": "wamid.1", **one}]}, contacts=[ADA, BEN, CID]))
    assert contacts_of(split_one) == ([expected] if expected else None)


def contacts_of(update: Update) -> Any:
    return only_change(update)["value"].get("contacts")


def test_a_single_contact_goes_with_a_single_update_whoever_it_is() -> None:
    [one] = split(webhook(messages=[message("99977")], contacts=[ADA]))
    assert contacts_of(one) == [ADA]
    for one in split(webhook(messages=[message("99977"), message("99978")], contacts=[ADA])):
        assert contacts_of(one) is None


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


def test_a_long_contact_goes_with_the_first_of_its_messages_wherever_they_are_taken_from() -> None:
    """PHP keeps the name. What is taken again after a failure is the same as before."""
    long = {**ADA, "note": "x" * MAX_SHARED_BYTES}
    senders = ["99922", "99911", "99911"]
    body = webhook(messages=[{}, *map(message, senders)], contacts=[BEN, long])
    for _ in range(2):
        unread, *updates = split(body)
        assert unread.unreadable
        assert [contacts_of(one) for one in updates] == [[BEN], [long], None]
    parsed = Parsed(RawWebhook(b"", body), entry(), "name")
    for start in (2, 2, 3, 2):
        [one], _ = parsed.take(start, 1)
        assert contacts_of(one) == ([long] if start == 2 else None)


# -- what stands around --


@pytest.mark.parametrize("where", ["webhook", "account", "change", "value"])
def test_what_is_long_goes_once(where: str) -> None:
    """It goes to PHP, as a change, and not with each of the updates."""
    long = {"brand_new": "x" * (MAX_SHARED_BYTES + 1)}
    more = {
        name: long if name == where else {} for name in ("webhook", "account", "change", "value")
    }
    elements = [message(wamid=f"wamid.{n}") for n in range(8)]

    def one_change(first: int) -> Any:
        lists = value(messages=elements[first : first + 2], **more["value"])
        return {**change(lists), **more["change"]}

    accounts = [
        {**account(one_change(first), one_change(first + 2)), **more["account"]} for first in (0, 4)
    ]
    updates = split({**envelope(*accounts), **more["webhook"]})
    copies = {"webhook": 1, "account": 2, "change": 4, "value": 4}[where]
    assert sum(b"brand_new" in (one.raw_payload or b"") for one in updates) == copies
    found = [one for one in updates if one.kind is UpdateKind.MESSAGE]
    assert [element(one) for one in found] == elements
    assert all(len(one.parts[0]) <= 2 * MAX_SHARED_BYTES for one in found)
    for one in found:
        assert only_change(one)["value"]["metadata"] == METADATA
        assert only_change(one)["field"] == "messages"
    long_ones = [one for one in updates if b"brand_new" in (one.raw_payload or b"")]
    assert {one.kind for one in long_ones} == {UpdateKind.CHANGE}
    assert all("messages" not in only_change(one)["value"] for one in long_ones)


@pytest.mark.parametrize("where", ["webhook", "account", "change", "value"])
@pytest.mark.parametrize("odd", [b"[" * 600 + b"]" * 600, b"1e999999"])
def test_what_stands_around_must_be_readable_too(where: str, odd: bytes) -> None:
    """PHP could not read the rest of a request that it is in."""
    mark = {"odd": "HERE"}
    more = {
        name: mark if name == where else {} for name in ("webhook", "account", "change", "value")
    }
    bad = {**account({**change(value(messages=[message()], **more["value"])), **more["change"]})}
    plain = {**account({"field": "standby"}, change(value(messages=[message()])))}
    body = {**envelope({**bad, **more["account"]}, plain), **more["webhook"]}
    found = split(orjson.dumps(body).replace(b'"HERE"', odd))
    if odd.startswith(b"1"):
        assert all(one.raw_payload is None or orjson.loads(one.raw_payload) for one in found)
        return
    assert found[0].unreadable
    assert "in what stands around it" in (found[0].reason or "")
    assert all(odd not in (one.raw_payload or b"") for one in found)
    if where != "webhook":
        assert [one.kind for one in found[1:]] == [UpdateKind.CHANGE, UpdateKind.MESSAGE]


def test_what_usually_comes_is_split_as_the_same_in_another_order_is() -> None:
    """There is a short way for it."""
    lists = {"messages": [message("99911")], "statuses": [status()], "contacts": [ADA]}
    usual = envelope(account(change(value(**lists))))
    assert _usual_runs(orjson.dumps(usual)) is not None
    other = {**usual, "new": 1}
    assert _usual_runs(orjson.dumps(other)) is None
    del other["new"]
    found, again = split(usual), split({**other, "more": None})
    assert [element(one) for one in found] == [element(one) for one in again]
    for one, two in zip(found, again, strict=True):
        assert two.payload == {**one.payload, "more": None}
        assert (one.id, one.order_key, one.wamid) == (two.id, two.order_key, two.wamid)


# -- what is unreadable --


def test_what_is_unreadable_takes_nobody_along() -> None:
    good = [message(wamid=f"wamid.{n}") for n in range(3)]
    updates = split(webhook(messages=[good[0], "x", None, good[1], {}, good[2]], statuses=[5]))
    assert [one.wamid for one in updates] == ["wamid.0", None, "wamid.1", None, "wamid.2", None]
    bad = [one for one in updates if one.unreadable]
    assert [one.body for one in bad] == [b'"x"\nnull', b"{}", b"5"]
    assert [one.reason for one in bad] == [
        "messages[1] cannot be read: it is no object; and 1 more after it",
        "messages[4] cannot be read: it has no id, or one that is no text",
        "statuses[0] cannot be read: it is no object",
    ]
    assert [one.id.rpartition("/")[2] for one in updates] == ["0", "1", "3", "4", "5", "6"]
