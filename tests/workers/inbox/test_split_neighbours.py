"""Whatever is wrong in one place of a webhook, the updates in all others land."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from contracts.backend import ProcessWebhooksRequest
from tests.workers.payloads import account, change, envelope, message, status, value
from tests.workers.splitting import split

ANN, BEN = (
    {"wa_id": number, "profile": {"name": "N"}} for number in ("15550001111", "15550002222")
)
GOOD = envelope(
    account(
        change(
            value(
                contacts=[ANN, BEN],
                messages=[message("15550001111", "w1"), message("15550002222", "w2")],
            )
        ),
        change(value(statuses=[status("w3", recipient_id="15550001111")])),
    ),
    account(
        change(value(message_echoes=[{"id": "w4", "to": "15550001111"}]), "smb_message_echoes"),
        change({"event": "X"}, "account_update"),
    ),
)

Path = tuple[str | int, ...]

#: Where the updates stand.
PLACES: dict[str, Path] = {
    "w1": ("entry", 0, "changes", 0, "value", "messages", 0),
    "w2": ("entry", 0, "changes", 0, "value", "messages", 1),
    "w3": ("entry", 0, "changes", 1, "value", "statuses", 0),
    "w4": ("entry", 1, "changes", 0, "value", "message_echoes", 0),
}

JUNK = {
    "null": b"null",
    "number": b"5",
    "flag": b"true",
    "text": b'"x"',
    "empty text": b'""',
    "empty list": b"[]",
    "list": b"[1]",
    "nulls": b"[null,null]",
    "lists": b"[[],null]",
    "empty object": b"{}",
    "object": b'{"a":1}',
    "object without an id": b'{"id":null}',
    "object with an odd id": b'{"id":[]}',
    "NaN": b"NaN",
    "infinite": b"-Infinity",
    "out of range": b"1e999",
    "leading zero": b"007",
    "huge": b"18446744073709551617",
    "invalid byte": b'"\xff"',
    "half a surrogate": b'"\\ud83c"',
    "half a surrogate in a name": b'{"\\ud83c":1}',
    "NUL in a name": b'{"\\u0000a":1}',
    "control character": b'"a\nb"',
    "unknown escape": b'"\\x"',
    "members twice": b'{"a":1,"a":2,"id":1,"id":"w9"}',
    "comma too many": b'{"a":[1,],}',
    "deep": b"[" * 300 + b"]" * 300,
    "too deep": b"[" * 5000 + b"]" * 5000,
}


def paths(content: Any, so_far: Path = ()) -> Iterator[Path]:
    names: Any = content if isinstance(content, dict) else range(len(content))
    for name in names:
        yield (*so_far, name)
        if isinstance(content[name], dict | list):
            yield from paths(content[name], (*so_far, name))


def replaced(content: Any, path: Path) -> Any:
    if not path:
        return "HERE"
    content = content.copy()
    content[path[0]] = replaced(content[path[0]], path[1:])
    return content


@pytest.mark.parametrize("junk", JUNK.values(), ids=JUNK)
def test_it_takes_no_neighbour_along(junk: bytes) -> None:
    for path in paths(GOOD):
        if path == ("entry",):
            continue
        body = orjson.dumps(replaced(GOOD, path)).replace(b'"HERE"', junk)
        updates = split(body)
        landed = {one.wamid for one in updates}
        for wamid, place in PLACES.items():
            apart = path != place[: len(path)] and place != path[: len(place)]
            if apart and path != (*place[:4], "field"):  # of another field it is no message
                assert wamid in landed, (path, wamid)
        bodies = [one.as_update() for one in updates if one.kind is not None]
        ProcessWebhooksRequest.model_validate_json(b'{"updates":[%s]}' % b",".join(bodies))
        assert all(one.reason for one in updates if one.unreadable)
