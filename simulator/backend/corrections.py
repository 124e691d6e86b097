"""Edits and revokes: they change the row of the message that they name, and have none of their own.

``__data.sidecar.corrections`` of that row lists them, with the text that each has replaced. So one
that comes again changes nothing, an older edit does not undo a newer one, and what was revoked
stays so.
"""

from typing import Any

from contracts.cloud_api.answering import sent_ms
from contracts.cloud_api.text import readable_text
from simulator.backend import wamids
from simulator.backend.columns import fit
from simulator.backend.database import Row
from simulator.backend.envelope import identifier
from simulator.backend.jsontext import dump, load, section
from simulator.backend.outcome import DONE, Outcome, ignored
from simulator.backend.vendors import Vendor
from simulator.backend.work import Work

_LOGS = "whatsapp_message_logs"

#: What may be edited and have no text: its caption was taken away.
_CAPTIONED = ("image", "video", "document")


def correct(work: Work, vendor: Vendor, element: dict[str, Any], received: int) -> Outcome:
    """Apply an edit or a revoke."""
    kind: str = element["type"]
    correction = section(element, kind)
    named = identifier(correction.get("original_message_id"))
    row = None if named is None else _row(work, vendor, named)
    if row is None:
        return ignored("message_unknown")
    message = section(correction, "message")
    text = readable_text(message) if kind == "edit" else None
    may_be_empty = kind == "revoke" or message.get("type") in _CAPTIONED
    if text is None and not may_be_empty:
        return ignored("edit_without_text")
    wamid = wamids.stored(identifier(element.get("id")) or "")
    known = section(load(row["__data"]), "sidecar").get("corrections") or []
    if wamid not in (entry["id"] for entry in known):
        entry = {"id": wamid, "type": kind, "at": sent_ms(element, received)}
        _change(work, row, entry | ({"message": message} if kind == "edit" else {}), text)
    return DONE


def _row(work: Work, vendor: Vendor, wamid: str) -> Row | None:
    return work.db.row(
        f"SELECT _id, message, __data FROM {_LOGS} WHERE vendors__id = ? AND {wamids.SAME}"
        " ORDER BY _id",
        (vendor.id, *wamids.same(wamid)),
    )


def _change(work: Work, row: Row, entry: dict[str, Any], text: str | None) -> None:
    """Change the row; ``entry`` is what is kept of the correction."""
    data = load(row["__data"])
    sidecar = section(data, "sidecar")
    name = "edited_at" if entry["type"] == "edit" else "revoked_at"
    is_older = name == "edited_at" and entry["at"] < sidecar.get("edited_at", 0)
    if "revoked_at" in sidecar or is_older:
        text = row["message"]
    else:
        sidecar[name] = entry["at"]
        entry = entry | {"replaced": row["message"]}
    sidecar["corrections"] = [*(sidecar.get("corrections") or []), entry]
    work.db.execute(
        f"UPDATE {_LOGS} SET updated_at = ?, message = ?, __data = ? WHERE _id = ?",
        (work.now, fit(_LOGS, "message", text), dump(data | {"sidecar": sidecar}), row["_id"]),
    )
