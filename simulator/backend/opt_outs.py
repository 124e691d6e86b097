"""Whose rows of campaigns are not sent, as they stand at the claim."""

from contracts.backend import QueueStatus
from simulator.backend.config import OptOuts
from simulator.backend.database import Row
from simulator.backend.jsontext import OBJECT, dump, load, section
from simulator.backend.sends import NOT_SENT
from simulator.backend.work import Work

#: What a row says of why it was not sent: ``error_message``, by ``error_status``.
MESSAGES = {
    "contact_opted_out_error": "Not sent: the contact has opted out.",
    "contact_blocked_error": "Not sent: the contact is blocked.",
    "contact_deleted_error": "Not sent: the contact has been deleted.",
}


def why_not(opt_outs: OptOuts, row: Row, category: str | None) -> str | None:
    """Return the ``error_status`` of a row that is not to be sent; None for one that is.

    ``row`` has ``contacts__id`` and ``__data`` of the queue, and its contact's ``contact_uid``
    (null: it is not there), ``whatsapp_opt_out`` and ``wa_blocked_at``."""
    if opt_outs == "off":
        return None
    if row["contact_uid"] is None:
        return "contact_deleted_error" if _had_contact(row) else None
    if row["wa_blocked_at"] is not None:
        return "contact_blocked_error"
    counts = opt_outs == "all" or category in (None, "MARKETING")
    return "contact_opted_out_error" if counts and row["whatsapp_opt_out"] else None


def _had_contact(row: Row) -> bool:
    """A row may be for a bare number, which is nobody's contact."""
    kept = section(load(row["__data"]), "contact_data")
    ids = (row["contacts__id"], kept.get("_id"), kept.get("_uid"))
    return any(one is not None for one in ids)


def end_unsent(work: Work, ids: list[int], error_status: str, message: str) -> None:
    """Have rows end that certainly were not sent."""
    response = {"error_message": message, "error_status": error_status}
    work.db.execute(
        "UPDATE whatsapp_message_queue SET status = ?, updated_at = ?,"
        f" __data = json_set(json_remove({OBJECT}, '$.sidecar.claim'),"
        f" '$.process_response', json(?), '$.sidecar.{NOT_SENT}', ?)"
        " WHERE _id IN (SELECT value FROM json_each(?))",
        (QueueStatus.ERROR, work.now, dump(response), work.now, dump(ids)),
    )
