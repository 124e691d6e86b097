"""``pending-webhooks``: the sidecar takes over what PHP has stored while it was down."""

import base64
import binascii
from typing import Any

import orjson

from contracts.backend import MAX_PENDING, PendingWebhooksRequest
from contracts.modes import Capability
from simulator.backend.database import Row
from simulator.backend.jsontext import dump, load
from simulator.backend.stored_modes import on_sidecar
from simulator.backend.times import to_ms
from simulator.backend.webhook_table import ENCODING_HEADER
from simulator.backend.work import Work

#: Pending webhooks of vendors that exist and whose webhooks are the sidecar's.
_PENDING = f"""
    whatsapp_webhook_queue AS webhooks JOIN vendors ON vendors._id = webhooks.vendors__id
    WHERE webhooks.status = 'pending' AND {on_sidecar(Capability.WEBHOOKS)}
"""


def pending_webhooks(work: Work, request: PendingWebhooksRequest) -> dict[str, Any]:
    deleted = _delete(work, request.taken)
    rows = _page(work, request.limit, request.max_bytes)
    left = count_pending(work, len(rows) + MAX_PENDING) - len(rows)
    return {"webhooks": [_webhook(row) for row in rows], "deleted": deleted, "pending": left}


def count_pending(work: Work, most: int = MAX_PENDING) -> int:
    """Return how many webhooks wait to be taken over, counted up to ``most``."""
    row = work.db.row(
        f"SELECT count(*) FROM (SELECT 1 FROM {_PENDING} LIMIT ?) AS bounded", (most,)
    )
    assert row is not None
    return int(row[0])


def _delete(work: Work, uids: list[str]) -> int:
    if not uids:
        return 0
    return work.db.execute(
        "DELETE FROM whatsapp_webhook_queue WHERE _id IN (SELECT webhooks._id"
        f" FROM {_PENDING} AND webhooks._uid IN (SELECT value FROM json_each(?)))",
        (dump(uids),),
    ).rowcount


def _page(work: Work, limit: int, max_bytes: int) -> list[Row]:
    """Return the oldest rows, as many as fit; the first one always does."""
    sizes = work.db.rows(
        "SELECT webhooks._id, length(CAST(coalesce(payload, '') AS BLOB))"
        f" + length(CAST(coalesce(headers, '') AS BLOB)) AS size FROM {_PENDING}"
        " ORDER BY webhooks._id LIMIT ?",
        (limit,),
    )
    ids: list[int] = []
    for row in sizes:
        max_bytes -= row["size"]
        if ids and max_bytes < 0:
            break
        ids.append(row["_id"])
    return work.db.rows(
        "SELECT webhooks.*, vendors._uid AS vendor_uid FROM whatsapp_webhook_queue AS webhooks"
        " JOIN vendors ON vendors._id = webhooks.vendors__id"
        " WHERE webhooks._id IN (SELECT value FROM json_each(?)) ORDER BY webhooks._id",
        (dump(ids),),
    )


def _webhook(row: Row) -> dict[str, Any]:
    headers = {name: _header(value) for name, value in load(row["headers"]).items()}
    return {
        "uid": row["_uid"],
        "vendor_uid": row["vendor_uid"],
        "received_at": to_ms(row["created_at"]),
        "headers": {name: value for name, value in headers.items() if name != ENCODING_HEADER},
        **_content(row["payload"] or "", encoded=headers.get(ENCODING_HEADER) == "base64"),
    }


def _header(value: Any) -> str:
    """Return a header as one text. Applications keep lists of values too."""
    values = value if isinstance(value, list) else [value]
    return ", ".join(str(each) for each in values)


def _content(payload: str, *, encoded: bool) -> dict[str, str]:
    """Return what Meta sent: the payload as it is, or what stands in it as a JSON string, which
    is how a body that no JSON column takes was stored."""
    text = payload
    if payload.startswith('"'):
        text = orjson.loads(payload)
        if encoded and _is_base64(text):
            return {"body_base64": text}
    return {"body": text}


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True
