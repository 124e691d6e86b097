"""JSON that comes in and goes into columns, digit for digit."""

import codecs
import json
import re
from typing import Any

import orjson

#: SQL: the object in a row's ``__data``; an empty one for NULL, and for the empty list that PHP
#: makes of an array without elements.
OBJECT = "CASE json_type(__data) WHEN 'object' THEN __data ELSE '{}' END"

#: A value that is nested deeper than this stands in a column as its JSON, for MariaDB takes no
#: JSON of more than 32 levels.
_SHALLOW = 24

_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')

#: A number that a float or 64 bits may not hold.
_LONG_NUMBER = re.compile(rb"[:,\[\s]-?(?:[0-9]{17}|[0-9]{1,16}[.eE])")

_SURROGATE = re.compile("[\ud800-\udfff]")


class Number(float):
    """A number with the digits that it came with."""

    __slots__ = ("digits",)

    def __new__(cls, digits: str) -> "Number":
        number = super().__new__(cls, digits)
        number.digits = digits
        return number

    digits: str

    def __str__(self) -> str:
        return self.digits

    def __deepcopy__(self, _memo: object) -> "Number":
        return self


def read(body: bytes | str) -> Any:
    """Return what the JSON says. Half characters and bytes that are no UTF-8 become U+FFFD.

    Raises :class:`ValueError` if it is not JSON.
    """
    data = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
    data = data.removeprefix(codecs.BOM_UTF8)
    if has_long_numbers(data):
        return _read_slowly(data)
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return _read_slowly(data)


def has_long_numbers(data: bytes) -> bool:
    """Return whether there may be numbers in it of which :class:`Number` keeps the digits."""
    return _LONG_NUMBER.search(data) is not None


def dump(value: Any) -> str:
    """Return compact JSON."""
    return dump_bytes(value).decode()


def dump_bytes(value: Any) -> bytes:
    """Return compact JSON, with U+FFFD for half characters."""
    try:
        return orjson.dumps(value, default=_digits)
    except TypeError:
        return orjson.dumps(_scrubbed(value), default=_digits)


def load(text: str | None) -> dict[str, Any]:
    """Return the object in a ``__data`` column; an empty one if there is none."""
    value = read(text) if text else None
    return value if isinstance(value, dict) else {}


def section(data: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the object under ``name``; an empty one if there is none."""
    value = data.get(name)
    return value if isinstance(value, dict) else {}


def shallow(value: Any) -> Any:
    """Return the value, or its JSON as a text if it is nested too deeply for a column."""
    text = dump(value) if isinstance(value, dict | list) else ""
    return text if is_deep(text) else value


def is_deep(text: str) -> bool:
    """Return whether a JSON text is nested too deeply for a column."""
    return depth(text) > _SHALLOW


def depth(text: str) -> int:
    """Return how deep a JSON text is nested."""
    if text.count("[") + text.count("{") <= _SHALLOW:
        return 1
    level = deepest = 0
    for mark in re.findall(r"[\[\]{}]", _TEXT.sub("", text)):
        level += 1 if mark in "[{" else -1
        deepest = max(deepest, level)
    return deepest


def _read_slowly(data: bytes) -> Any:
    text = data.decode("utf-8", "replace")
    try:
        value = json.loads(text, parse_int=_integer, parse_float=Number, parse_constant=_not_json)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return _scrubbed(value) if "\\u" in text else value


def _integer(digits: str) -> int | Number:
    return int(digits) if len(digits) < 19 else Number(digits)


def _not_json(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _digits(value: object) -> orjson.Fragment:
    if isinstance(value, Number):
        return orjson.Fragment(value.digits)
    raise TypeError(f"{type(value).__name__} is not JSON")


def _scrubbed(value: Any) -> Any:
    if isinstance(value, str):
        return value if value.isascii() else _SURROGATE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_scrubbed(name): _scrubbed(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_scrubbed(one) for one in value]
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 63:
        return Number(str(value))
    return value
