"""Writing many rows at once."""

import sqlite3
from typing import Any


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
