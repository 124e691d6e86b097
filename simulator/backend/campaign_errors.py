"""What campaigns' messages have failed of: rows of the queue, and messages of the log."""

from collections import Counter, defaultdict
from typing import Any

from contracts.backend import QueueStatus
from simulator.backend.database import Row
from simulator.backend.failed_rows import MAX_MESSAGE, text_of
from simulator.backend.jsontext import load, section
from simulator.backend.work import Work

#: Rows that are looked at, and errors that are told, of the queue and of the log each.
_MAX_ROWS = 10_000
_MAX_ERRORS = 100

_QUEUE = (
    "SELECT campaigns__id, __data FROM whatsapp_message_queue"
    " WHERE campaigns__id IN (SELECT value FROM json_each(?)) AND status = ? LIMIT ?"
)
_LOG = (
    "SELECT campaigns__id, __data FROM whatsapp_message_logs"
    " WHERE campaigns__id IN (SELECT value FROM json_each(?)) AND is_incoming_message = 0"
    " AND status = ? LIMIT ?"
)


def campaign_errors(work: Work, ids: str) -> defaultdict[int, list[dict[str, Any]]]:
    """Return the errors of campaigns, the most frequent first. ``ids``: theirs, as JSON."""
    found: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
    for later, sql, status in ((False, _QUEUE, QueueStatus.ERROR), (True, _LOG, "failed")):
        counts: Counter[tuple[int, str | None]] = Counter()
        messages: dict[tuple[int, str | None], list[str]] = defaultdict(list)
        for row in work.db.rows(sql, (ids, status, _MAX_ROWS)):
            error, message = _log_error(row) if later else _queue_error(row)
            key = (row["campaigns__id"], error)
            counts[key] += 1
            messages[key] += [] if message is None else [message[:MAX_MESSAGE]]
        for (id_, error), count in counts.most_common(_MAX_ERRORS):
            message = min(messages[id_, error], default=None)
            told = {"error_status": error, "message": message, "count": count, "later": later}
            found[id_].append(told)
    return found


def _queue_error(row: Row) -> tuple[str | None, str | None]:
    response = section(load(row["__data"]), "process_response")
    return text_of(response.get("error_status")), text_of(response.get("error_message"))


def _log_error(row: Row) -> tuple[str | None, str | None]:
    error = section(load(row["__data"]), "error")
    return text_of(error.get("code")), text_of(error.get("title"))
