"""``epoch``: how far Redis has come. It stands in ``vendor_settings``, with the first vendor: there
is no place for what belongs to none."""

import uuid
from typing import Any

from contracts.backend import EpochRequest
from simulator.backend.jsontext import dump, load
from simulator.backend.work import Work

NAME = "sidecar_epoch"

_REASON = "Redis has gone back in time: the message may have been sent."


def keep_epoch(work: Work, request: EpochRequest) -> dict[str, Any]:
    kept = _read(work)
    if request.epoch > kept.get("epoch", 0):
        kept = {"epoch": request.epoch, "at": request.at}
        _write(work, dump(kept))
    return {
        "epoch": kept.get("epoch", 0),
        "at": kept.get("at"),
        "made_unknown": _settle_pending(work) if request.settle_pending else 0,
    }


def _read(work: Work) -> dict[str, Any]:
    row = work.db.row(
        "SELECT value FROM vendor_settings WHERE name = ?"
        " AND vendors__id = (SELECT min(_id) FROM vendors)",
        (NAME,),
    )
    return load(row["value"]) if row else {}


def _write(work: Work, value: str) -> None:
    changed = work.db.execute(
        "UPDATE vendor_settings SET value = ?, updated_at = ? WHERE name = ?"
        " AND vendors__id = (SELECT min(_id) FROM vendors)",
        (value, work.now, NAME),
    ).rowcount
    if not changed:
        work.db.execute(
            "INSERT INTO vendor_settings (_uid, created_at, vendors__id, name, value, data_type)"
            " SELECT ?, ?, _id, ?, ?, 1 FROM vendors ORDER BY _id LIMIT 1",
            (str(uuid.uuid4()), work.now, NAME, value),
        )


def _settle_pending(work: Work) -> int:
    error = {"code": None, "title": None, "message": _REASON, "details": None}
    return work.db.execute(
        "UPDATE whatsapp_message_logs SET status = 'unknown', updated_at = ?,"
        " __data = json_set(__data, '$.error', json(?))"
        " WHERE vendors__id IN (SELECT _id FROM vendors) AND wamid IS NULL"
        " AND status = 'pending' AND json_type(__data, '$.sidecar.effect') = 'object'",
        (work.now, dump(error)),
    ).rowcount
