"""JSON of the ``__data`` columns."""

import json
from typing import Any

import orjson


def dump(value: Any) -> str:
    """Return compact JSON, of integers beyond 64 bits too."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def load(text: str | None) -> dict[str, Any]:
    """Return the object in a ``__data`` column; an empty one if there is none."""
    if not text:
        return {}
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        value = json.loads(text)
    return value if isinstance(value, dict) else {}


def section(data: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the object under ``name``; an empty one if there is none."""
    value = data.get(name)
    return value if isinstance(value, dict) else {}
