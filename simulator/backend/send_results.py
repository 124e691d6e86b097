"""``update-message-status`` and ``update-message-statuses``: what became of sends.

A batch takes a constant number of statements: the rows are read together, every result is decided
on by itself, and what was decided is written together.
"""

from typing import Any

from contracts.backend import (
    QueueStatus,
    SendOutcome,
    SendResult,
    UpdateMessageStatusesRequest,
)
from contracts.cloud_api.people import phone_digits
from simulator.backend import wamids
from simulator.backend.database import Row
from simulator.backend.jsontext import OBJECT, dump, shallow
from simulator.backend.learnt_ids import LearntIds
from simulator.backend.message_results import MessageResults
from simulator.backend.sends import (
    ACCEPTED_AT,
    NOT_SENT,
    QUEUE_COLUMNS,
    RESULTS,
    SUPERSEDED,
    QueueRow,
    Sent,
    log_row,
)
from simulator.backend.times import to_text_up
from simulator.backend.work import Work

#: A row that has been given back this often and fails again is an error.
MAX_RETRIES = 5

#: The status of a row to which a result has been applied already.
_REACHED = {
    SendOutcome.ACCEPTED: QueueStatus.AWAITING_STATUS,
    SendOutcome.FAILED: QueueStatus.ERROR,
    SendOutcome.REQUEUE: QueueStatus.QUEUED,
    SendOutcome.UNKNOWN: QueueStatus.UNKNOWN,
}


def update_message_status(work: Work, request: SendResult) -> dict[str, Any]:
    return _Batch(work, [request]).apply()[0]


def update_message_statuses(work: Work, request: UpdateMessageStatusesRequest) -> dict[str, Any]:
    return {"results": _Batch(work, request.results).apply()}


class _Batch:
    def __init__(self, work: Work, results: list[SendResult]) -> None:
        self._work = work
        self._results = results
        self._learnt = LearntIds()
        self._messages = MessageResults(work, results, self._learnt)
        self._rows = self._read_rows()
        self._logged = self._read_logged()
        self._changed: dict[int, dict[str, Any]] = {}
        self._log_rows: list[dict[str, Any]] = []
        self._completed: list[dict[str, Any]] = []

    def apply(self) -> list[dict[str, Any]]:
        answers = [self._answer(result) for result in self._results]
        self._write()
        return answers

    def _answer(self, result: SendResult) -> dict[str, Any]:
        reason = self._decide(result)
        answer = "done" if reason is None else "ignored"
        self._work.report.send_results[result.outcome.value][answer] += 1
        return {"id": result.uid, "result": answer, "reason": reason}

    def _decide(self, result: SendResult) -> str | None:
        """Plan what the result changes. Return why it changes nothing and never will, if so."""
        if result.campaign_uid is None:
            return self._messages.decide(result)
        row = self._rows.get((result.uid, result.vendor_uid, result.campaign_uid))
        if result.outcome is SendOutcome.ACCEPTED:
            return self._accept(result, row)
        if row is None:
            return "row_unknown"
        mark = f"{result.outcome}:{result.at}"
        if row.remembers(RESULTS, mark):
            return None
        if row.status != QueueStatus.PROCESSING:
            return None if row.status == _REACHED[result.outcome] else "row_not_in_processing"
        if result.claim_uid and row.claim_uid != result.claim_uid:
            return "claimed_anew"
        row.remember(RESULTS, mark)
        if result.outcome is SendOutcome.FAILED:
            self._fail(row, _response(result))
        elif result.outcome is SendOutcome.UNKNOWN:
            self._change(row, QueueStatus.UNKNOWN, _response(result, "awaited_response_error"))
        else:
            self._requeue(row, result)
        return None

    def _accept(self, result: SendResult, row: QueueRow | None) -> str | None:
        """``accepted`` is a fact: it settles the row whatever its status is, unless this send has
        failed since and the row waits to be sent anew."""
        if not result.wamid:
            return "wamid_missing"
        logged = self._logged.get((result.vendor_uid, wamids.stored(result.wamid)))
        if row is None and logged is None:
            return "row_unknown"
        if row is not None and row.remembers(SUPERSEDED, wamids.stored(result.wamid)):
            return None
        if row is not None and logged is None:
            sent = Sent(
                result.wamid,
                result.message_status or "accepted",
                result.wa_id,
                result.phone_number_id,
                result.response or {},
                result.at,
            )
            self._log_rows.append(log_row(row, sent, self._work.now))
            self._learnt.note(row.contact_id, row.phone, result)
        elif logged is not None and logged["early"]:
            self._complete(result, logged)
        if row is not None and row.status != QueueStatus.AWAITING_STATUS:
            self._change(row, QueueStatus.AWAITING_STATUS)
        return None

    def _complete(self, result: SendResult, logged: Row) -> None:
        """A status was earlier than the result: add what only the result knows."""
        self._completed.append(
            {
                "id": logged["_id"],
                "response": shallow(result.response or {}),
                "wa_id": phone_digits(result.wa_id or ""),
                "at": result.at,
            }
        )
        self._learnt.note(logged["contacts__id"], logged["contact_wa_id"], result)

    def _fail(self, row: QueueRow, response: dict[str, str]) -> None:
        self._change(row, QueueStatus.ERROR, response)

    def _requeue(self, row: QueueRow, result: SendResult) -> None:
        if result.attempted:
            if row.retries >= MAX_RETRIES:
                self._fail(row, _response(result, "retries_exhausted_error"))
                return
            row.count_retry()
        minute_ms = 60_000
        due_at = result.due_at
        if due_at is None:
            due_at = self._work.now_ms + row.retries * minute_ms
        self._change(row, QueueStatus.QUEUED, _response(result) if result.error else None, due_at)

    def _change(
        self,
        row: QueueRow,
        status: int,
        response: dict[str, str] | None = None,
        due_at: int | None = None,
    ) -> None:
        row.status = status
        over = ("claim", NOT_SENT)
        row.sidecar = {name: value for name, value in row.sidecar.items() if name not in over}
        if status == QueueStatus.ERROR:
            # A result that ends a row is of a send that certainly did not happen.
            row.sidecar[NOT_SENT] = self._work.now
        self._changed[row.id] = {
            "id": row.id,
            "status": status,
            "retries": row.retries,
            "scheduled_at": None if due_at is None else to_text_up(due_at),
            "sidecar": row.sidecar,
            **({} if response is None else {"response": response}),
        }

    def _read_rows(self) -> dict[tuple[str, str, str], QueueRow]:
        rows = self._work.db.rows(
            f"SELECT {QUEUE_COLUMNS}, vendors._uid AS vendor_uid, campaigns._uid AS campaign_uid"
            " FROM json_each(?) AS wanted"
            " CROSS JOIN whatsapp_message_queue AS queue ON queue._uid = wanted.value"
            " JOIN vendors ON vendors._id = queue.vendors__id"
            " JOIN campaigns ON campaigns._id = queue.campaigns__id",
            (dump(list({result.uid for result in self._results})),),
        )
        return {
            (row["_uid"], row["vendor_uid"], row["campaign_uid"]): QueueRow.of(row) for row in rows
        }

    def _read_logged(self) -> dict[tuple[str, str], Row]:
        """Return the log rows that are there already, by vendor and wamid."""
        wanted = {
            (result.vendor_uid, wamids.stored(result.wamid))
            for result in self._results
            if result.outcome is SendOutcome.ACCEPTED and result.wamid
        }
        if not wanted:
            return {}
        rows = self._work.db.rows(
            "SELECT logs._id, logs.contacts__id, logs.contact_wa_id, logs.wamid,"
            " json_type(logs.__data, '$.initial_response') = 'null' AS early,"
            " vendors._uid AS vendor_uid"
            " FROM json_each(?) AS wanted"
            " CROSS JOIN vendors ON vendors._uid = wanted.value ->> 0"
            " CROSS JOIN whatsapp_message_logs AS logs"
            "  ON logs.vendors__id = vendors._id AND logs.wamid = wanted.value ->> 1"
            " ORDER BY logs._id DESC",
            (dump(list(wanted)),),
        )
        return {(row["vendor_uid"], row["wamid"]): row for row in rows}

    def _write(self) -> None:
        db, now = self._work.db, self._work.now
        self._messages.write()
        db.insert_missing("whatsapp_message_logs", self._log_rows)
        if self._completed:
            db.execute(
                "UPDATE whatsapp_message_logs SET updated_at = ?,"
                " contact_wa_id = coalesce(done.value ->> '$.wa_id', contact_wa_id),"
                " __data = json_set(__data, '$.initial_response', done.value -> '$.response',"
                f" '$.sidecar.{ACCEPTED_AT}', done.value -> '$.at')"
                " FROM json_each(?) AS done"
                " WHERE whatsapp_message_logs._id = done.value ->> '$.id'",
                (now, dump(self._completed)),
            )
        self._learnt.write(self._work)
        if self._changed:
            settled = f"json_set({OBJECT}, '$.sidecar', new.value -> '$.sidecar')"
            db.execute(
                "UPDATE whatsapp_message_queue SET updated_at = ?,"
                " status = new.value ->> '$.status', retries = new.value ->> '$.retries',"
                " scheduled_at = coalesce(new.value ->> '$.scheduled_at', scheduled_at),"
                f" __data = CASE WHEN new.value -> '$.response' IS NULL THEN {settled}"
                f" ELSE json_set({settled}, '$.process_response', new.value -> '$.response') END"
                " FROM json_each(?) AS new"
                " WHERE whatsapp_message_queue._id = new.value ->> '$.id'",
                (now, dump(list(self._changed.values()))),
            )


def _response(result: SendResult, error_status: str | None = None) -> dict[str, str]:
    """Return ``process_response``: the message, and the API's code unless a status is given."""
    error = result.error
    message = "No reason was given."
    if error is not None:
        message = f"{error.message}: {error.details}" if error.details else error.message
    code = "connection_error" if error is None or error.code is None else str(error.code)
    return {"error_message": message, "error_status": error_status or code}
