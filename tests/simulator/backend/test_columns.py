"""SQLite refuses what MariaDB refuses in strict mode; what is made to fit is taken."""

import re
import sqlite3
from typing import Any

import pytest

from simulator.backend.columns import collate, fit, fit_row, types
from simulator.backend.database import Database
from simulator.stack.application import APPLICATION

NOW = "2026-11-28 00:00:00"
LOGS = "whatsapp_message_logs"
LOG = {"_uid": "a", "created_at": NOW, "vendors__id": 1}


def _write(connection: sqlite3.Connection, values: dict[str, Any]) -> None:
    row = LOG | values
    marks = ", ".join("?" * len(row))
    connection.execute(
        f"INSERT INTO {LOGS} ({', '.join(row)}) VALUES ({marks})", tuple(row.values())
    )


FITTING = [
    {"wamid": "é" * 255, "status": "0123456789", "message": "x" * 65_535},
    {"messaged_at": "9999-12-31 23:59:59", "__data": "[]", "is_forwarded": 255},
    {"messaged_at": None, "__data": None, "is_forwarded": None, "wamid": None},
    {"__data": "[" * 32 + "]" * 32},
    {"__data": '["' + "[" * 40 + '\\"]' + '"]'},
    {"contacts__id": 4_294_967_295, "message": "nul \0 and 😀"},
]

#: Each is refused for the column that it names.
REFUSED = [
    {"wamid": "x" * 256},
    {"wamid": "\0" * 256},
    {"status": "held_for_quality_assessment"},
    {"contact_wa_id": "1" * 46},
    {"message": "é" * 32_768},
    {"messaged_at": "10000-01-01 00:00:00"},
    {"messaged_at": "2026-02-30 00:00:00"},
    {"messaged_at": "now"},
    {"updated_at": ""},
    {"is_forwarded": 256},
    {"is_forwarded": -1},
    {"is_forwarded": "yes"},
    {"contacts__id": 4_294_967_296},
    {"__data": "{"},
    {"__data": "[" * 33 + "]" * 33},
]


@pytest.mark.parametrize("values", FITTING)
def test_what_fits_is_taken(connection: sqlite3.Connection, values: dict[str, Any]) -> None:
    _write(connection, values)


@pytest.mark.parametrize("values", REFUSED, ids=lambda values: next(iter(values)))
def test_what_does_not_fit_is_refused(
    connection: sqlite3.Connection, values: dict[str, Any]
) -> None:
    with pytest.raises(sqlite3.IntegrityError, match=f"{LOGS}.{next(iter(values))}$"):
        _write(connection, values)


def test_what_must_be_there(connection: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="NOT NULL"):
        _write(connection, {"vendors__id": None})


def test_texts_from_outside_are_made_to_fit(connection: sqlite3.Connection) -> None:
    texts = [name for name, kind in types()[LOGS].items() if "CHAR" in kind or kind == "TEXT"]
    odd = {name: "\ud83d😀\0é" * 20_000 for name in texts if name != "_uid"}
    Database(connection).insert(LOGS, LOG | odd)
    [row] = connection.execute(f"SELECT * FROM {LOGS}")
    assert row["message"].startswith("\ufffd😀\0é")
    assert row["contact_wa_id"] is None
    assert len(row["wamid"]) == 255


def test_a_part_of_an_id_is_no_id() -> None:
    assert fit("contacts", "wa_id", "1" * 46) is None
    assert fit("contacts", "first_name", "é" * 151) == "é" * 150
    assert fit_row("contacts", {"wa_id": "1", "vendors__id": 7}) == {"wa_id": "1", "vendors__id": 7}


@pytest.mark.parametrize(
    ("left", "right"), [("wamid.A", "WAMID.a"), ("é", "E"), ("a", "a  "), ("ß", "ss")]
)
def test_the_collation_takes_much_for_the_same(left: str, right: str) -> None:
    assert collate(left, right) == 0


def test_the_collation_orders() -> None:
    assert collate("a", "B") < 0 < collate("b", "A")
    assert collate(" a", "a") != 0


def test_columns_are_those_of_the_real_schema() -> None:
    """As the stack's application has them."""
    stack = (APPLICATION / "schema.sql").read_text()
    for table, columns in types().items():
        if table == "sidecar_nonces":
            continue
        found = re.search(rf"CREATE TABLE {table} \((.*?)\n\)", stack, re.DOTALL)
        assert found is not None
        real = re.findall(
            r"^    (\w+) ([A-Z]+(?:\(\d+\))?(?: UNSIGNED)?)( NOT NULL)?", found[1], re.M
        )
        assert columns == {name: kind for name, kind, _ in real if name in columns}
        assert {name for name, _, _ in real} - columns.keys() <= {
            "_id",
            "PRIMARY",
            "UNIQUE",
            "KEY",
            "CONSTRAINT",
        }
