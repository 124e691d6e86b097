import sqlite3

import pytest

from simulator.backend.outcome import failed

NAME = "Ann Lee"


def _error(connection: sqlite3.Connection, sql: str) -> sqlite3.Error:
    with pytest.raises(sqlite3.Error) as caught:
        connection.execute(sql)
    return caught.value


def test_what_the_tables_never_take_is_rejected(connection: sqlite3.Connection) -> None:
    columns = "vendors (_uid, created_at, title)"
    value = f"'{NAME}', '2026-11-28 00:00:00', '{'x' * 256}'"
    outcome = failed(_error(connection, f"INSERT INTO {columns} VALUES ({value})"))
    assert outcome.result == "rejected"
    assert outcome.reason == "error: IntegrityError: CHECK constraint failed: vendors.title"


def test_what_another_row_has_comes_again(connection: sqlite3.Connection) -> None:
    sql = f"INSERT INTO vendors (_uid, created_at) VALUES ('{NAME}', '2026-11-28 00:00:00')"
    connection.execute(sql)
    assert failed(_error(connection, sql)).result == "retry"


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (OverflowError(NAME), "rejected"),
        (ValueError(NAME), "retry"),
        (sqlite3.OperationalError(NAME), "retry"),
    ],
)
def test_a_reason_says_no_values(error: Exception, result: str) -> None:
    outcome = failed(error)
    assert (outcome.result, outcome.reason) == (result, f"error: {type(error).__name__}")
