"""What the backend's tables hold, counted from outside while the backend runs."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """A row of the log for a message that was sent. ``queue_row_uid`` is None where it was no
    campaign's (an echo, say)."""

    queue_row_uid: str | None
    wamid: str | None
    status: str | None


@dataclass(frozen=True, slots=True)
class TableCounts:
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


class Query(Protocol):
    """Runs a query and returns its rows."""

    def __call__(self, sql: str, parameters: Sequence[Any], /) -> list[tuple[Any, ...]]: ...


class Tables(ABC):
    """One vendor's rows, where ``vendor_uid`` is given, or everybody's. Each call reads a
    snapshot."""

    #: The database's expression for a text in a row's JSON; ``{}`` stands for its path.
    json_text: str

    @abstractmethod
    def snapshot(self) -> AbstractContextManager[Query]:
        """Queries that all see the tables as they are now."""

    def counts(self, vendor_uid: str | None = None) -> TableCounts:
        with self._reading(vendor_uid) as read:
            return TableCounts(
                queue=dict(
                    read(
                        "SELECT status, count(*) FROM whatsapp_message_queue"
                        " WHERE {of} GROUP BY status"
                    )
                ),
                outgoing=dict(
                    read(
                        "SELECT coalesce(status, ''), count(*) FROM whatsapp_message_logs"
                        " WHERE {of} AND is_incoming_message = 0 GROUP BY status"
                    )
                ),
                doubles=dict(
                    read(
                        "SELECT {row_uid} AS row_uid, count(*) FROM whatsapp_message_logs"
                        " WHERE {of} AND is_incoming_message = 0"
                        " GROUP BY row_uid HAVING row_uid IS NOT NULL AND count(*) > 1"
                    )
                ),
                incoming=read.count(
                    "SELECT count(*) FROM whatsapp_message_logs"
                    " WHERE {of} AND is_incoming_message = 1"
                ),
                contacts=read.count("SELECT count(*) FROM contacts WHERE {of}"),
                pending_webhooks=read.count(
                    "SELECT count(*) FROM whatsapp_webhook_queue WHERE {of}"
                ),
            )

    def outgoing_messages(self, vendor_uid: str | None = None) -> list[OutgoingMessage]:
        """Return every message that was sent, in the order in which they were recorded."""
        with self._reading(vendor_uid) as read:
            return [
                OutgoingMessage(*row)
                for row in read(
                    "SELECT {row_uid} AS row_uid, wamid, status FROM whatsapp_message_logs"
                    " WHERE {of} AND is_incoming_message = 0 ORDER BY _id"
                )
            ]

    def queued_uids(self, vendor_uid: str | None = None) -> list[str]:
        """Return the uids of the queue's rows, in any status."""
        with self._reading(vendor_uid) as read:
            found = read("SELECT _uid FROM whatsapp_message_queue WHERE {of} ORDER BY _id")
            return [row[0] for row in found]

    def incoming_wamids(self, vendor_uid: str | None = None) -> list[str]:
        """Return the wamids of the customers' messages, in the order in which they were
        recorded."""
        with self._reading(vendor_uid) as read:
            return [
                row[0]
                for row in read(
                    "SELECT wamid FROM whatsapp_message_logs"
                    " WHERE {of} AND is_incoming_message = 1 ORDER BY _id"
                )
            ]

    @contextmanager
    def _reading(self, vendor_uid: str | None) -> "Iterator[_Reader]":
        with self.snapshot() as query:
            yield _Reader(query, self.json_text.format("sidecar.queue_row_uid"), vendor_uid)


class _Reader:
    """In its queries ``{of}`` is the condition on the vendor, and ``{row_uid}`` the row of the
    queue that a row of the log comes from."""

    def __init__(self, query: Query, row_uid: str, vendor_uid: str | None) -> None:
        self._query = query
        self._parameters = [] if vendor_uid is None else [vendor_uid]
        of_vendor = "vendors__id = (SELECT _id FROM vendors WHERE _uid = ?)"
        self._names = {"of": of_vendor if self._parameters else "TRUE", "row_uid": row_uid}

    def __call__(self, sql: str) -> list[tuple[Any, ...]]:
        return self._query(sql.format(**self._names), self._parameters)

    def count(self, sql: str) -> int:
        return int(self(sql)[0][0])
