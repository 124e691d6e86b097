"""Writing many rows at once."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def vendor_id(connection: sqlite3.Connection, uid: str) -> int:
    row = connection.execute("SELECT _id FROM vendors WHERE _uid = ?", (uid,)).fetchone()
    if row is None:
        raise ValueError(f"there is no vendor {uid!r}; seed_installation makes vendors")
    return int(row[0])


def insert_rows(connection: sqlite3.Connection, table: str, rows: list[dict[str, Any]]) -> None:
    if rows:
        columns = tuple(rows[0])
        marks = ", ".join("?" * len(columns))
        connection.executemany(
            f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})",
            (tuple(row.values()) for row in rows),
        )


def next_id(connection: sqlite3.Connection, table: str) -> int:
    found = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,))
    row = found.fetchone()
    return (row[0] if row else 0) + 1
