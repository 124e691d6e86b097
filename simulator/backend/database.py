"""The SQLite database: how it is opened, how transactions are made, and how statements count."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, Literal

from simulator.backend.columns import fit_row, prepare, schema

Row = sqlite3.Row
Parameters = Sequence[Any]

#: SQLite's limit on the parameters of one statement.
_MAX_PARAMETERS = 32766


def open_database(
    path: Path, synchronous: Literal["NORMAL", "FULL"] = "NORMAL"
) -> sqlite3.Connection:
    """Open the database for writing, with its tables; make both if they are missing.

    The connection begins no transaction by itself.
    """
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    connection.execute("PRAGMA secure_delete = OFF")
    connection.execute("PRAGMA cache_size = -65536")
    prepare(connection)
    connection.executescript(schema())
    return connection


class Database:
    """One connection, used by one thread at a time. ``statements`` counts what was executed,
    transaction control included."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.statements = 0

    def execute(self, sql: str, parameters: Parameters = ()) -> sqlite3.Cursor:
        self.statements += 1
        return self._connection.execute(sql, parameters)

    def row(self, sql: str, parameters: Parameters = ()) -> Row | None:
        found: Row | None = self.execute(sql, parameters).fetchone()
        return found

    def rows(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        return self.execute(sql, parameters).fetchall()

    def insert(self, table: str, values: dict[str, Any]) -> int:
        """Insert one row, made to fit its columns, and return its ``_id``."""
        values = fit_row(table, values)
        marks = ", ".join("?" * len(values))
        cursor = self.execute(
            f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})", tuple(values.values())
        )
        return cursor.lastrowid or 0

    def insert_missing(self, table: str, rows: Sequence[dict[str, Any]]) -> int:
        """Insert rows (all with the same columns), made to fit them, whose ``_uid`` is not there
        yet, in as few statements as possible. Return how many were inserted."""
        if not rows:
            return 0
        rows = [fit_row(table, row) for row in rows]
        columns = tuple(rows[0])
        mark = f"({', '.join('?' * len(columns))})"
        step = _MAX_PARAMETERS // len(columns)
        inserted = 0
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            inserted += self.execute(
                # OR IGNORE would let every other fault pass, too.
                f"INSERT INTO {table} ({', '.join(columns)}) "
                f"VALUES {', '.join([mark] * len(part))} ON CONFLICT (_uid) DO NOTHING",
                tuple(chain.from_iterable(row.values() for row in part)),
            ).rowcount
        return inserted

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what the block did, or nothing of it if it raises."""
        self.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.execute("ROLLBACK")
            raise
        self.execute("COMMIT")

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Undo what the block did if it raises, and nothing else of the transaction."""
        self.execute("SAVEPOINT part")
        try:
            yield
        except BaseException:
            self.execute("ROLLBACK TO part")
            self.execute("RELEASE part")
            raise
        self.execute("RELEASE part")

    def close(self) -> None:
        self._connection.close()
