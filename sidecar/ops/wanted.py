"""What is looked for in Redis, how much of it, and what webhooks say, in words."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson

#: What one search looks at: webhooks of a lane's inbox, and dead letters; how many bytes of either;
#: vendors; and order keys of updates that wait, with the first few updates of each.
MAX_LOOKED_AT = 10_000
MAX_BYTES = 16 * 1024 * 1024
MAX_VENDORS = 1000
MAX_ORDER_KEYS = 1000
MAX_OF_KEY = 5
#: Entries that are read in one call. One may have megabytes, and the process that looks has other
#: things to do.
PAGE = 8
#: By how many names things are looked for.
MAX_MARKS = 40
#: Messages and statuses of one webhook that are named.
MAX_NAMED = 20


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for: ids of messages, of rows, and of effects; and ``numbers`` of people, all
    of whose webhooks are meant. ``recipients`` are those whom the messages are for. ``vendor_uid``:
    whose; None: of all vendors. ``vendors`` are those of what PHP has found."""

    wamids: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    effects: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    recipients: tuple[str, ...] = ()
    vendor_uid: str | None = None
    vendors: tuple[str, ...] = ()

    @property
    def marks(self) -> tuple[bytes, ...]:
        """Return the bytes by which a webhook or a letter is known to be about it. What is about a
        person's messages names the number as well."""
        names = self.numbers or (*self.wamids, *self.rows, *self.effects)
        return tuple(b'"%s"' % name.encode() for name in dict.fromkeys(names))[:MAX_MARKS]


@dataclass(slots=True)
class Budget:
    """How much may still be looked at."""

    count: int = MAX_LOOKED_AT
    size: int = MAX_BYTES
    used_up: bool = field(default=False)

    def take(self, count: int, size: int) -> bool:
        """Return whether there is more to look at after this."""
        self.count -= count
        self.size -= size
        self.used_up = self.count <= 0 or self.size <= 0
        return not self.used_up


def describe(body: bytes, marks: Iterable[bytes]) -> str:
    """Return what a webhook says about what is looked for, in words."""
    try:
        parsed = orjson.loads(body)
    except ValueError:
        return ", which is not JSON"
    marks = tuple(marks)
    found = [
        _element_words(kind, element)
        for kind, element in _elements(parsed)
        if any(mark in orjson.dumps(element) for mark in marks)
    ]
    return f": {', '.join(found[:MAX_NAMED])}" if found else ""


def _elements(parsed: Any) -> Iterable[tuple[str, Any]]:
    for change in _objects(parsed, "entry", "changes"):
        value = change.get("value")
        if isinstance(value, dict):
            for kind in ("messages", "message_echoes", "statuses"):
                yield from ((kind, one) for one in _objects(value, kind))


def _objects(value: Any, *names: str) -> Iterable[dict[str, Any]]:
    """Return the objects in lists that stand below these names, one in the other."""
    if not names:
        if isinstance(value, dict):
            yield value
        return
    inner = value.get(names[0]) if isinstance(value, dict) else None
    for one in inner if isinstance(inner, list) else ():
        yield from _objects(one, *names[1:])


def _element_words(kind: str, element: dict[str, Any]) -> str:
    if kind == "statuses":
        return f"status {str(element.get('status'))[:40]}"
    return "a customer's message" if kind == "messages" else "a message of the business's own"


def words(update: dict[str, Any]) -> str:
    if update.get("kind") == "status":
        return f"status {update.get('status')}"
    return {"message": "a customer's message", "echo": "a message of the business's own"}.get(
        update.get("kind") or "", "an update"
    )
