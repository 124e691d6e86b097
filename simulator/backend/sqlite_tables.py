"""The embedded backend's tables, read out of the database file."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from simulator.backend.columns import prepare
from simulator.tables import Query, Tables


class SqliteTables(Tables):
    json_text = "__data ->> '$.{}'"

    def __init__(self, database: Path) -> None:
        self._uri = f"{database.absolute().as_uri()}?mode=ro"

    @contextmanager
    def snapshot(self) -> Iterator[Query]:
        connection = sqlite3.connect(self._uri, uri=True, isolation_level=None, timeout=10)
        prepare(connection)
        with closing(connection):
            connection.execute("BEGIN")
            yield lambda sql, parameters: connection.execute(sql, parameters).fetchall()
