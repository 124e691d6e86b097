"""Reads JSON without copying it: members and elements as the bytes that they are."""

import re
from collections.abc import Iterable, Set
from itertools import accumulate
from typing import Any

import msgspec
import orjson
from msgspec import Raw

#: Maximum nesting of an update. PHP reads 512 levels, pydantic 200; requests add a few more.
MAX_DEPTH = 170

_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)

#: Brackets as steps up and down, as bytes with a sign; and what is none.
_STEPS = bytes.maketrans(b"{[}]", b"\x01\x01\xff\xff")
_NO_BRACKET = bytes(set(range(256)) - set(b"{[}]"))


class Shapeless(Exception):
    """It is not of the type that it should be."""


class TooDeep(Exception):
    """The JSON is nested too deeply."""

    def __str__(self) -> str:
        return f"it has more than {MAX_DEPTH} levels"


NOT_READ = (msgspec.DecodeError, RecursionError, UnicodeDecodeError, Shapeless, TooDeep)


class _Name:
    """A member's name. No two are equal, so that no member hides another."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


_members = msgspec.json.Decoder(dict[_Name, Raw], dec_hook=lambda _, text: _Name(text))
_elements = msgspec.json.Decoder(list[Raw])

Members = list[tuple[str, Raw]]


def members(raw: bytes | Raw) -> Members:
    """Return the members of an object, also those whose name comes twice. Raises what is in
    ``NOT_READ`` if it is none."""
    return [(name.text, value) for name, value in _members.decode(raw).items()]


def elements(raw: bytes | Raw) -> list[Raw]:
    """Return the elements of a list; none of null. Raises what is in ``NOT_READ`` if it is none."""
    return [] if is_null(raw) else _elements.decode(raw)


def is_object(raw: bytes | Raw) -> bool:
    return memoryview(raw)[0] == ord("{")


def is_list(raw: bytes | Raw) -> bool:
    return memoryview(raw)[0] == ord("[")


def is_null(raw: bytes | Raw) -> bool:
    return memoryview(raw)[0] == ord("n")


def without_spaces(raw: bytes) -> bytes:
    """Return JSON without the spaces that writers put between its tokens, all else as it is; what
    cannot be read as it came."""
    if b'": ' not in raw:  # for nearly all that comes, this is all there is to do
        return raw
    try:
        return msgspec.json.format(raw, indent=-1)
    except NOT_READ:
        return raw


def decode(raw: bytes) -> Any:
    """Return what JSON says. Raises what is in ``NOT_READ`` if it cannot be read here, or where it
    goes."""
    try:
        value = msgspec.json.decode(raw)
    except RecursionError:
        raise TooDeep from None
    if len(raw) > 2 * MAX_DEPTH and raw.count(b"{") + raw.count(b"[") > MAX_DEPTH:
        _check_depth(raw)
    return value


def decoded(raw: bytes) -> Any:
    """Return what JSON says, or None if it cannot be read."""
    try:
        return decode(raw)
    except NOT_READ:
        return None


def _check_depth(raw: bytes) -> None:
    """Count the levels of JSON that has been read: in what is none a string may have no end, and
    looking for it from each quotation mark takes minutes."""
    steps = _STRING.sub(b"", raw).translate(_STEPS, _NO_BRACKET)
    if max(accumulate(memoryview(steps).cast("b")), default=0) > MAX_DEPTH:
        raise TooDeep


def joined(some: Iterable[tuple[str, Raw | bytes]], left_out: Set[str] = frozenset()) -> bytes:
    """Return members as they stand in an object, each with a comma behind it. Of those with the
    same name it is the last one, as for any reader."""
    return b"".join(
        [
            _name_of(name) + bytes(value) + b","
            for name, value in dict(some).items()
            if name not in left_out
        ]
    )


def _name_of(name: str) -> bytes:
    known = _NAMES.get(name)
    return orjson.dumps(name) + b":" if known is None else known


#: What stands in nearly every webhook.
_NAMES = {
    name: b'"%s":' % name.encode()
    for name in ("object", "id", "time", "field", "messaging_product", "metadata")
}
