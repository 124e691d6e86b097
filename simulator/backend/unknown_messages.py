"""``unknown-messages`` and ``resolve-messages``: rows of unknown outcome, and what a person decides
about them."""

import re
from typing import Any

from contracts.backend import (
    ErrorCode,
    QueueStatus,
    ResolveAction,
    ResolveMessagesRequest,
    UnknownMessagesRequest,
)
from simulator.backend.database import Row
from simulator.backend.jsontext import OBJECT, dump, load, section
from simulator.backend.recipients import recipient_of
from simulator.backend.refusal import Refused
from simulator.backend.sends import MAYBE_SENT
from simulator.backend.times import to_ms, to_text
from simulator.backend.work import Work

#: Where a page ended: the last row's time and its ``_id``.
_PLACE = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\|(\d{1,18})", re.ASCII)


def unknown_messages(work: Work, request: UnknownMessagesRequest) -> dict[str, Any]:
    conditions = ["queue.status = 6", "queue.updated_at <= ?"]
    parameters: list[Any] = [to_text(work.now_ms - request.older_than_s * 1000)]
    if request.vendor_uid is not None:
        conditions.append("vendors._uid = ?")
        parameters.append(request.vendor_uid)
    if request.campaign_uid is not None:
        conditions.append("campaigns._uid = ?")
        parameters.append(request.campaign_uid)
    if request.after is not None:
        conditions.append("(queue.updated_at, queue._id) > (?, ?)")
        parameters += _place(request.after)
    rows = work.db.rows(
        "SELECT queue._id, queue._uid, queue.updated_at, queue.phone_with_country_code,"
        " queue.__data, json_extract(contacts.__data, '$.user_id') AS user_id,"
        " vendors._uid AS vendor_uid, campaigns._uid AS campaign_uid"
        " FROM whatsapp_message_queue AS queue INDEXED BY queue_unknown"
        " CROSS JOIN vendors ON vendors._id = queue.vendors__id"
        " LEFT JOIN contacts ON contacts._id = queue.contacts__id"
        " LEFT JOIN campaigns ON campaigns._id = queue.campaigns__id"
        f" WHERE {' AND '.join(conditions)} ORDER BY queue.updated_at, queue._id LIMIT ?",
        (*parameters, request.limit + 1),
    )
    page = rows[: request.limit]
    last = page[-1] if len(rows) > len(page) else None
    return {
        "messages": [_message(row) for row in page],
        "next": None if last is None else f"{last['updated_at']}|{last['_id']}",
    }


def _place(after: str) -> tuple[str, int]:
    """Return the time and the ``_id`` of the row that a page ended with."""
    found = _PLACE.fullmatch(after)
    if found is None:
        raise Refused(ErrorCode.REQUEST_INVALID, "after: must be next of the page before")
    return found[1], int(found[2])


def _message(row: Row) -> dict[str, Any]:
    data = load(row["__data"])
    number = section(data, "campaign_data").get("fromPhoneNumberId")
    reason = section(data, "process_response").get("error_message")
    return {
        "uid": row["_uid"],
        "vendor_uid": row["vendor_uid"],
        "campaign_uid": row["campaign_uid"],
        **recipient_of(row["phone_with_country_code"], row["user_id"], data),
        "since": to_ms(row["updated_at"]),
        "reason": reason if isinstance(reason, str) else None,
        "phone_number_id": str(number) if number else None,
    }


def resolve_messages(work: Work, request: ResolveMessagesRequest) -> dict[str, Any]:
    uids = list(dict.fromkeys(request.row_uids))
    found = {
        row["_uid"]: row["status"]
        for row in work.db.rows(
            "SELECT _uid, status FROM whatsapp_message_queue"
            " WHERE _uid IN (SELECT value FROM json_each(?))",
            (dump(uids),),
        )
    }
    unknown = [uid for uid in uids if found.get(uid) == QueueStatus.UNKNOWN]
    if request.action is ResolveAction.RESEND:
        _resend(work, unknown)
    else:
        _give_up(work, unknown, request.reason)
    return {"results": [_result(uid, found.get(uid)) for uid in uids]}


def _result(uid: str, status: int | None) -> dict[str, Any]:
    if status == QueueStatus.UNKNOWN:
        return {"id": uid, "result": "done"}
    reason = "row_unknown" if status is None else "row_not_in_unknown"
    return {"id": uid, "result": "ignored", "reason": reason}


def _resend(work: Work, uids: list[str]) -> None:
    work.db.execute(
        "UPDATE whatsapp_message_queue SET status = ?, updated_at = ?,"
        f" __data = json_set(json_remove({OBJECT}, '$.process_response'),"
        f" '$.sidecar.{MAYBE_SENT}', json('true'))"
        " WHERE _uid IN (SELECT value FROM json_each(?))",
        (QueueStatus.QUEUED, work.now, dump(uids)),
    )


def _give_up(work: Work, uids: list[str], reason: str | None) -> None:
    message = "What became of the message was never known, and a person has given it up"
    response = {
        "error_message": f"{message}: {reason}" if reason else f"{message}.",
        "error_status": "unknown_given_up_error",
    }
    work.db.execute(
        "UPDATE whatsapp_message_queue SET status = ?, updated_at = ?,"
        f" __data = json_set({OBJECT}, '$.process_response', json(?))"
        " WHERE _uid IN (SELECT value FROM json_each(?))",
        (QueueStatus.ERROR, work.now, dump(response), dump(uids)),
    )
