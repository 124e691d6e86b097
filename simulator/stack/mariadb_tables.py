"""The application's tables in MariaDB."""

from collections.abc import Iterator
from contextlib import contextmanager

from simulator.stack.database import Database
from simulator.tables import Query, Tables


class MariaDbTables(Tables):
    json_text = "JSON_VALUE(__data, '$.{}')"

    def __init__(self, database: Database) -> None:
        self._database = database

    @contextmanager
    def snapshot(self) -> Iterator[Query]:
        database = self._database
        with database.alone():
            database.script("START TRANSACTION WITH CONSISTENT SNAPSHOT")
            try:
                yield lambda sql, parameters: [
                    tuple(row.values()) for row in database.rows(sql, parameters)
                ]
            finally:
                database.script("COMMIT")
