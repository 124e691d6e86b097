"""``pending-effects``: what was asked for, and of which it is not known what became."""

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from contracts.backend import ErrorCode, PendingEffectsRequest
from contracts.effects import EffectKind
from simulator.backend.ai_answers import lateness
from simulator.backend.database import Row
from simulator.backend.jsontext import load, section
from simulator.backend.messages import PENDING, again
from simulator.backend.refusal import Refused
from simulator.backend.times import to_ms
from simulator.backend.work import Work

#: Where a page ended: the last row's ``_id``.
_PLACE = re.compile(r"\d{1,18}", re.ASCII)

_LAST_ID = 2**63 - 1

_MESSAGES = f"""
    SELECT logs._id, logs._uid, logs.created_at, logs.__data, vendors._uid AS vendor_uid
    FROM whatsapp_message_logs AS logs INDEXED BY logs_pending
    JOIN vendors ON vendors._id = logs.vendors__id
    WHERE logs.status = '{PENDING}' AND logs.wamid IS NULL AND logs._id > ?
    ORDER BY logs._id LIMIT ?
"""
#: A page of the log itself, whatever its rows are.
_LOG = """
    SELECT logs.*, vendors._uid AS vendor_uid FROM whatsapp_message_logs AS logs
    JOIN vendors ON vendors._id = logs.vendors__id
    WHERE logs._id < ? ORDER BY logs._id DESC LIMIT ?
"""


def pending_effects(work: Work, request: PendingEffectsRequest) -> dict[str, Any]:
    after = None if request.after is None else _place(request.after)
    if request.kind is EffectKind.SEND_MESSAGE:
        rows = work.db.rows(_MESSAGES, (after or 0, request.limit))
        found = _messages(rows, work.now_ms - request.older_than_s * 1000)
        more = len(rows) == request.limit
    else:
        rows = work.db.rows(_LOG, (_LAST_ID if after is None else after, request.limit))
        since = work.now_ms - request.newer_than_s * 1000
        found = _questions(work, rows, since)
        more = len(rows) == request.limit and to_ms(rows[-1]["created_at"]) >= since
    by_vendor: defaultdict[str, list[Any]] = defaultdict(list)
    for vendor_uid, effect in found:
        by_vendor[vendor_uid].append(effect)
    return {
        "now": work.now_ms,
        "results": [{"vendor_uid": uid, "effects": effects} for uid, effects in by_vendor.items()],
        "next": str(rows[-1]["_id"]) if more else None,
    }


def _place(after: str) -> int:
    if _PLACE.fullmatch(after) is None:
        raise Refused(ErrorCode.REQUEST_INVALID, "after: must be next of the page before")
    return int(after)


def _messages(rows: list[Row], before: int) -> Iterator[tuple[str, dict[str, Any]]]:
    for row in rows:
        effect = again(row)
        if effect.get("id") == row["_uid"] and effect["asked_at"] <= before:
            yield row["vendor_uid"], effect


def _questions(work: Work, rows: list[Row], since: int) -> Iterator[tuple[str, dict[str, Any]]]:
    for row in rows:
        if not row["is_incoming_message"] or to_ms(row["created_at"]) < since:
            continue
        sidecar = section(load(row["__data"]), "sidecar")
        for effect in sidecar.get("effects") or []:
            if (
                effect["kind"] == EffectKind.AI_REPLY
                and not sidecar.get("answered")
                and effect["expires_at"] > work.now_ms
                and lateness(work, row, sidecar) is None
            ):
                yield row["vendor_uid"], effect
