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
from simulator.backend.jsontext import OBJECT, dump, load, section
from simulator.backend.opt_outs import MESSAGES, end_unsent, why_not
from simulator.backend.recipients import recipient_of
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

_RETURNED = """
    _id, _uid, phone_with_country_code, retries, contacts__id, __data,
    (SELECT whatsapp_opt_out FROM contacts WHERE contacts._id = contacts__id) AS whatsapp_opt_out,
    (SELECT wa_blocked_at FROM contacts WHERE contacts._id = contacts__id) AS wa_blocked_at,
    (SELECT _uid FROM contacts WHERE contacts._id = contacts__id) AS contact_uid,
    (SELECT json_extract(contacts.__data, '$.user_id') FROM contacts
     WHERE contacts._id = contacts__id) AS user_id
"""

#: Why a row is never sent.
_NOBODY = "The row has no phone number, and its contact no user id."
_NO_TEMPLATE = "The row has no template, or no language."
_INVALID = "campaign_data_invalid_error"


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
        f" RETURNING {_RETURNED}",
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
        f"SELECT {_RETURNED} FROM whatsapp_message_queue"
        " WHERE campaigns__id = ? AND status = ?"
        " AND json_extract(__data, '$.sidecar.claim.uid') = ?",
        (campaign.id, QueueStatus.PROCESSING, claim_uid),
    )


def _frozen(work: Work, campaign: Campaign, rows: list[Row]) -> tuple[list[dict[str, Any]], int]:
    """Return the rows' parameters, and how many rows are not sent because of their contact. Those,
    and rows that lack what a send needs, become 2."""
    parameters = [_parameters(row, campaign) for row in rows]
    categories = _categories(work, campaign, parameters)
    frozen: list[dict[str, Any]] = []
    ended: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for row, one in zip(rows, parameters, strict=True):
        category = categories.get((one["template_name"], one["template_language"]))
        if (why := why_not(work.config.campaign_opt_outs, row, category)) is not None:
            ended[why, MESSAGES[why]].append(row["_id"])
        elif (fault := _fault(one)) is not None:
            ended[_INVALID, fault].append(row["_id"])
        else:
            frozen.append({**one, "template_category": category})
    for (error_status, message), ids in ended.items():
        end_unsent(work, ids, error_status, message)
    return frozen, sum(len(ids) for (why, _), ids in ended.items() if why in MESSAGES)


def _fault(parameters: dict[str, Any]) -> str | None:
    if not (parameters["to"] or parameters["recipient"]):
        return _NOBODY
    if not (parameters["template_name"] and parameters["template_language"]):
        return _NO_TEMPLATE
    return None


def _categories(
    work: Work, campaign: Campaign, parameters: list[dict[str, Any]]
) -> dict[tuple[str, str], str]:
    """Return Meta's words by name and language, of templates that are known."""
    names = {one["template_name"] for one in parameters if one["template_name"]}
    rows = work.db.rows(
        "SELECT template_name, language, upper(trim(category)) AS category FROM whatsapp_templates"
        " WHERE vendors__id = (SELECT vendors__id FROM campaigns WHERE _id = ?)"
        " AND template_name IN (SELECT value FROM json_each(?)) ORDER BY _id",
        (campaign.id, dump(list(names))),
    )
    return {
        (row["template_name"], row["language"]): row["category"] for row in rows if row["category"]
    }


def _parameters(row: Row, campaign: Campaign) -> dict[str, Any]:
    kept = load(row["__data"])
    data = section(kept, "campaign_data")
    components = data.get("messageComponents")
    number = data.get("fromPhoneNumberId")
    return {
        "uid": row["_uid"],
        "contact_uid": row["contact_uid"],
        **recipient_of(row["phone_with_country_code"], row["user_id"], kept),
        "retries": row["retries"] or 0,
        "from_phone_number_id": str(number) if number else None,
        "template_name": _text(data.get("whatsAppTemplateName")) or campaign.template_name,
        "template_language": _text(data.get("whatsAppTemplateLanguage"))
        or campaign.template_language,
        "components": components if isinstance(components, list) else [],
    }


def _text(value: object) -> str | None:
    """Return a text. A template's name of digits alone may stand there as a number."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if is_number or isinstance(value, str) else None


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
