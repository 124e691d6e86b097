"""Statuses: a message's status only moves up, whatever order they come in.

A status finds its log row by (vendor, wamid). Where there is none, it is earlier than the result of
its send, or that result was lost: then the callback data names the row of the queue, and the log
row is made from that, or it names the log row itself, of a message that belongs to no campaign. A
row of the queue goes when a status has come for it.
"""

from typing import Any

from contracts.backend import QueueStatus, Update
from contracts.cloud_api.webhook import STATUS_RANK, higher_status
from simulator.backend import wamids
from simulator.backend.columns import fit
from simulator.backend.database import Row
from simulator.backend.envelope import Part, identifier, objects, phone_number_id, text
from simulator.backend.jsontext import OBJECT, dump, load, section, shallow
from simulator.backend.outcome import DONE, Outcome, ignored
from simulator.backend.send_results import MAX_RETRIES
from simulator.backend.sends import (
    QUEUE_COLUMNS,
    STATUSES,
    SUPERSEDED,
    QueueRow,
    Sent,
    log_row,
)
from simulator.backend.times import to_ms, to_text, to_text_up, unix_seconds_ms
from simulator.backend.vendors import Vendor
from simulator.backend.work import Work

#: "Not delivered, to keep the ecosystem healthy": may be tried again, hours later.
HEALTHY_ERROR = 131049

_HOUR_MS = 3_600_000
_DELIVERED_RANK = STATUS_RANK["delivered"]

#: Rows whose send may have gone out. Of other rows it is known that their send failed, and a
#: failed status about them says what is known already.
_IN_FLIGHT = (QueueStatus.PROCESSING, QueueStatus.AWAITING_STATUS, QueueStatus.UNKNOWN)

_LOGS = "whatsapp_message_logs"

#: Statuses by what the column holds of them.
_FULL_NAMES = {fit(_LOGS, "status", name): name for name in STATUS_RANK}

#: Finds a row by its index, letter for letter.
_SAME_UID = "_uid = ? AND CAST(_uid AS BLOB) = CAST(? AS BLOB)"

_LOG_COLUMNS = """
    _id, status, messaged_at, campaigns__id, contacts__id, __data,
    (SELECT _uid FROM campaigns WHERE campaigns._id = campaigns__id) AS campaign_uid
"""


def apply_status(work: Work, vendor: Vendor, part: Part, update: Update | None) -> Outcome:
    """Apply a status and the lower ones that were coalesced into it. ``update`` is None in a raw
    webhook; the status's own time stands for its receipt then."""
    whole = identifier(part.element.get("id"))
    if whole is None:
        return ignored("status_without_id")
    wamid = wamids.stored(whole)
    lower = objects(update.lower_statuses) if update else []
    statuses = [status for status in (*lower, part.element) if text(status.get("status"))]
    if not statuses:
        return ignored("status_without_status")
    log = _find_log(work, vendor, wamid)
    if log is None:
        row = _find_queue_row(work, vendor, statuses)
        if row is not None and row.remembers(SUPERSEDED, wamid):
            return DONE
        if row is None:
            log = _settle_message(work, vendor, whole, statuses)
        elif _settles(row, statuses):
            log = _create_log(work, row, whole, phone_number_id(part.value))
        if log is None:
            return _unknown(work, part.element, update)
    moved = _Change(work, vendor, log, wamid, statuses).apply()
    return Outcome("done", campaign_uid=log["campaign_uid"] if moved else None)


def _find_log(work: Work, vendor: Vendor, wamid: str) -> Row | None:
    return work.db.row(
        f"SELECT {_LOG_COLUMNS} FROM {_LOGS} WHERE vendors__id = ? AND {wamids.SAME} ORDER BY _id",
        (vendor.id, *wamids.same(wamid)),
    )


def _find_queue_row(work: Work, vendor: Vendor, statuses: list[dict[str, Any]]) -> QueueRow | None:
    """Return the row of the queue that the callback data names."""
    row = work.db.row(
        f"SELECT {QUEUE_COLUMNS} FROM whatsapp_message_queue AS queue"
        f" WHERE {_SAME_UID} AND vendors__id = ?",
        (*[_named(statuses)] * 2, vendor.id),
    )
    return None if row is None else QueueRow.of(row)


def _settle_message(
    work: Work, vendor: Vendor, wamid: str, statuses: list[dict[str, Any]]
) -> Row | None:
    """Give the log row that the callback data names its wamid, if it has none; it was sent."""
    return work.db.row(
        f"UPDATE {_LOGS} SET wamid = ?, status = 'accepted', updated_at = ?,"
        f" __data = json_patch({OBJECT}, ?)"
        f" WHERE {_SAME_UID} AND vendors__id = ? AND is_incoming_message = 0 AND wamid IS NULL"
        f" RETURNING {_LOG_COLUMNS}",
        (
            wamids.stored(wamid),
            work.now,
            dump(wamids.data(wamid)),
            *[_named(statuses)] * 2,
            vendor.id,
        ),
    )


def _named(statuses: list[dict[str, Any]]) -> str | None:
    """Return the callback data."""
    uids = (text(status.get("biz_opaque_callback_data")) for status in statuses)
    return next((uid for uid in uids if uid is not None), None)


def _full_name(status: str) -> str:
    """Return a status of Meta's, of which the column may hold the first letters only."""
    stored = fit(_LOGS, "status", status)
    return _FULL_NAMES.get(status) or (status if status in STATUS_RANK else stored)


def _settles(row: QueueRow, statuses: list[dict[str, Any]]) -> bool:
    """Return whether the statuses prove that the row was sent."""
    return row.status in _IN_FLIGHT or any(status["status"] != "failed" for status in statuses)


def _create_log(work: Work, row: QueueRow, wamid: str, number: str | None) -> Row:
    work.db.insert(
        _LOGS,
        log_row(row, Sent(wamid, phone_number_id=number), work.now),
    )
    log = work.db.row(f"SELECT {_LOG_COLUMNS} FROM {_LOGS} WHERE _id = last_insert_rowid()")
    assert log is not None
    return log


def _unknown(work: Work, status: dict[str, Any], update: Update | None) -> Outcome:
    """Ask for the status again for a while: its send may still be being recorded."""
    config = work.config
    since = update.received_at if update else unix_seconds_ms(status.get("timestamp"))
    if since is None or work.now_ms - since >= config.status_grace_s * 1000:
        return ignored("message_unknown")
    wait_ms = config.status_retry_ms * 2 ** min((update.attempt if update else 1) - 1, 30)
    return Outcome("retry", "message_unknown", min(wait_ms, config.status_retry_max_ms))


class _Change:
    """What the statuses make of a log row."""

    def __init__(
        self, work: Work, vendor: Vendor, log: Row, wamid: str, statuses: list[dict[str, Any]]
    ) -> None:
        self._work = work
        self._vendor = vendor
        self._log = log
        self._wamid = wamid
        self._status: str | None = log["status"]
        self._messaged_at: str | None = log["messaged_at"]
        self._error: dict[str, Any] | None = None
        self._data = load(log["__data"])
        self._known = section(section(self._data, "sidecar"), STATUSES)
        #: When statuses were set that the row does not say, in unix seconds.
        self._times: dict[str, int] = {}
        if log["status"] == "delivered" and log["messaged_at"] is not None:
            self._times["delivered"] = to_ms(log["messaged_at"]) // 1000
        for status in statuses:
            self._take(status)
        if self._status == "delivered" and set(self._times) <= {"delivered"}:
            self._times = {}  # messaged_at says it

    def _take(self, status: dict[str, Any]) -> None:
        name = _full_name(status["status"])
        ms = unix_seconds_ms(status.get("timestamp"))
        if name in STATUS_RANK and name not in self._known and ms is not None:
            self._times.setdefault(name, ms // 1000)
        if name == "delivered":
            self._messaged_at = self._time_of(status)
        if self._status is None or higher_status(_full_name(self._status), name):
            self._status = fit(_LOGS, "status", name)
            self._error = _error_of(status) if name == "failed" else None
            if STATUS_RANK.get(name, 0) > _DELIVERED_RANK and self._messaged_at is None:
                self._messaged_at = self._time_of(status)

    def _time_of(self, status: dict[str, Any]) -> str:
        ms = unix_seconds_ms(status.get("timestamp"))
        return self._work.now if ms is None else to_text(ms)

    def apply(self) -> bool:
        """Write it, and tell whether the message's status is another one now."""
        data = self._data
        moved: bool = self._status != self._log["status"]
        if self._error is not None and self._send_again(data):
            return moved
        if moved or self._times or self._messaged_at != self._log["messaged_at"]:
            self._store(data, moved)
        if self._log["campaigns__id"] is not None:
            self._delete_queue_row(data)
        return moved

    def _store(self, data: dict[str, Any], moved: bool) -> None:
        kept = OBJECT
        parameters: list[Any] = [self._status, self._messaged_at, self._work.now]
        if self._times:
            kept = f"json_patch({OBJECT}, ?)"
            parameters.append(dump({"sidecar": {STATUSES: self._times}}))
        if moved and (self._error is not None or "error" in data):
            kept = f"json_set({kept}, '$.error', json(?))"
            parameters.append(dump(self._error))
        changed = "" if kept is OBJECT else f", __data = {kept}"
        self._work.db.execute(
            f"UPDATE {_LOGS}"
            f" SET status = ?, messaged_at = ?, updated_at = ?{changed} WHERE _id = ?",
            (*parameters, self._log["_id"]),
        )

    def _delete_queue_row(self, data: dict[str, Any]) -> None:
        where, parameters = self._queue_row(data)
        self._work.db.execute(f"DELETE FROM whatsapp_message_queue WHERE {where}", parameters)

    def _queue_row(self, data: dict[str, Any]) -> tuple[str, tuple[Any, ...]]:
        """Return the condition for the log row's row of the queue. The cron's own log rows do not
        name it; of theirs, the contact's rows that have been sent are meant."""
        uid = section(data, "sidecar").get("queue_row_uid")
        if uid is not None:
            return "_uid = ?", (uid,)
        return (
            "vendors__id = ? AND campaigns__id = ? AND contacts__id = ? AND status IN (3, 4, 6)",
            (self._vendor.id, self._log["campaigns__id"], self._log["contacts__id"]),
        )

    def _send_again(self, data: dict[str, Any]) -> bool:
        """Give the row of the queue back, hours later, if the error and the vendor allow it."""
        assert self._error is not None
        if self._error["code"] != HEALTHY_ERROR or not self._vendor.requeues_healthy_error:
            return False
        where, parameters = self._queue_row(data)
        found = self._work.db.row(
            f"SELECT {QUEUE_COLUMNS} FROM whatsapp_message_queue AS queue WHERE {where}", parameters
        )
        if found is None or (found["retries"] or 0) >= MAX_RETRIES:
            return False
        self._requeue(QueueRow.of(found))
        self._work.db.execute(f"DELETE FROM {_LOGS} WHERE _id = ?", (self._log["_id"],))
        return True

    def _requeue(self, row: QueueRow) -> None:
        assert self._error is not None
        row.count_retry()
        row.remember(SUPERSEDED, self._wamid)
        row.sidecar.pop("claim", None)
        response = {
            "error_message": str(self._error["message"] or self._error["title"] or ""),
            "error_status": str(HEALTHY_ERROR),
        }
        self._work.db.execute(
            "UPDATE whatsapp_message_queue SET status = ?, retries = ?, scheduled_at = ?,"
            f" updated_at = ?, __data = json_set({OBJECT},"
            " '$.sidecar', json(?), '$.process_response', json(?)) WHERE _id = ?",
            (
                QueueStatus.QUEUED,
                row.retries,
                to_text_up(self._work.now_ms + row.retries * _HOUR_MS),
                self._work.now,
                dump(row.sidecar),
                dump(response),
                row.id,
            ),
        )


def _error_of(status: dict[str, Any]) -> dict[str, Any]:
    """Return the first error of a failed status, as it is kept in the log row."""
    errors = objects(status.get("errors"))
    error = errors[0] if errors else {}
    details = error.get("error_data")
    code = error.get("code")
    if isinstance(code, str) and code.isascii() and code.isdigit() and len(code) <= 9:
        code = int(code)
    return {
        "code": shallow(code),
        "title": shallow(error.get("title")),
        "message": shallow(error.get("message")),
        "details": shallow(details.get("details")) if isinstance(details, dict) else None,
    }
