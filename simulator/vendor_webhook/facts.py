"""What a webhook tells: facts, each with a name that is the same wherever it is told.

So what a vendor's webhook was told can be compared with what Meta has sent, however that was taken
apart and put together on its way.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from contracts.backend import UpdateKind
from contracts.cloud_api.answering import is_placeholder
from contracts.cloud_api.fields import kind_of, lists_of
from contracts.cloud_api.people import NAMES

#: What only says whom the rest of a change is about.
_AROUND = ("messaging_product", "metadata", "contacts")

#: What tells the statuses of a message apart.
_OF_A_STATUS = ("id", "status", "timestamp", *NAMES["status"])


def facts_of(body: bytes) -> list[str]:
    """Return the facts that a webhook tells, in its order. Values are compared digit for digit.

    Messages and echoes are known by their ids, statuses by what they say of which message, when and
    of whom, and what else a change holds by its content.
    """
    try:
        webhook = json.loads(body, parse_int=_Digits, parse_float=_Digits)
    except (ValueError, RecursionError):
        return [f"unreadable {hashlib.blake2b(body, digest_size=16).hexdigest()}"]
    return [
        fact
        for entry in _objects(webhook, "entry")
        for change in _objects(entry, "changes")
        for fact in _of_change(change)
    ]


class _Digits(str):
    """A number as it was written."""


def _of_change(change: dict[str, Any]) -> Iterator[str]:
    value = change.get("value")
    rest = dict(value) if isinstance(value, dict) else {"value": value}
    told = False
    for name, kind in lists_of(change.get("field")).items():
        for element in _objects(rest, name):
            told = True
            yield _of_element(kind_of(kind, element), element)
        rest.pop(name, None)
    for name in _AROUND:
        rest.pop(name, None)
    if rest or not told:
        yield f"change {change.get('field')} {_digest(rest or value)}"


def _of_element(kind: UpdateKind, element: Mapping[str, Any]) -> str:
    if kind is UpdateKind.STATUS:
        words = [str(element.get(name, "")) for name in _OF_A_STATUS]
    elif kind is UpdateKind.CHANGE or not element.get("id"):
        words = [_digest(element)]
    else:
        # What Meta could not show yet may come once more, with its content.
        words = [str(element["id"]), str(element["type"]) if is_placeholder(element) else ""]
    return " ".join([kind.value, *words]).rstrip()


def _objects(holder: Any, name: str) -> list[dict[str, Any]]:
    found = holder.get(name) if isinstance(holder, dict) else None
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _digest(value: Any) -> str:
    written = json.dumps(_marked(value), sort_keys=True).encode()
    return hashlib.blake2b(written, digest_size=16).hexdigest()


def _marked(value: Any) -> Any:
    """Return a value in which numbers differ from texts of the same digits."""
    if isinstance(value, _Digits):
        return {"": str(value)}
    if isinstance(value, dict):
        return {name: _marked(one) for name, one in value.items()}
    return [_marked(one) for one in value] if isinstance(value, list) else value
