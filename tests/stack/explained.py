"""Every statement that the application sends, and how the database finds its rows."""

from collections.abc import Iterator
from contextlib import contextmanager

from simulator.stack.database import Database, Row

_TABLES = (
    "vendors",
    "vendor_settings",
    "contacts",
    "campaigns",
    "whatsapp_templates",
    "whatsapp_message_queue",
    "whatsapp_message_logs",
    "whatsapp_webhook_queue",
    "bot_replies",
    "bot_flows",
)


@contextmanager
def recorded(database: Database) -> Iterator[list[str]]:
    """Fill a list with the statements of everybody else's that ran meanwhile."""
    statements: list[str] = []
    database.rows("TRUNCATE TABLE mysql.general_log")
    database.rows("SET GLOBAL log_output = 'TABLE'")
    database.rows("SET GLOBAL general_log = 1")
    try:
        yield statements
    finally:
        database.rows("SET GLOBAL general_log = 0")
        statements += [
            row["argument"]
            for row in database.rows(
                "SELECT CONVERT(argument USING utf8mb4) AS argument FROM mysql.general_log"
                " WHERE command_type IN ('Execute', 'Query') AND thread_id <> CONNECTION_ID()"
            )
        ]


def plans(database: Database, statement: str) -> list[Row]:
    """Return how a statement finds its rows in the application's tables, a row per table.

    ``INSERT`` finds none, and tables made of JSON are no tables.
    """
    if not statement.upper().startswith(("SELECT", "(SELECT", "UPDATE", "DELETE")):
        return []
    used = [table for table in _TABLES if f"`{table}`" in statement]
    return [
        row
        for row in database.rows(f"EXPLAIN FORMAT=TRADITIONAL {statement}")
        if used and row["table"] and not row["table"].startswith(("<", "new", "wanted"))
    ]
