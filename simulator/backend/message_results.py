"""Results of sends that belong to no campaign: what became of pending rows of the log."""

from dataclasses import dataclass
from typing import Any

from contracts.backend import SendOutcome, SendResult
from contracts.cloud_api.people import phone_digits
from simulator.backend import wamids
from simulator.backend.columns import fit
from simulator.backend.jsontext import dump, load, section, shallow
from simulator.backend.learnt_ids import LearntIds
from simulator.backend.sends import ACCEPTED_AT, RESULTS
from simulator.backend.work import Work

_LOGS = "whatsapp_message_logs"


@dataclass(slots=True)
class _Row:
    id: int
    contact_id: int | None
    wa_id: str | None
    number: str | None
    wamid: str | None
    status: str | None
    data: dict[str, Any]

    def columns(self) -> list[str | None]:
        """Return what is written of it beside ``__data``."""
        return [
            self.wamid,
            fit(_LOGS, "status", self.status),
            self.wa_id,
            fit(_LOGS, "wab_phone_number_id", self.number),
        ]


class MessageResults:
    """Those of a batch: read, decided and written together. ``learnt`` takes what they say of
    contacts."""

    def __init__(self, work: Work, results: list[SendResult], learnt: LearntIds) -> None:
        self._work = work
        self._learnt = learnt
        self._rows = self._read([result for result in results if result.campaign_uid is None])
        self._changed: dict[int, _Row] = {}

    def decide(self, result: SendResult) -> str | None:
        """Plan what a result changes. Return why it changes nothing and never will, if so."""
        row = self._rows.get((result.vendor_uid, result.uid))
        if row is None:
            return "row_unknown"
        if result.outcome is SendOutcome.ACCEPTED:
            return self._accept(result, row)
        if result.outcome is SendOutcome.REQUEUE:
            return "requeue_without_campaign"
        if row.wamid is not None:
            return "row_has_wamid"
        sidecar = section(row.data, "sidecar")
        known, mark = sidecar.get(RESULTS) or [], f"{result.outcome}:{result.at}"
        if mark not in known:
            if result.outcome is SendOutcome.UNKNOWN and row.status == "failed":
                return "row_has_failed"
            row.status = result.outcome.value
            row.data["error"] = _error(result)
            row.data["sidecar"] = {**sidecar, RESULTS: [*known, mark]}
            self._changed[row.id] = row
        return None

    def _accept(self, result: SendResult, row: _Row) -> str | None:
        if not result.wamid:
            return "wamid_missing"
        if row.wamid not in (None, wamids.stored(result.wamid)):
            return "row_has_wamid"
        if row.wamid is None:
            row.wamid = wamids.stored(result.wamid)
            row.status = result.message_status or "accepted"
            row.data |= wamids.data(result.wamid)
            row.data.pop("error", None)
        if "initial_response" not in row.data:
            row.data["initial_response"] = shallow(result.response or {})
            row.data["sidecar"] = {**section(row.data, "sidecar"), ACCEPTED_AT: result.at}
            row.number = result.phone_number_id
            self._learnt.note(row.contact_id, row.wa_id, result)
            row.wa_id = phone_digits(result.wa_id or "") or row.wa_id
            self._changed[row.id] = row
        return None

    def _read(self, results: list[SendResult]) -> dict[tuple[str, str], _Row]:
        if not results:
            return {}
        rows = self._work.db.rows(
            "SELECT logs._id, logs._uid, contacts__id, contact_wa_id, wab_phone_number_id, wamid,"
            " logs.status, logs.__data, vendors._uid AS vendor_uid"
            " FROM json_each(?) AS wanted"
            " CROSS JOIN whatsapp_message_logs AS logs ON logs._uid = wanted.value"
            " JOIN vendors ON vendors._id = logs.vendors__id WHERE is_incoming_message = 0",
            (dump(list({result.uid for result in results})),),
        )
        return {
            (row["vendor_uid"], row["_uid"]): _Row(
                row["_id"],
                row["contacts__id"],
                row["contact_wa_id"],
                row["wab_phone_number_id"],
                row["wamid"],
                row["status"],
                load(row["__data"]),
            )
            for row in rows
        }

    def write(self) -> None:
        if self._changed:
            rows = [[row.id, *row.columns(), dump(row.data)] for row in self._changed.values()]
            self._work.db.execute(
                "UPDATE whatsapp_message_logs SET updated_at = ?, wamid = new.value ->> 1,"
                " status = new.value ->> 2, contact_wa_id = new.value ->> 3,"
                " wab_phone_number_id = new.value ->> 4, __data = new.value ->> 5"
                " FROM json_each(?) AS new WHERE whatsapp_message_logs._id = new.value ->> 0",
                (self._work.now, dump(rows)),
            )


def _error(result: SendResult) -> dict[str, Any] | None:
    """Return the error as a failed status leaves it in the row."""
    error = result.error
    if error is None:
        return None
    return {
        "code": error.code,
        "title": None,
        "message": error.message,
        "details": error.details,
    }
