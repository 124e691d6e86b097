"""Results of sends and updates out of webhooks, as the sidecar hands them over."""

import itertools
import time
from datetime import UTC, datetime
from typing import Any

from contracts.backend import SendOutcome
from tests.contract.under_test import Campaign, Vendor

_ids = itertools.count(1)

#: What the API answers when a number sends too fast.
RATE_ERROR = {"code": 130429, "message": "Rate limit hit", "details": None}

#: Unix seconds of the first event in a test.
T0 = 1_750_000_000


def now_ms() -> int:
    return int(time.time() * 1000)


def to_ms(text: str) -> int:
    """Return the unix milliseconds of a datetime column."""
    return int(datetime.fromisoformat(f"{text}+00:00").timestamp()) * 1000


def to_text(seconds: int) -> str:
    """Return a datetime column's text for unix seconds."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def wamid_of(row_uid: str, send: int = 1) -> str:
    """Return the wamid that the API gave to the n-th send of a row."""
    return f"wamid.{row_uid}.{send}"


def result(campaign: Campaign, row_uid: str, outcome: str, **fields: Any) -> dict[str, Any]:
    """Return what became of a send."""
    base = {
        "uid": row_uid,
        "vendor_uid": campaign.vendor.uid,
        "campaign_uid": campaign.uid,
        "outcome": outcome,
        "at": now_ms(),
        "phone_number_id": campaign.vendor.phone_number_ids[0],
    }
    return {**base, **fields}


def accepted(campaign: Campaign, row_uid: str, **fields: Any) -> dict[str, Any]:
    """Return the result of a send that the API took."""
    wamid = fields.get("wamid", wamid_of(row_uid))
    to = campaign.recipients[campaign.row_uids.index(row_uid)]
    base = {
        "wamid": wamid,
        "message_status": "accepted",
        "wa_id": to,
        "response": {"contacts": [{"input": to, "wa_id": to}], "messages": [{"id": wamid}]},
    }
    return result(campaign, row_uid, "accepted", **{**base, **fields})


def failed(
    campaign: Campaign, row_uid: str, code: int | None = 131026, **fields: Any
) -> dict[str, Any]:
    """Return the result of a send that the API refused."""
    error = {"code": code, "message": "Message undeliverable", "details": "no such user"}
    return result(campaign, row_uid, "failed", **{"error": error, **fields})


def result_of(campaign: Campaign, uid: str, outcome: SendOutcome) -> dict[str, Any]:
    """Return a result with this outcome; a requeued row is due in a minute."""
    if outcome is SendOutcome.ACCEPTED:
        return accepted(campaign, uid)
    if outcome is SendOutcome.FAILED:
        return failed(campaign, uid)
    return result(campaign, uid, outcome, due_at=now_ms() + 60_000, error=RATE_ERROR)


def update(vendor: Vendor, kind: str, payload: dict[str, Any], **fields: Any) -> dict[str, Any]:
    base = {
        "id": f"update-{next(_ids)}",
        "vendor_uid": vendor.uid,
        "kind": kind,
        "received_at": now_ms(),
        "attempt": 1,
        "payload": payload,
    }
    return {**base, **fields}


def envelope(vendor: Vendor, field: str, value: dict[str, Any]) -> dict[str, Any]:
    """Return a webhook that holds one change."""
    return {
        "object": "whatsapp_business_account",
        "entry": [
            {"id": vendor.business_account_id, "changes": [{"field": field, "value": value}]}
        ],
    }


def messaging(vendor: Vendor, number: str | None = None, **lists: Any) -> dict[str, Any]:
    """Return the value of a change of the field ``messages``."""
    return {
        "messaging_product": "whatsapp",
        "metadata": {
            "display_phone_number": "99900000000",
            "phone_number_id": number or vendor.phone_number_ids[0],
        },
        **lists,
    }


def status_object(
    wamid: str, status: str, *, at: int = T0, row_uid: str | None = None, code: int | None = None
) -> dict[str, Any]:
    """Return an element of ``statuses``. ``at`` is in unix seconds."""
    element: dict[str, Any] = {"id": wamid, "status": status, "timestamp": str(at)}
    if row_uid is not None:
        element["biz_opaque_callback_data"] = row_uid
    if code is not None:
        element["errors"] = [
            {
                "code": code,
                "title": "An error",
                "message": "An error",
                "error_data": {"details": "Its details."},
            }
        ]
    return element


def status(
    vendor: Vendor,
    element: dict[str, Any],
    lower: tuple[dict[str, Any], ...] = (),
    **fields: Any,
) -> dict[str, Any]:
    """Return the update for a status, with those that were coalesced into it."""
    payload = envelope(vendor, "messages", messaging(vendor, statuses=[element]))
    return update(vendor, "status", payload, lower_statuses=list(lower), **fields)


def message_object(wamid: str, sender: str | None, **fields: Any) -> dict[str, Any]:
    """Return an element of ``messages``."""
    element: dict[str, Any] = {
        "id": wamid,
        "timestamp": str(T0),
        "type": "text",
        "text": {"body": "Hello"},
    }
    if sender is not None:
        element["from"] = sender
    return {**element, **fields}


def message(
    vendor: Vendor,
    element: dict[str, Any],
    *,
    number: str | None = None,
    contacts: list[dict[str, Any]] | None = None,
    **fields: Any,
) -> dict[str, Any]:
    """Return the update for a customer's message."""
    if contacts is None and "from" in element:
        contacts = [{"wa_id": element["from"], "profile": {"name": "Ada Stone"}}]
    value = messaging(vendor, number, contacts=contacts or [], messages=[element])
    return update(vendor, "message", envelope(vendor, "messages", value), **fields)


def echo(vendor: Vendor, element: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return the update for a message sent from the business's own phone."""
    value = messaging(vendor, message_echoes=[element])
    return update(vendor, "echo", envelope(vendor, "smb_message_echoes", value), **fields)


def change(vendor: Vendor, field: str, value: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return the update for a change that is neither message nor status."""
    return update(vendor, "change", envelope(vendor, field, value), **fields)
