"""Bots: what ``/internal/bots`` tells of them, and a few words of matching.

Matching is the sidecar's. Where a message comes without its matches, only bots of the type
``contains`` and of those that compare the whole message are tried here, without wildcards.
"""

from typing import Any

from contracts.bots import BotsRequest, TriggerType
from simulator.backend.database import Database, Row
from simulator.backend.jsontext import dump
from simulator.backend.vendors import Vendor
from simulator.backend.work import Work

#: Types whose triggers are compared with the whole message.
_WHOLE = frozenset(
    {
        TriggerType.IS,
        *(TriggerType.START_PROMOTIONAL, TriggerType.STOP_PROMOTIONAL),
        *(TriggerType.START_AI_BOT, TriggerType.STOP_AI_BOT),
    }
)

_BOTS = """
    SELECT bots.*, bots.status IS NOT 2 AND flows.status IS NOT 2 AS active
    FROM bot_replies AS bots LEFT JOIN bot_flows AS flows ON flows._id = bots.bot_flows__id
    WHERE bots.vendors__id IN (SELECT value FROM json_each(?))
    ORDER BY bots.priority_index, bots._id
"""
_VENDORS = """
    SELECT _uid FROM vendors WHERE _uid IN (SELECT value FROM json_each(?))
    OR _id IN (SELECT value FROM json_each(?)) ORDER BY _id
"""


def read_bots(db: Database, vendor: Vendor) -> list[Row]:
    """Return a vendor's rows of ``bot_replies`` in the order in which they are tried; ``active``
    says whether the bot is, and its flow."""
    return db.rows(_BOTS, (dump([vendor.id]),))


def bots(work: Work, request: BotsRequest) -> dict[str, Any]:
    """Return all bots of the vendors that there are among those that are asked for."""
    uids = [
        row["_uid"]
        for row in work.db.rows(_VENDORS, (dump(request.vendor_uids), dump(request.vendor_ids)))
    ]
    vendors = work.vendors.load(uids)
    rows: dict[int, list[Row]] = {vendor.id: [] for vendor in vendors}
    for row in work.db.rows(_BOTS, (dump(list(rows)),)):
        rows[row["vendors__id"]].append(row)
    return {"vendors": [_vendor_bots(vendor, rows[vendor.id]) for vendor in vendors]}


def _vendor_bots(vendor: Vendor, rows: list[Row]) -> dict[str, Any]:
    return {
        "vendor_uid": vendor.uid,
        "vendor_id": vendor.id,
        "bots": [
            {
                "bot_uid": row["_uid"],
                "trigger_type": row["trigger_type"] or "",
                "reply_trigger": row["reply_trigger"],
                "active": bool(row["active"]),
            }
            for row in rows
        ],
        "hours": vendor.bot_hours and vendor.bot_hours.model_dump(),
    }


def matches(bot: Row, message: str) -> bool:
    """Return whether a bot of the types that are tried here matches; others never do."""
    said = message.strip().lower()
    triggers = [one.strip().lower() for one in (bot["reply_trigger"] or "").split(",")]
    triggers = [one for one in triggers if one not in ("", "0")]
    if bot["trigger_type"] in _WHOLE:
        return said in triggers
    return bot["trigger_type"] == TriggerType.CONTAINS and any(one in said for one in triggers)
