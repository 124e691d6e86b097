"""The facts that webhooks tell: the same names however they were taken apart."""

from typing import Any

import orjson
import pytest

from simulator.vendor_webhook.facts import facts_of
from tests.workers.payloads import account, change, entry, envelope, message, status, value
from workers.inbox.split import split_webhook


def body(*changes: dict[str, Any]) -> bytes:
    return orjson.dumps(envelope(account(*changes)))


def test_what_was_taken_apart_tells_the_same() -> None:
    contacts = [{"wa_id": "1"}, {"wa_id": "2"}]
    lists = {"messages": [message("1", "a"), message("2", "b")], "statuses": [status("c", "read")]}
    webhook = body(
        change(value(**lists, contacts=contacts, user_actions=[{"n": 1}])),
        change(value(message_echoes=[message("1", "a")]), "smb_message_echoes"),
        change({"history": [{"threads": []}], "messages": [message("1", "a")]}, "history"),
        change(value(statuses=[{"id": "wacid.1", "type": "call", "status": "RINGING"}])),
        change(value(errors=[{"code": 1}])),
    ).replace(b'"n":1', b'"n":18446744073709551617')
    taken_apart = entry(webhook)
    updates = split_webhook(taken_apart.webhooks[0], taken_apart, "e")
    told = [fact for update in updates for fact in facts_of(update.raw_payload or b"")]
    assert sorted(told) == sorted(facts_of(webhook))
    assert len(set(told)) == len(told) == 8


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (status("a", "read"), status("a", "sent")),
        (status("a", "read"), status("b", "read")),
        (status("a", "read"), status("a", "read", timestamp="2")),
        (
            status("a", "read", recipient_participant_id="1"),
            status("a", "read", recipient_participant_id="2"),
        ),
    ],
)
def test_statuses_that_differ(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert facts_of(body(change(value(statuses=[one])))) != facts_of(
        body(change(value(statuses=[other])))
    )


@pytest.mark.parametrize("number", ["1.0", '"1"', "1e0", "true", "18446744073709551617"])
def test_digits_count(number: str) -> None:
    webhook = body(change({"n": "x"}, "quality"))
    assert facts_of(webhook.replace(b'"x"', b"1")) != facts_of(
        webhook.replace(b'"x"', number.encode())
    )


def test_what_meta_could_not_show_is_not_what_it_shows_later() -> None:
    odd = message("1", "a") | {"type": "unsupported"}
    assert facts_of(body(change(value(messages=[odd, message("1", "a")])))) == [
        "message a unsupported",
        "message a",
    ]


@pytest.mark.parametrize("odd", [b"", b"[]", b"{", b'{"entry": 1}', b"\xff", b"[" * 100_000])
def test_anything_is_taken(odd: bytes) -> None:
    assert len(facts_of(odd)) <= 1
