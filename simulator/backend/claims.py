"""``claim-messages`` and ``release-messages``: rows of the queue between 1 and 3."""

from collections import defaultdict
from typing import Any

from contracts.backend import ClaimMessagesRequest, QueueStatus, ReleaseMessagesRequest
from simulator.backend.campaigns import (
    Campaign,
    check_fence,
    check_on_sidecar,
    check_running,
    find_campaign,
    remember_fence,
    set_state,
)
from simulator.backend.database import Row
from simulator.backend.frozen_rows import COLUMNS as FROZEN_COLUMNS
from simulator.backend.frozen_rows import frozen_rows
from simulator.backend.jsontext import OBJECT, dump
from simulator.backend.opt_outs import MESSAGES, end_unsent
from simulator.backend.times import to_ms
from simulator.backend.work import Work

#: When a row expires, as column text; null if never. Indexed under these very words.
EXPIRY = "nullif(replace(substr(json_extract(__data, '$.expiry_at'), 1, 19), 'T', ' '), '')"

_GIVEN = "json_extract(__data, '$.expiry_at')"

#: The same, with an offset at its word. It lies up to 14 hours before.
EXPIRES = (
    f"CASE WHEN {_GIVEN} GLOB '*:*[+-][0-9][0-9]:[0-9][0-9]' THEN datetime({_GIVEN})"
    f" ELSE {EXPIRY} END"
)


def claim_messages(work: Work, request: ClaimMessagesRequest) -> dict[str, Any]:
    """Claim due rows, or with ``recover`` return what the claim holds.

    A claim can be recovered while the campaign is paused: its holder has to release the rows.
    """
    vendor = work.vendors.get(request.vendor_uid)
    campaign = find_campaign(work, vendor, request.campaign_uid)
    check_fence(campaign, request.fence)
    if not request.recover:
        check_on_sidecar(vendor)
        check_running(campaign)
    remember_fence(work, campaign, request.fence)
    expired = _expire(work, campaign)
    if request.recover:
        rows = _claimed(work, campaign, request.claim_uid)
    else:
        rows = _claim(work, campaign, request)
    rows.sort(key=lambda row: row["_id"])
    frozen, skipped = _frozen(work, campaign, rows)
    return {"rows": frozen, "expired": expired, "skipped": skipped, **_waiting(work, campaign)}


def _expire(work: Work, campaign: Campaign) -> int:
    response = {
        "error_message": "The message expired before it could be sent.",
        "error_status": "campaign_expired_error",
    }
    return work.db.execute(
        "UPDATE whatsapp_message_queue SET status = ?, updated_at = ?,"
        " __data = json_set(__data, '$.process_response', json(?))"
        f" WHERE campaigns__id = ? AND status = 1 AND {EXPIRY} <= datetime(?, '+14 hours')"
        f" AND {EXPIRES} <= ?",
        (QueueStatus.EXPIRED, work.now, dump(response), campaign.id, work.now, work.now),
    ).rowcount


def _claim(work: Work, campaign: Campaign, request: ClaimMessagesRequest) -> list[Row]:
    claim = {"uid": request.claim_uid, "fence": request.fence, "at": work.now_ms}
    return work.db.rows(
        "UPDATE whatsapp_message_queue SET status = ?, updated_at = ?,"
        f" __data = json_set({OBJECT}, '$.sidecar.claim', json(?))"
        " WHERE _id IN (SELECT _id FROM whatsapp_message_queue INDEXED BY queue_claim"
        "   WHERE campaigns__id = ? AND status = 1 AND scheduled_at <= ? ORDER BY _id LIMIT ?)"
        f" RETURNING {FROZEN_COLUMNS}",
        (
            QueueStatus.PROCESSING,
            work.now,
            dump(claim),
            campaign.id,
            work.now,
            request.limit,
        ),
    )


def _claimed(work: Work, campaign: Campaign, claim_uid: str) -> list[Row]:
    return work.db.rows(
        f"SELECT {FROZEN_COLUMNS} FROM whatsapp_message_queue"
        " WHERE campaigns__id = ? AND status = ?"
        " AND json_extract(__data, '$.sidecar.claim.uid') = ?",
        (campaign.id, QueueStatus.PROCESSING, claim_uid),
    )


def _frozen(work: Work, campaign: Campaign, rows: list[Row]) -> tuple[list[dict[str, Any]], int]:
    """Return the rows' parameters, and how many rows are not sent because of their contact. Those,
    and rows that lack what a send needs, become 2."""
    sendable: list[dict[str, Any]] = []
    ended: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for row, one in zip(rows, frozen_rows(work, campaign, rows), strict=True):
        if one.error is None:
            sendable.append(one.parameters)
        else:
            ended[one.error, one.message].append(row["_id"])
    for (error_status, message), ids in ended.items():
        end_unsent(work, ids, error_status, message)
    return sendable, sum(len(ids) for (why, _), ids in ended.items() if why in MESSAGES)


def _waiting(work: Work, campaign: Campaign) -> dict[str, Any]:
    row = work.db.row(
        "SELECT"
        " (SELECT count(*) FROM whatsapp_message_queue"
        "  WHERE campaigns__id = ?1 AND status = 1) AS queued,"
        " (SELECT count(*) FROM whatsapp_message_queue"
        "  WHERE campaigns__id = ?1 AND status = 1 AND scheduled_at <= ?2) AS due,"
        " (SELECT min(scheduled_at) FROM whatsapp_message_queue"
        "  WHERE campaigns__id = ?1 AND status = 1 AND scheduled_at > ?2) AS next_due_at",
        (campaign.id, work.now),
    )
    assert row is not None
    next_due_at = row["next_due_at"]
    return {
        "due": row["due"],
        "queued": row["queued"],
        "next_due_at": None if next_due_at is None else to_ms(next_due_at),
    }


def release_messages(work: Work, request: ReleaseMessagesRequest) -> dict[str, Any]:
    """Return rows that were not sent, and keep the campaign's state if one is given."""
    vendor = work.vendors.get(request.vendor_uid)
    campaign = find_campaign(work, vendor, request.campaign_uid)
    released = 0
    if request.row_uids:
        released = work.db.execute(
            "UPDATE whatsapp_message_queue SET status = ?, updated_at = ?,"
            " __data = json_remove(__data, '$.sidecar.claim')"
            " WHERE _uid IN (SELECT value FROM json_each(?)) AND campaigns__id = ? AND status = ?"
            " AND (?6 IS NULL OR json_extract(__data, '$.sidecar.claim.uid') = ?6)",
            (
                QueueStatus.QUEUED,
                work.now,
                dump(request.row_uids),
                campaign.id,
                QueueStatus.PROCESSING,
                request.claim_uid,
            ),
        ).rowcount
    if request.campaign_state is not None:
        state, restart = request.campaign_state, request.restart
        set_state(work, campaign, state, request.reason, restart=restart)
    return {"released": released}
