"""``retry-messages``: failed rows that certainly were not sent go back into the queue."""

import re
from collections import Counter
from typing import Any

from contracts.backend import ErrorCode, LeftOut, QueueStatus, RetryMessagesRequest
from simulator.backend.campaigns import (
    Campaign,
    check_not_cancelled,
    check_on_sidecar,
    find_campaign,
)
from simulator.backend.claims import EXPIRES
from simulator.backend.database import Row
from simulator.backend.jsontext import dump, load, section
from simulator.backend.opt_outs import MESSAGES
from simulator.backend.refusal import Refused
from simulator.backend.sends import MAYBE_SENT, NOT_SENT, RESULTS, RETRIES, own_retries
from simulator.backend.work import Work

_GIVEN_UP = "unknown_given_up_error"

MAX_MESSAGE = 500

#: ``_id`` of the row that a page ended with.
_PLACE = re.compile("[0-9]{1,18}")


def retry_messages(work: Work, request: RetryMessagesRequest) -> dict[str, Any]:
    vendor = work.vendors.get(request.vendor_uid)
    campaign = find_campaign(work, vendor, request.campaign_uid)
    check_on_sidecar(vendor)
    check_not_cancelled(campaign)
    rows = _failed(work, campaign, _place(request.after), request.limit + 1)
    page = rows[: request.limit]
    retriable: list[int] = []
    groups: Counter[tuple[LeftOut | None, str | None]] = Counter()
    messages: dict[tuple[LeftOut | None, str | None], str | None] = {}
    for row in page:
        data = load(row["__data"])
        response = section(data, "process_response")
        error = text_of(response.get("error_status"))
        if request.codes is not None and error not in request.codes:
            continue
        reason = _why_not(row, section(data, "sidecar"), error, request.codes)
        if reason is None:
            retriable.append(row["_id"])
        groups[reason, error] += 1
        messages.setdefault((reason, error), text_of(response.get("error_message")))
    if not request.dry_run:
        _retry(work, retriable)
    counted = [
        {
            **({} if reason is None else {"reason": reason.value}),
            "error_status": error,
            "message": (messages[reason, error] or "")[:MAX_MESSAGE] or None,
            "count": count,
        }
        for (reason, error), count in groups.items()
    ]
    return {
        "retried": len(retriable),
        "rows": [one for one in counted if "reason" not in one],
        "left": [one for one in counted if "reason" in one],
        "next": str(page[-1]["_id"]) if len(rows) > len(page) else None,
    }


def _place(after: str | None) -> int:
    if after is not None and not _PLACE.fullmatch(after):
        raise Refused(ErrorCode.REQUEST_INVALID, "after: must be next of the page before")
    return int(after or 0)


def _failed(work: Work, campaign: Campaign, after: int, limit: int) -> list[Row]:
    return work.db.rows(
        f"SELECT _id, updated_at, retries, __data, {EXPIRES} <= ? AS expired"
        " FROM whatsapp_message_queue INDEXED BY queue_failed"
        " WHERE campaigns__id = ? AND status = 2 AND _id > ? ORDER BY _id LIMIT ?",
        (work.now, campaign.id, after, limit),
    )


def _why_not(
    row: Row, sidecar: dict[str, Any], error: str | None, codes: list[str] | None
) -> LeftOut | None:
    if error == _GIVEN_UP:
        return LeftOut.GIVEN_UP
    if not _certainly_not_sent(row, sidecar):
        return LeftOut.MAYBE_SENT
    if row["expired"]:
        return LeftOut.EXPIRED
    return LeftOut.CONTACT if codes is None and error in MESSAGES else None


def _certainly_not_sent(row: Row, sidecar: dict[str, Any]) -> bool:
    """A row that somebody else has had (a cron, say), since it failed or before, may have been sent
    by that."""
    results = sidecar.get(RESULTS)
    for result in results if isinstance(results, list) else []:
        if isinstance(result, str) and result.startswith("unknown:"):
            return False
    not_sent_at = sidecar.get(NOT_SENT)
    same = not_sent_at is not None and not_sent_at == row["updated_at"]
    same = same and (row["retries"] or 0) == own_retries(sidecar)
    return same and not sidecar.get(MAYBE_SENT)


def _retry(work: Work, ids: list[int]) -> None:
    work.db.execute(
        "UPDATE whatsapp_message_queue SET status = ?, retries = 0, updated_at = ?,"
        " __data = json_remove(__data, '$.process_response',"
        f" '$.sidecar.{NOT_SENT}', '$.sidecar.{RETRIES}')"
        " WHERE _id IN (SELECT value FROM json_each(?))",
        (QueueStatus.QUEUED, work.now, dump(ids)),
    )


def text_of(value: object) -> str | None:
    """Return a text. The application's own code may have written the error as a number."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if is_number or isinstance(value, str) else None
