"""Whatever comes is kept: what is not split is kept whole, byte for byte."""

from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from contracts.backend import ProcessWebhooksRequest, Update
from tests.contracts.hypotheses import unhurried
from tests.workers.apart import LISTS, element, split, whole
from tests.workers.payloads import (
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
from workers.inbox.update import Update

# -- what is not split --


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b'{"entry": [',
        b"\xff\xfe\x00",
        b'{"entry": "\xff"}',
        b'{"object": "\\ud800", "entry": [{"changes": [{"value": {}}]}]}',
        b"null",
        b"1e400",
        b"[]",
        b'"text"',
        b"{}",
        b'{"entry": null}',
        b'{"entry": {}}',
        b'{"entry": []}',
        b'{"entry": [1]}',
        b'{"entry": [{}]}',
        b'{"entry": [{"changes": {}}]}',
        b'{"entry": [{"changes": []}]}',
        b'{"entry": [{"changes": [null]}]}',
        webhook(messages={"id": "wamid.1"}),
        webhook(messages="x"),
        webhook(messages=[message(), "x"]),
        webhook(statuses=[None]),
        orjson.dumps(envelope(account(change(value(messages=[message()])), change([])), {"id": 1})),
    ],
)
def test_a_body_of_another_shape_is_kept_whole(body: bytes) -> None:
    assert whole(body).signature == "sha256=0"


def test_whole_bodies_do_not_wait_for_each_other() -> None:
    first, second = split_entry(entry(b"x", b"x"))
    assert first.order_key != second.order_key
    assert first.id != second.id


def test_the_signature_of_a_whole_body_is_kept_byte_for_byte() -> None:
    one = whole(b"x")
    assert one.signature.encode("latin-1") == b"sha256=0"


@pytest.mark.parametrize("levels", [150, 170, 190, 210, 230, 245, 300, 900, 5000])
def test_what_is_nested_deeper_than_php_can_be_told_is_kept_whole(levels: int) -> None:
    """PHP must be able to read what comes out, also when it stands in a batch."""
    deep = b"[" * levels + b"]" * levels
    body = webhook(messages=[message()]).replace(b'"text"', b'"text","deep":' + deep)
    [one] = split(body)
    if one.kind is None:
        assert levels > 150
        assert one.body == body
        return
    ProcessWebhooksRequest.model_validate_json(orjson.dumps({"updates": [one.as_update()]}))
    assert Update.load(one.dump()) == one


def test_a_wide_body_is_split_like_any_other() -> None:
    items = split(webhook(statuses=[status(f"wamid.{n}") for n in range(1000)]))
    assert [one.wamid for one in items] == [f"wamid.{n}" for n in range(1000)]


def test_a_huge_text_is_kept() -> None:
    text = "ü" * 1_500_000
    [one] = split(webhook(messages=[message(text={"body": text})]))
    assert element(one)["text"]["body"] == text


# -- whatever may come --

KEYS = st.sampled_from(
    [
        *("object", "entry", "id", "time", "changes", "field", "value", "metadata", "contacts"),
        *("messages", "message_echoes", "statuses", "errors", "from", "to", "wa_id", "user_id"),
        *(
            "recipient_id",
            "from_user_id",
            "recipient_user_id",
            "status",
            "biz_opaque_callback_data",
        ),
    ]
) | st.text(max_size=5)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5)
)


def _maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Mostly what it should be, and sometimes anything else."""
    return st.one_of(strategy, strategy, strategy, strategy, strategy, JSON)


ELEMENTS = _maybe(st.lists(_maybe(st.dictionaries(KEYS, JSON, max_size=6)), max_size=4))
VALUES = _maybe(
    st.fixed_dictionaries(
        {},
        optional=dict.fromkeys([*LISTS.values(), "contacts", "errors"], ELEMENTS),
    )
)
CHANGES = _maybe(st.lists(_maybe(st.fixed_dictionaries({"value": VALUES})), max_size=3))
WEBHOOKS = _maybe(
    st.fixed_dictionaries(
        {
            "entry": _maybe(
                st.lists(_maybe(st.fixed_dictionaries({"changes": CHANGES})), max_size=3)
            )
        },
        optional={"object": JSON},
    )
)


def count_updates(body: Any) -> int:
    """Count what a webhook of the right shape holds, in the plainest way."""
    count = 0
    for one_account in body["entry"]:
        for one_change in one_account["changes"]:
            content = one_change.get("value")
            found = 0
            if isinstance(content, dict):
                found = sum(len(content.get(name) or []) for name in LISTS.values())
            count += found or 1
    return count


@unhurried
@given(WEBHOOKS)
@example({"entry": [{"changes": [{"value": {"messages": [{"from": []}], "contacts": [1, 2]}}]}]})
@example(
    {
        "entry": [
            {"changes": [{"value": {"messages": [{"from": "1"}], "contacts": [{"wa_id": []}, 1]}}]}
        ]
    }
)
def test_whatever_comes_can_be_written_down_and_handed_over(body: Any) -> None:
    content = orjson.dumps(body)
    items = split(content)
    assert len({one.id for one in items}) == len(items) > 0
    for one in items:
        assert Update.load(one.dump()) == one
        if one.kind is None:
            assert len(items) == 1
            assert one.body == content
        else:
            update = Update.model_validate_json(orjson.dumps(one.as_update()))
            assert update.payload == one.payload
    if items[0].kind is not None:
        assert len(items) == count_updates(body)


@unhurried
@given(st.binary(max_size=200))
def test_whatever_bytes_come_are_kept(body: bytes) -> None:
    items = split(body)
    assert items
    assert all(one.body == body for one in items if one.kind is None)
    assert all(one.dump() for one in items)
