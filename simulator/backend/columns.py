"""The columns' types, in SQLite as in MariaDB's strict mode, and how values are made to fit them.

A value that does not fit is refused by a CHECK, whose failure names table and column. What comes
from outside goes through :func:`fit` first, so that it fits always.
"""

import re
import sqlite3
import unicodedata
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

from simulator.backend.jsontext import depth

COLLATION = "utf8mb4_unicode_ci"

#: Bytes of a TEXT column.
_TEXT_BYTES = 65_535

#: Ids that do not fit are left out, for a part of an id is the id of somebody else.
_IDS = {"wa_id", "contact_wa_id", "wab_phone_number_id", "replied_to_whatsapp_message_logs__uid"}

_TABLE = re.compile(r"CREATE TABLE IF NOT EXISTS (\w+) \((.*?)\n\)", re.DOTALL)
_COLUMN = re.compile(
    r"^    (\w+) (VARCHAR\(\d+\)|CHAR\(\d+\)|TEXT|LONGTEXT|JSON|DATETIME|TIMESTAMP"
    r"|TINYINT UNSIGNED|INT UNSIGNED)(?=[ ,\n]|$)",
    re.MULTILINE,
)
_SURROGATE = re.compile("[\ud800-\udfff]")

_IS_TIME = "{0} IS NULL OR {0} GLOB '????-??-?? ??:??:??' AND datetime({0}, '+0 days') IS {0}"

_CHECKS = {
    "TEXT": f"length(CAST({{0}} AS BLOB)) <= {_TEXT_BYTES}",
    "JSON": "{0} IS NULL OR json_valid({0}) AND json_levels({0}) <= 32",
    "DATETIME": _IS_TIME,
    "TIMESTAMP": f"{_IS_TIME} AND {{0}} BETWEEN '1970-01-01 00:00:01' AND '2038-01-19 03:14:07'",
    "TINYINT UNSIGNED": "{0} IS NULL OR typeof({0}) = 'integer' AND {0} BETWEEN 0 AND 255",
    "INT UNSIGNED": "{0} IS NULL OR typeof({0}) = 'integer' AND {0} BETWEEN 0 AND 4294967295",
}


@cache
def schema() -> str:
    """Return the schema in SQLite's words."""
    return _TABLE.sub(_strict_table, _source())


@cache
def types() -> Mapping[str, Mapping[str, str]]:
    """Return the columns' types by table."""
    tables = _TABLE.findall(_source())
    return {name: dict(_COLUMN.findall(columns)) for name, columns in tables}


def fit(table: str, column: str, value: Any) -> Any:
    """Return the value as the column takes it: a text that is too long is cut, an id left out."""
    if not isinstance(value, str):
        return value
    value = without_surrogates(value)
    kind = types()[table].get(column, "")
    if kind == "TEXT":
        return _cut_bytes(value)
    length = _length(kind)
    if length is None or len(value) <= length:
        return value
    return None if column in _IDS else value[:length]


def fit_row(table: str, row: Mapping[str, Any]) -> dict[str, Any]:
    return {column: fit(table, column, value) for column, value in row.items()}


def without_surrogates(text: str) -> str:
    """Return the text with U+FFFD for every half of a character, which UTF-8 cannot hold."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def prepare(connection: sqlite3.Connection) -> None:
    """Add what the schema uses."""
    connection.create_collation(COLLATION, collate)
    # SQLite's length() ends at a NUL.
    connection.create_function("char_length", 1, _char_length, deterministic=True)
    connection.create_function("json_levels", 1, depth, deterministic=True)


def collate(left: str, right: str) -> int:
    """Compare as ``utf8mb4_unicode_ci`` does, as near as may be: case, accents and blanks at the
    end make no difference."""
    if left == right:
        return 0
    first, second = _folded(left), _folded(right)
    return (first > second) - (first < second)


def _char_length(text: object) -> int | None:
    return len(text) if isinstance(text, str) else None


@lru_cache(maxsize=4096)
def _folded(text: str) -> str:
    text = text.rstrip(" ")
    if text.isascii():
        return text.lower()
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(part for part in parts if not unicodedata.combining(part))


def _cut_bytes(text: str) -> str:
    data = text.encode()
    return text if len(data) <= _TEXT_BYTES else data[:_TEXT_BYTES].decode("utf-8", "ignore")


@cache
def _length(kind: str) -> int | None:
    found = re.search(r"CHAR\((\d+)\)", kind)
    return None if found is None else int(found[1])


@cache
def _source() -> str:
    return (files(__package__) / "schema.sql").read_text()


def _strict_table(table: re.Match[str]) -> str:
    name = table[1]
    return _COLUMN.sub(lambda column: f"    {_strict(name, column[1], column[2])}", table[0])


def _strict(table: str, column: str, kind: str) -> str:
    length = _length(kind)
    check = _CHECKS.get(kind, "") if length is None else f"char_length({{0}}) <= {length}"
    storage = "INTEGER" if kind.endswith("UNSIGNED") else "TEXT"
    if "CHAR" in kind or "TEXT" in kind:
        storage = f"TEXT COLLATE {COLLATION}"
    named = f' CONSTRAINT "{table}.{column}" CHECK ({check.format(column)})' if check else ""
    return f"{column} {storage}{named}"
