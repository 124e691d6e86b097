"""JSON is read in time that is linear in its bytes, and no deeper than PHP reads it."""

import time
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from tests.workers.payloads import account, change, envelope, message, value, webhook
from tests.workers.splitting import split
from workers.inbox.rawjson import MAX_DEPTH, joined, members, without_spaces

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


def test_no_member_hides_another() -> None:
    raw = b'{"a":1,"b":[],"a":{"a":2}}'
    found = [(name, bytes(value)) for name, value in members(raw)]
    assert found == [("a", b"1"), ("b", b"[]"), ("a", b'{"a":2}')]
    assert joined(members(raw), {"b"}) == b'"a":{"a":2},'


@pytest.mark.parametrize(
    ("raw", "without"),
    [
        (b'{"a": 1, "a":2 ,\n\t"b": "x: \\u00e9 \\/"}', b'{"a":1,"a":2,"b":"x: \\u00e9 \\/"}'),
        (
            b'{"n": [1.50E+1, -0, 12345678901234567890123]}',
            b'{"n":[1.50E+1,-0,12345678901234567890123]}',
        ),
        (b'{"a": 1} x', b'{"a": 1} x'),
        (b'{"a": NaN}', b'{"a": NaN}'),
        (b'{"a": ' + b"[" * 100_000, b'{"a": ' + b"[" * 100_000),
    ],
)
def test_spaces_between_tokens_go_and_nothing_else(raw: bytes, without: bytes) -> None:
    assert without_spaces(raw) == without
