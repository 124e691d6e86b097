"""What usually comes has a short way, which ends where the long one does."""

import json
from typing import Any

import orjson
import pytest

from tests.workers.payloads import account, change, envelope, message, status, value, webhook
from tests.workers.splitting import element, split
from workers.inbox.contacts import MAX_CONTACT_BYTES
from workers.inbox.envelopes import MAX_CHANGES
from workers.inbox.runs import MAX_SHARED_BYTES
from workers.inbox.usual import usual_runs

LISTS: Any = {
    "messages": [message("99911")],
    "statuses": [status()],
    "contacts": [{"wa_id": "99911"}],
}
USUAL = envelope(account(change(value(**LISTS))))


@pytest.mark.parametrize(
    "body",
    [
        USUAL,
        envelope(account(change(value(statuses=[status(), status()])))),
        envelope(account(change(value(message_echoes=[message()]), "smb_message_echoes"))),
        envelope(
            account(change(value(**LISTS)), change(value(**LISTS))), account(change(value(**LISTS)))
        ),
    ],
)
def test_it_ends_where_the_long_way_ends(body: Any) -> None:
    assert usual_runs(orjson.dumps(body), MAX_CHANGES)
    found, again = split(body), split({**body, "more": None})
    assert [element(one) for one in found] == [element(one) for one in again]
    for one, two in zip(found, again, strict=True):
        assert two.payload == {**one.payload, "more": None}
        assert (one.id, one.order_key, one.wamid) == (two.id, two.order_key, two.wamid)


def test_spaces_between_tokens_make_no_difference() -> None:
    text = 'a": b, c\n'
    body = envelope(account(change(value(messages=[message(text={"body": text})]))))
    compact = orjson.dumps(body)
    for spaced in (json.dumps(body), json.dumps(body, indent=2)):
        [one], [two] = split(spaced.encode()), split(compact)
        assert one.parts == two.parts
        assert element(one)["text"] == {"body": text}


def one_change(**more: Any) -> Any:
    return envelope(account(change(value(**{**LISTS, **more}))))


@pytest.mark.parametrize(
    "body",
    [
        {**USUAL, "new": 1},
        envelope(),
        envelope(account()),
        envelope(account(change(value(messages=[message()]), "history"))),
        envelope(account(change(value(messages=[message()]), "message_echoes"))),
        one_change(user_actions=[]),
        one_change(message_echoes=[message()]),
        one_change(contacts=[{"wa_id": "1", "x": "x" * MAX_CONTACT_BYTES}]),
        one_change(metadata={"x": "x" * MAX_SHARED_BYTES}),
        one_change(statuses=[]),
    ],
)
def test_nothing_else_takes_it(body: Any) -> None:
    assert not usual_runs(orjson.dumps(body), MAX_CHANGES)


def test_nor_what_has_more_in_it_than_can_be_seen() -> None:
    body = orjson.dumps(USUAL)
    assert usual_runs(body, 1)
    assert usual_runs(body, 0) is None
    assert usual_runs(body.replace(b'"id":"waba-1"', b'"id": "waba-1"'), MAX_CHANGES) is None
    for name in (b'"entry":', b'"changes":', b'"messages":', b'"contacts":'):
        assert usual_runs(body.replace(name, name + b"[]," + name), MAX_CHANGES) is None
    assert usual_runs(b"[" + webhook(messages=[]), MAX_CHANGES) is None
