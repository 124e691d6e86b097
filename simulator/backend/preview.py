"""``preview-messages``: rows as a claim would give them out, and what the crons of vendors in
shadow have made of them."""

import re
from collections import defaultdict
from typing import Any

from contracts.backend import ErrorCode, QueueStatus
from contracts.modes import Capability, Mode
from contracts.preview import PreviewMessagesRequest
from simulator.backend.campaigns import Campaign, find_campaign
from simulator.backend.claims import EXPIRES
from simulator.backend.database import Row
from simulator.backend.frozen_rows import COLUMNS, FrozenRow, frozen_rows
from simulator.backend.jsontext import dump, load, section
from simulator.backend.refusal import Refused
from simulator.backend.stored_modes import mode_of
from simulator.backend.times import to_ms, to_text
from simulator.backend.work import Work

_SELECT = f"""
    SELECT {COLUMNS}, campaigns__id, status, scheduled_at, updated_at, {EXPIRES} AS expires
"""
_QUEUED = f"{_SELECT} FROM whatsapp_message_queue WHERE"
_ENDED = f"""
    {_SELECT}, EXISTS (SELECT 1 FROM vendors WHERE vendors._id = vendors__id
        AND {mode_of(Capability.CAMPAIGNS)} = ?) AS in_shadow
    FROM whatsapp_message_queue WHERE
"""

_CAMPAIGN = """
    SELECT campaigns._id, campaigns._uid, vendors._uid AS vendor_uid
    FROM campaigns JOIN vendors ON vendors._id = campaigns.vendors__id WHERE campaigns.
"""

_LOG = """
    SELECT wamid, contact_wa_id, wab_phone_number_id, __data FROM whatsapp_message_logs
    WHERE campaigns__id = ? AND contacts__id = ? AND is_incoming_message = 0
    ORDER BY _id DESC LIMIT 1
"""

#: Where a page ended: the last row's ``_id``; of rows that have ended, their time before it.
_QUEUED_PLACE = re.compile(r"(\d{1,18})", re.ASCII)
_ENDED_PLACE = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\|(\d{1,18})", re.ASCII)


def preview_messages(work: Work, request: PreviewMessagesRequest) -> dict[str, Any]:
    if request.campaign_uid is not None:
        return _queued(work, request.campaign_uid, request)
    return _ended(work, request)


def _queued(work: Work, uid: str, request: PreviewMessagesRequest) -> dict[str, Any]:
    campaign = work.db.row(f"{_CAMPAIGN}_uid = ?", (uid,))
    if campaign is None or campaign["_uid"] != uid:
        raise Refused(ErrorCode.CAMPAIGN_UNKNOWN, f"there is no campaign {uid!r}")
    (after,) = _place(_QUEUED_PLACE, request.after) or ("0",)
    rows = work.db.rows(
        f"{_QUEUED} campaigns__id = ? AND status = 1 AND _id > ? ORDER BY _id LIMIT ?",
        (campaign["_id"], int(after), request.limit + 1),
    )
    last = rows[request.limit - 1] if len(rows) > request.limit else None
    return {
        "messages": _described(work, rows[: request.limit], [campaign]),
        "next": None if last is None else str(last["_id"]),
    }


def _ended(work: Work, request: PreviewMessagesRequest) -> dict[str, Any]:
    """Look at so many rows, whoever's they are: of those of vendors in shadow it is told."""
    first = (to_text(request.ended_since or 0), "0")
    since, after = _place(_ENDED_PLACE, request.after) or first
    found = work.db.rows(
        f"{_ENDED} status IN (2, 4, 5) AND (updated_at, _id) > (?, ?) ORDER BY updated_at, _id"
        " LIMIT ?",
        (Mode.SHADOW.value, since, int(after), request.limit + 1),
    )
    page = found[: request.limit]
    rows = [row for row in page if row["in_shadow"]]
    ids = dump([row["campaigns__id"] for row in rows])
    campaigns = work.db.rows(f"{_CAMPAIGN}_id IN (SELECT value FROM json_each(?))", (ids,))
    more = len(found) > request.limit
    return {
        "messages": _described(work, rows, campaigns),
        "next": f"{page[-1]['updated_at']}|{page[-1]['_id']}" if more else None,
        "looked_until": min(to_ms(page[-1]["updated_at"]), work.now_ms) if page else None,
    }


def _place(pattern: re.Pattern[str], after: str | None) -> tuple[str, ...] | None:
    if after is None:
        return None
    found = pattern.fullmatch(after)
    if found is None:
        raise Refused(ErrorCode.REQUEST_INVALID, "after: must be next of the page before")
    return found.groups()


def _described(work: Work, rows: list[Row], campaigns: list[Row]) -> list[dict[str, Any]]:
    """Return what is told of rows, in their order, without those of campaigns that are gone."""
    by_campaign: defaultdict[int, list[Row]] = defaultdict(list)
    for row in rows:
        by_campaign[row["campaigns__id"]].append(row)
    frozen: dict[int, tuple[Campaign, str, FrozenRow]] = {}
    for of in campaigns:
        campaign = find_campaign(work, work.vendors.get(of["vendor_uid"]), of["_uid"])
        mine = by_campaign[of["_id"]]
        for row, one in zip(mine, frozen_rows(work, campaign, mine), strict=True):
            frozen[row["_id"]] = campaign, of["vendor_uid"], one
    return [_message(work, row, *frozen[row["_id"]]) for row in rows if row["_id"] in frozen]


def _message(
    work: Work, row: Row, campaign: Campaign, vendor_uid: str, frozen: FrozenRow
) -> dict[str, Any]:
    queued = row["status"] == QueueStatus.QUEUED
    too_old = row["expires"] is not None and row["expires"] <= (
        work.now if queued else row["updated_at"]
    )
    parameters, texts = frozen.parameters, ("template_name", "template_language")
    error = section(load(row["__data"]), "process_response").get("error_status")
    return {
        "vendor_uid": vendor_uid,
        "campaign_uid": campaign.uid,
        "row": {**parameters, **{name: parameters[name] or "" for name in texts}},
        "skipped": "campaign_expired_error" if too_old else frozen.error,
        "status": row["status"],
        "due_at": to_ms(row["scheduled_at"]),
        "ended_at": None if queued else to_ms(row["updated_at"]),
        "error_status": error if isinstance(error, str) else None,
        "sent": _sent(work, row) if row["status"] == QueueStatus.AWAITING_STATUS else None,
    }


def _sent(work: Work, row: Row) -> dict[str, Any] | None:
    log = work.db.row(_LOG, (row["campaigns__id"], row["contacts__id"]))
    if log is None:
        return None
    data = load(log["__data"])
    template = section(data, "template_proforma")
    contacts = section(data, "initial_response").get("contacts")
    first = contacts[0] if isinstance(contacts, list) and contacts else None
    given = first.get("input") if isinstance(first, dict) else None
    components = data.get("template_component_values")
    name, language = template.get("name"), template.get("language")
    return {
        "wamid": log["wamid"],
        "phone_number_id": log["wab_phone_number_id"],
        "to": given if isinstance(given, str) else log["contact_wa_id"],
        "template_name": name if isinstance(name, str) else None,
        "template_language": language if isinstance(language, str) else None,
        "components": components if isinstance(components, list) else None,
    }
