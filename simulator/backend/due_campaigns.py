"""``due-campaigns``: which campaigns have rows to send, and how far they are."""

from collections import Counter, defaultdict
from typing import Any

from contracts.backend import CampaignState, DueCampaignsRequest, QueueStatus
from contracts.modes import Capability
from simulator.backend.campaign_errors import campaign_errors
from simulator.backend.campaigns import read_reason, read_state
from simulator.backend.database import Row
from simulator.backend.jsontext import OBJECT, dump, load, section
from simulator.backend.pending_webhooks import count_pending
from simulator.backend.stored_modes import on_sidecar
from simulator.backend.times import to_ms, to_text
from simulator.backend.work import Work

_QUEUE_COUNTS = {
    QueueStatus.QUEUED: "queued",
    QueueStatus.ERROR: "error",
    QueueStatus.PROCESSING: "processing",
    QueueStatus.AWAITING_STATUS: "awaiting_status",
    QueueStatus.EXPIRED: "expired",
    QueueStatus.UNKNOWN: "unknown",
}

#: What is not listed counts as accepted: held ones, and states that are new to us.
_LOG_COUNTS = {
    "sent": "sent",
    "delivered": "delivered",
    "read": "read",
    "played": "read",
    "failed": "failed",
}

_OURS = on_sidecar(Capability.CAMPAIGNS)

_COLUMNS = f"""
    campaigns._id, campaigns._uid, campaigns.title, campaigns.__data, vendors._uid AS vendor_uid,
    {_OURS} AS on_sidecar
    FROM campaigns JOIN vendors ON vendors._id = campaigns.vendors__id
"""


def due_campaigns(work: Work, request: DueCampaignsRequest) -> dict[str, Any]:
    made_unknown = _settle_stale(work, request.stale_after_s)
    pending = 0
    if request.campaign_uids is None and request.open:
        rows = _with_open_rows(work, request.limit)
    elif request.campaign_uids is None:
        rows = _with_due_rows(work, request.limit)
        pending = count_pending(work)
    else:
        rows = work.db.rows(
            f"SELECT {_COLUMNS} WHERE campaigns._uid IN (SELECT value FROM json_each(?))"
            " ORDER BY campaigns._id LIMIT ?",
            (dump(request.campaign_uids), request.limit),
        )
    named = request.errors and request.campaign_uids is not None
    return {
        "campaigns": _described(work, rows, errors=named),
        "made_unknown": made_unknown,
        "pending_webhooks": pending,
        "lists_pending_effects": True,
    }


def _settle_stale(work: Work, stale_after_s: int) -> int:
    """A row that stands in 3 for too long may have been sent, so it is not sent again."""
    response = {
        "error_message": "What became of the message is not known; its status will tell.",
        "error_status": "awaited_response_error",
    }
    return work.db.execute(
        "UPDATE whatsapp_message_queue SET status = ?, updated_at = ?,"
        f" __data = json_set({OBJECT}, '$.process_response', json(?))"
        f" WHERE status = 3 AND updated_at < ? AND vendors__id IN"
        f" (SELECT _id FROM vendors WHERE {_OURS})",
        (
            QueueStatus.UNKNOWN,
            work.now,
            dump(response),
            to_text(work.now_ms - stale_after_s * 1000),
        ),
    ).rowcount


def _with_due_rows(work: Work, limit: int) -> list[Row]:
    """Return running campaigns, the one whose rows have been due for longest first."""
    return work.db.rows(
        "SELECT * FROM (SELECT (SELECT min(scheduled_at) FROM whatsapp_message_queue AS queue"
        "   WHERE queue.campaigns__id = campaigns._id AND queue.status = 1) AS due_at,"
        f" {_COLUMNS}"
        " WHERE coalesce(json_extract(campaigns.__data, '$.sidecar.state'), 'running')"
        f"   NOT IN (?, ?) AND {_OURS})"
        " WHERE due_at <= ? ORDER BY due_at, _id LIMIT ?",
        (CampaignState.PAUSED.value, CampaignState.CANCELLED.value, work.now, limit),
    )


def _with_open_rows(work: Work, limit: int) -> list[Row]:
    """Return campaigns that are not over, the newest first: of vendors on the sidecar, and those
    of others that are paused."""
    open_ = (QueueStatus.QUEUED, QueueStatus.PROCESSING, QueueStatus.UNKNOWN)
    return work.db.rows(
        f"SELECT {_COLUMNS} WHERE campaigns._id IN"
        " (SELECT campaigns__id FROM whatsapp_message_queue WHERE status IN (?, ?, ?))"
        f" AND ({_OURS} OR json_extract(campaigns.__data, '$.sidecar.state') = ?)"
        " ORDER BY campaigns._id DESC LIMIT ?",
        (*open_, CampaignState.PAUSED.value, limit),
    )


def _described(work: Work, rows: list[Row], *, errors: bool) -> list[dict[str, Any]]:
    ids = dump([row["_id"] for row in rows])
    counts = _counts(work, ids)
    failed = campaign_errors(work, ids) if errors else None
    waiting = {
        row["campaigns__id"]: row
        for row in work.db.rows(
            "SELECT campaigns__id, sum(scheduled_at <= ?1) AS due,"
            " min(CASE WHEN scheduled_at > ?1 THEN scheduled_at END) AS next_due_at"
            " FROM whatsapp_message_queue"
            " WHERE campaigns__id IN (SELECT value FROM json_each(?2)) AND status = 1"
            " GROUP BY campaigns__id",
            (work.now, ids),
        )
    }
    return [
        _campaign(row, waiting.get(row["_id"]), counts[row["_id"]])
        | ({} if failed is None else {"errors": failed[row["_id"]]})
        for row in rows
    ]


def _counts(work: Work, ids: str) -> defaultdict[int, Counter[str]]:
    counts: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for row in work.db.rows(
        "SELECT campaigns__id, status, count(*) AS rows FROM whatsapp_message_queue"
        " WHERE campaigns__id IN (SELECT value FROM json_each(?)) GROUP BY 1, 2",
        (ids,),
    ):
        name = _QUEUE_COUNTS.get(row["status"])
        if name is not None:
            counts[row["campaigns__id"]][name] += row["rows"]
    for row in work.db.rows(
        "SELECT campaigns__id, status, count(*) AS rows FROM whatsapp_message_logs"
        " WHERE campaigns__id IN (SELECT value FROM json_each(?)) AND is_incoming_message = 0"
        " GROUP BY 1, 2",
        (ids,),
    ):
        counts[row["campaigns__id"]][_LOG_COUNTS.get(row["status"], "accepted")] += row["rows"]
    return counts


def _campaign(row: Row, waiting: Row | None, counts: Counter[str]) -> dict[str, Any]:
    sidecar = section(load(row["__data"]), "sidecar")
    next_due_at = waiting["next_due_at"] if waiting else None
    return {
        "campaign_uid": row["_uid"],
        "vendor_uid": row["vendor_uid"],
        "title": row["title"],
        "on_sidecar": bool(row["on_sidecar"]),
        "state": read_state(sidecar).value,
        "reason": read_reason(sidecar),
        "due": (waiting["due"] or 0) if waiting else 0,
        "next_due_at": None if next_due_at is None else to_ms(next_due_at),
        "counts": counts,
    }
