"""What stands around an update goes with it if it is short, and once if it is not."""

from typing import Any

import orjson
import pytest

from contracts.backend import UpdateKind
from tests.workers.payloads import (
    METADATA,
    account,
    change,
    envelope,
    message,
    status,
    value,
    webhook,
)
from tests.workers.splitting import element, only_change, split
from workers.inbox.runs import MAX_SHARED_BYTES


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
@pytest.mark.parametrize("odd", [b"[" * 600 + b"]" * 600, b'{"a":1e999999}'])
def test_what_stands_around_must_be_readable_too(where: str, odd: bytes) -> None:
    """PHP could not read the rest of a request that it is in. The messages land without it."""
    mark = {"odd": "HERE"}
    more = {
        name: mark if name == where else {} for name in ("webhook", "account", "change", "value")
    }
    bad = {**account({**change(value(messages=[message()], **more["value"])), **more["change"]})}
    plain = {**account({"field": "standby"}, change(value(messages=[message()])))}
    body = {**envelope({**bad, **more["account"]}, plain), **more["webhook"]}
    found = split(orjson.dumps(body).replace(b'"HERE"', odd))
    [unread] = [one for one in found if one.unreadable]
    assert "levels" in (unread.reason or "") or "out of range" in (unread.reason or "")
    assert odd in unread.body
    found.remove(unread)
    assert [one.kind for one in found] == ["message", "change", "message"]
    assert all(odd not in (one.raw_payload or b"") for one in found)
    for one in (found[0], found[2]):
        assert only_change(one)["field"] == "messages"
        assert only_change(one)["value"]["metadata"] == METADATA


@pytest.mark.parametrize("odd", [b"[" * 600 + b"]" * 600, b"1e999999"])
@pytest.mark.parametrize("name", ["object", "id", "metadata", "messaging_product", "field"])
def test_without_what_it_needs_a_message_is_unreadable(name: str, odd: bytes) -> None:
    """Or without it, if PHP can do without."""
    body = orjson.dumps({**envelope(account(change(value(messages=[message()])))), "new": 1})
    content = dict(orjson.loads(body))
    for place in (content, content["entry"][0], content["entry"][0]["changes"][0]):
        for one in (place, place.get("value", {})):
            if name in one:
                one[name] = "HERE"
    found = split(orjson.dumps(content).replace(b'"HERE"', odd))
    assert any(one.unreadable and odd in one.body for one in found)
    assert all(odd not in (one.raw_payload or b"") for one in found)


# -- what stands beside --

ACTION = {"timestamp": "1750000000", "action_type": "marketing_messages_link_click"}


def test_what_stands_beside_messages_goes_once_and_they_without_it() -> None:
    sent = [message("99911"), message("99922")]
    contacts = [{"wa_id": "99911"}, {"wa_id": "99933"}]
    lists = value(messages=sent, contacts=contacts, user_actions=[ACTION], errors=[{"code": 1}])
    *messages, rest = split(envelope(account(change({**lists, "note": "x", "none": []}))))
    assert [element(one) for one in messages] == sent
    for one in messages:
        content = only_change(one)["value"]
        assert not {"user_actions", "errors"} & set(content)
        assert (content["note"], content["none"]) == ("x", [])
    assert rest.kind is UpdateKind.CHANGE
    del lists["messages"]
    assert only_change(rest) == change({**lists, "note": "x", "none": []})


def test_a_change_without_updates_stays_as_it_came() -> None:
    sent = value(user_actions=[ACTION], contacts=[{"wa_id": "1"}], messages=[], statuses=None)
    [one] = split(envelope(account(change(sent))))
    assert only_change(one) == change(sent)


def test_long_metadata_goes_with_a_message_as_its_ids() -> None:
    long = {**METADATA, "note": "x" * MAX_SHARED_BYTES}
    first, rest = split(
        envelope(account(change({**value(messages=[message()]), "metadata": long})))
    )
    assert only_change(first)["value"]["metadata"] == METADATA
    assert only_change(rest)["value"] == {"messaging_product": "whatsapp", "metadata": long}


# -- members that come twice --


def parts(body: bytes) -> list[tuple[str | None, str | None]]:
    return [(one.kind, one.wamid) for one in split(body)]


def test_lists_that_come_twice_are_both_taken() -> None:
    body = webhook(messages=[message(wamid="w1")], statuses=[status("w2")])
    twice = body.replace(b'"statuses":', b'"messages":[{"id":"w3","from":"1"}],"statuses":')
    assert parts(twice) == [("message", "w1"), ("message", "w3"), ("status", "w2")]
    one_value = orjson.dumps(value(messages=[message(wamid="w4")]))
    twice = body.replace(b'"value":', b'"value":' + one_value + b',"value":')
    assert parts(twice) == [("message", "w4"), *parts(body)]
    for name in (b'"changes":', b'"entry":'):
        content = body[body.index(name) + len(name) : -1 if name == b'"entry":' else -3]
        twice = body.replace(name, name + content + b"," + name)
        assert parts(twice) == parts(body) * 2


def test_of_other_members_that_come_twice_the_last_counts() -> None:
    body = webhook(messages=[message(wamid="w1")])
    twice = body.replace(b'"metadata":', b'"metadata":{"phone_number_id":"0"},"metadata":')
    [one] = split(twice)
    assert only_change(one)["value"]["metadata"] == METADATA
    assert (one.raw_payload or b"").count(b'"metadata"') == 1
    twice = body.replace(b'"id":"w1"', b'"id":"w0","id":"w1"')
    assert parts(twice) == [("message", "w1")]
