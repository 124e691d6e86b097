"""What the backend's tables hold, counted out of the database file while the server runs."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """A row of the log for a message that was sent. ``queue_row_uid`` is None where it was no
    campaign's (an echo, say)."""

    queue_row_uid: str | None
    wamid: str | None
    status: str | None


@dataclass(frozen=True, slots=True)
class Tally:
    """``queue``: rows of the queue by status code. ``outgoing``: rows of the log by status.
    ``doubles``: rows of the queue that were sent more than once, with how often.
    ``pending_webhooks``: rows in PHP's own webhook table."""

    queue: dict[int, int]
    outgoing: dict[str, int]
    doubles: dict[str, int]
    incoming: int
    contacts: int
    pending_webhooks: int

    @property
    def queued_rows(self) -> int:
        """Rows of the queue in any status."""
        return sum(self.queue.values())

    @property
    def sent_messages(self) -> int:
        """Rows of the log for messages that were sent, in any status."""
        return sum(self.outgoing.values())


def tally(database: Path, vendor_uid: str | None = None) -> Tally:
    """Count one vendor's rows, or everybody's."""
    with _reading(database, vendor_uid) as read:
        return Tally(
            queue=dict(
                read("SELECT status, count(*) FROM whatsapp_message_queue WHERE {of} GROUP BY 1")
            ),
            outgoing=dict(
                read(
                    "SELECT coalesce(status, ''), count(*) FROM whatsapp_message_logs"
                    " WHERE {of} AND is_incoming_message = 0 GROUP BY 1"
                )
            ),
            doubles=dict(
                read(
                    "SELECT __data ->> '$.sidecar.queue_row_uid' AS row_uid, count(*)"
                    " FROM whatsapp_message_logs WHERE {of} AND is_incoming_message = 0"
                    " GROUP BY row_uid HAVING row_uid IS NOT NULL AND count(*) > 1"
                )
            ),
            incoming=read(
                "SELECT count(*) FROM whatsapp_message_logs WHERE {of} AND is_incoming_message = 1"
            )[0][0],
            contacts=read("SELECT count(*) FROM contacts WHERE {of}")[0][0],
            pending_webhooks=read("SELECT count(*) FROM whatsapp_webhook_queue WHERE {of}")[0][0],
        )


def outgoing_messages(database: Path, vendor_uid: str | None = None) -> list[OutgoingMessage]:
    """Return every message that was sent, in the order in which they were recorded."""
    with _reading(database, vendor_uid) as read:
        return [
            OutgoingMessage(*row)
            for row in read(
                "SELECT __data ->> '$.sidecar.queue_row_uid', wamid, status"
                " FROM whatsapp_message_logs WHERE {of} AND is_incoming_message = 0 ORDER BY _id"
            )
        ]


def incoming_wamids(database: Path, vendor_uid: str | None = None) -> list[str]:
    """Return the wamids of the customers' messages, in the order in which they were recorded."""
    with _reading(database, vendor_uid) as read:
        return [
            row[0]
            for row in read(
                "SELECT wamid FROM whatsapp_message_logs"
                " WHERE {of} AND is_incoming_message = 1 ORDER BY _id"
            )
        ]


class _Reader:
    def __init__(self, connection: sqlite3.Connection, vendor_uid: str | None) -> None:
        self._connection = connection
        self._vendor_uid = vendor_uid

    def __call__(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query whose ``{of}`` becomes the condition on the vendor."""
        if self._vendor_uid is None:
            return self._connection.execute(sql.format(of="TRUE")).fetchall()
        condition = "vendors__id = (SELECT _id FROM vendors WHERE _uid = ?)"
        found = self._connection.execute(sql.format(of=condition), (self._vendor_uid,))
        return found.fetchall()


@contextmanager
def _reading(database: Path, vendor_uid: str | None) -> Iterator[_Reader]:
    """Read everything in one snapshot."""
    connection = sqlite3.connect(
        f"{database.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=10
    )
    try:
        connection.execute("BEGIN")
        yield _Reader(connection, vendor_uid)
    finally:
        connection.close()
