"""Whatever comes is kept: whole if it cannot be split, and byte for byte if it cannot be read."""

import tracemalloc
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from contracts import backend as contract
from contracts.backend import ProcessWebhooksRequest
from sidecar.inbox.store import RawWebhook
from tests.contracts.hypotheses import unhurried
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
from tests.workers.splitting import LISTS, element, split, split_entry, unreadable, whole
from workers.inbox.envelopes import NO_CHANGES
from workers.inbox.rawjson import MAX_DEPTH
from workers.inbox.runs import MAX_SHARED_BYTES
from workers.inbox.split import Parsed
from workers.inbox.update import Update

# -- what is not split --


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b'{"entry": [',
        b"\xff\xfe\x00",
        b"null",
        b"1e400",
        b"[]",
        b'"text"',
        b"{}",
        b'{"entry": null}',
        b'{"entry": {}}',
        b'{"entry": []}',
        b'{"entry": "\xff"}',
    ],
)
def test_a_body_of_another_shape_is_kept_whole(body: bytes) -> None:
    assert whole(body).signature == "sha256=0"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"entry": [1]}', "entry[0] cannot be read: it is no object"),
        (b'{"entry": [{"messaging": []}]}', "entry[0] cannot be read: it has no list of changes"),
        (b'{"entry": [{"changes": {}}]}', "entry[0] cannot be read: it has no list of changes"),
        (b'{"entry": [{"changes": [7]}]}', "changes[0] cannot be read: it is no object"),
        (webhook(messages={"id": "wamid.1"}), "messages[0] cannot be read: it is no list"),
        (webhook(messages="x"), "messages[0] cannot be read: it is no list"),
        (webhook(statuses=["x"]), "statuses[0] cannot be read: it is no object"),
        (
            webhook(statuses=[1, []]),
            "statuses[0] cannot be read: it is no object; and 1 more after it",
        ),
    ],
)
def test_what_stands_where_an_update_should_is_unreadable(body: bytes, reason: str) -> None:
    assert unreadable(body).reason == reason


@pytest.mark.parametrize(
    "body",
    [
        webhook(messages=[message(wamid="wamid.1"), "x"]),
        orjson.dumps(
            envelope(
                account(change(value(messages=[message(wamid="wamid.1")])), []),  # type: ignore[arg-type]
            )
        ),
        orjson.dumps(
            envelope(
                account(change(value(messages=[message(wamid="wamid.1")]))), {"id": 1, "x": []}
            )
        ),
    ],
)
def test_it_takes_no_neighbour_along(body: bytes) -> None:
    good, bad = split(body)
    assert good.wamid == "wamid.1"
    assert bad.unreadable
    assert good.id != bad.id


@pytest.mark.parametrize("odd", ["[" * 600, "{" * 600, "]" * 600, '"[' * 600, [], {}, 7, None])
@pytest.mark.parametrize("where", ["messages", "message_echoes", "statuses", "contacts"])
def test_an_element_may_be_anything(where: str, odd: Any) -> None:
    """Also a text of nothing but brackets, in which no level is."""
    lists: dict[str, Any] = {"messages": [message(wamid="wamid.1")]}
    lists[where] = [*lists.get(where, []), odd]
    assert "wamid.1" in [one.wamid for one in split(webhook(**lists))]


def test_whole_bodies_do_not_wait_for_each_other() -> None:
    first, second = split_entry(entry(b"x", b"x"))
    assert first.order_key != second.order_key
    assert first.id != second.id


def test_the_signature_of_a_whole_body_is_kept_byte_for_byte() -> None:
    one = whole(b"x")
    assert one.signature.encode("latin-1") == b"sha256=0"


@pytest.mark.parametrize("levels", [150, 168, 169, 170, 190, 245, 300, 900, 5000])
def test_what_is_nested_deeper_than_php_can_be_told_is_unreadable(levels: int) -> None:
    """PHP must be able to read what comes out, also when it stands in a batch."""
    deep = b"[" * levels + b"]" * levels
    body = webhook(messages=[message(), message("99922", "wamid.good")])
    found = split(body.replace(b'"text"', b'"text","deep":' + deep, 1))
    if levels < MAX_DEPTH:
        assert not any(one.unreadable for one in found)
    else:
        assert f"more than {MAX_DEPTH} levels" in (found[0].reason or "")
        assert deep in found[0].body or levels > 400
    assert found[1].wamid == "wamid.good"
    for one in found:
        if one.kind is not None:
            request = b'{"updates":[' + one.as_update() + b"]}"
            ProcessWebhooksRequest.model_validate_json(request)
        assert one.dump()


def test_brackets_in_texts_are_no_levels() -> None:
    text = '[{"' * 1000 + "\\"
    [one] = split(webhook(messages=[message(text={"body": text})]))
    assert element(one)["text"]["body"] == text


def test_a_wide_body_is_split_like_any_other() -> None:
    updates = split(webhook(statuses=[status(f"wamid.{n}") for n in range(1000)]))
    assert [one.wamid for one in updates] == [f"wamid.{n}" for n in range(1000)]


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
    """Count what a webhook of the right shape and without a field holds, in the plainest way."""
    count = 0
    for one_account in body["entry"]:
        for one_change in one_account["changes"]:
            content = one_change.get("value")
            found = beside = 0
            if isinstance(content, dict):
                found = sum(len(content.get(name) or []) for name in LISTS.values())
                others = content.keys() - {*LISTS.values(), "contacts"}
                beside = int(any(content[n] and isinstance(content[n], list) for n in others))
            count += found + beside if found else 1
    return count


def together(updates: list[Update]) -> list[Any]:
    """Return updates as they are, with like ones that are left out and stand side by side as
    one."""
    found: list[Any] = []
    last: list[Any] = [None]
    for one in updates:
        why = "unreadable" if one.unreadable else one.ignored_reason
        if why is None:
            found.append(one)
        elif last[0] == why:
            last[2] += b"\n" + one.body
        else:
            found.append([why, one.id, one.body])
        last = found[-1] if why else [None]
    return found


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
    updates = split(content)
    assert len({one.id for one in updates}) == len(updates) > 0
    for one in updates:
        if one.unreadable or one.ignored_reason:
            assert bool(one.reason) is one.unreadable
            assert one.kind is None
            assert one.body
            assert Update.load(one.dump()).body == one.body
            continue
        loaded = Update.load(one.dump())
        assert loaded.raw_payload == one.raw_payload
        assert loaded.dump() == one.dump()
        if one.kind is None:
            assert len(updates) == 1
            assert one.body == content
            continue
        update = contract.Update.model_validate_json(one.as_update())
        assert update.payload == one.payload
        if one.kind is not contract.UpdateKind.CHANGE:
            assert element(one) == one.element
            assert one.element["id"] == one.wamid
    if all(one.kind is not None for one in updates):
        assert len(updates) == count_updates(body)


@unhurried
@given(st.binary(max_size=200))
@example(b'\xef\xbb\xbf{"entry":[{"changes":[{"value":{"messages":[{"id":"1"}]}}]}]}')
@example(b'{"entry":[{"id":"","changes":%}]}')
def test_whatever_bytes_come_are_kept(body: bytes) -> None:
    updates = split(body)
    assert updates
    whole = [one for one in updates if one.kind is None and not one.unreadable]
    assert all(one.body == body for one in whole if one.ignored_reason != NO_CHANGES)
    assert all(one.dump() for one in updates)


A_WEBHOOK = webhook(
    messages=[message(wamid="w1"), message(wamid="w2", text={"body": "ü \U0001f600"})],
    statuses=[status()],
    contacts=[{"wa_id": "99911"}],
)


@unhurried
@given(st.data())
def test_whatever_is_done_to_a_webhook_it_is_split_or_kept(data: st.DataObject) -> None:
    """Bytes are put into one that is as it should be, or left out."""
    body = A_WEBHOOK
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body)))
        more = data.draw(
            st.binary(max_size=6)
            | st.sampled_from([b"[" * 300, b"\\ud800", b"1e999", b"-", b'"', b"]}", b"9" * 400])
        )
        body = body[:at] + more + body[at + data.draw(st.integers(0, 6)) :]
    for one in split(body):
        assert one.dump()
        assert Update.load(one.dump()).id == one.id
        if one.kind is not None:
            contract.Update.model_validate_json(one.as_update())


LONG = st.just("x" * (MAX_SHARED_BYTES + 1))
LONG_WEBHOOKS = st.builds(
    lambda contacts, lists, more: (
        envelope(
            {**account(change({**value(**lists, contacts=contacts), **more[0]})), **more[1]},
            {**account(change(value(**lists))), **more[2]},
        )
        | more[3]
    ),
    st.lists(
        st.fixed_dictionaries(
            {"wa_id": st.sampled_from(["1", "2"])}, optional={"note": LONG | st.text(max_size=3)}
        ),
        max_size=3,
    ),
    st.dictionaries(
        st.sampled_from(list(LISTS.values())),
        st.lists(
            st.fixed_dictionaries(
                {"id": st.sampled_from(["w1", "w2", ""])},
                optional={"from": st.sampled_from(["1", "2", "3"]), "recipient_id": st.just("1")},
            )
            | st.just(0),
            max_size=6,
        ),
    ),
    st.lists(st.dictionaries(st.just("more"), LONG | st.text(max_size=3)), min_size=4, max_size=4),
)


@unhurried
@given(WEBHOOKS | LONG_WEBHOOKS, st.data())
def test_in_slices_of_any_size_it_is_the_same_as_in_one_go(body: Any, data: st.DataObject) -> None:
    """Also if it is taken apart anew in between, and if a slice is taken twice."""
    content = RawWebhook(b"sha256=", orjson.dumps(body))
    one_go = Parsed(content, entry(), "name").take(0, None)[0]
    parsed = Parsed(content, entry(), "name")
    found: list[Update] = []
    place = 0
    while place < parsed.length:
        most, most_bytes = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 5000))
        if data.draw(st.booleans()):
            parsed = Parsed(content, entry(), "name")
        once = parsed.take(place, most, most_bytes)
        assert parsed.take(place, most, most_bytes) == once
        updates, after = once
        assert 0 < len(updates) <= most
        assert after > place
        sizes = [u.size for u in updates if not u.unreadable and not u.ignored_reason]
        assert len(sizes) <= 1 or sum(sizes) <= most_bytes
        found += updates
        place = after
    assert place == parsed.length
    assert together(found) == together(one_go)
    assert parsed.take(place, 5) == ([], place)


@unhurried
@given(WEBHOOKS | LONG_WEBHOOKS)
def test_nothing_is_copied_but_what_is_short(body: Any) -> None:
    """An element's bytes are once in what comes out, and what is long beside them as well."""
    content = orjson.dumps(body)
    updates = split(content)
    shared = 2 * MAX_SHARED_BYTES
    own = sum(len(one.parts[1]) + len(one.body) for one in updates)
    assert own <= 2 * len(content) + 100
    beside = [len(one.parts[0]) + len(one.parts[2]) for one in updates]
    assert sum(max(0, size - shared) for size in beside) <= 2 * len(content)


def test_memory_is_linear_in_what_came_in_whatever_its_shape() -> None:
    many = 1000
    small = b'{"changes":[{"value":{"messages":[{"id":"1"}]}}]}'
    for body in (
        b'{"x":"%s","entry":[%s]}' % (b"x" * 100_000, b",".join([small] * many)),
        b'{"entry":[{"x":"%s","changes":[%s]}]}'
        % (b"x" * 1900, b",".join([b'{"value":{"messages":[{"id":"1"}]}}'] * 20 * many)),
        b'{"entry":[%s]}' % b",".join([b"0"] * 50 * many),
        b'{"entry":[{"changes":[%s]}]}' % b",".join([b"0"] * 50 * many),
        b'{"entry":[{"changes":[{"value":{"statuses":[%s]}}]}]}' % b",".join([b"{}"] * 50 * many),
    ):
        tracemalloc.start()
        parsed = Parsed(RawWebhook(b"", body), entry(), "name")
        place = 0
        while place < parsed.length:
            _, place = parsed.take(place, 100, 100_000)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert most <= 75 * len(body), body[:50]
