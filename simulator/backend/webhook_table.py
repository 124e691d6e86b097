"""PHP's own webhook table, ``whatsapp_webhook_queue``, which its cron works off."""

import base64
import binascii
import uuid
from typing import Any

import orjson

from contracts.backend import StoredWebhook, StoreWebhooksRequest
from simulator.backend.jsontext import dump, is_deep
from simulator.backend.times import to_text
from simulator.backend.vendors import Vendor
from simulator.backend.work import Work

#: Namespace of the uids of stored webhooks: the uid follows from the webhook's id.
_NAMESPACE = uuid.UUID("0b0f6d1e-2c9c-4f55-8a55-1f6f6a0a4a5e")

#: In the stored headers of a body that is not UTF-8: the payload is its base64.
ENCODING_HEADER = "x-sidecar-payload-encoding"


def store_webhooks(work: Work, request: StoreWebhooksRequest) -> dict[str, Any]:
    """Store raw webhooks as pending, each id once."""
    work.vendors.load(list({webhook.vendor_uid for webhook in request.webhooks}))
    rows: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for webhook in request.webhooks:
        vendor = work.vendors.find(webhook.vendor_uid)
        content = _content(webhook)
        if vendor is None:
            reason = "vendor_unknown"
        elif content is None:
            reason = "body_missing"
        else:
            reason = None
            uid = str(uuid.uuid5(_NAMESPACE, webhook.id))
            rows.append(_row(vendor, uid, webhook.received_at, *content))
        results.append(
            {"id": webhook.id, "result": "ignored" if reason else "done", "reason": reason}
        )
    work.db.insert_missing("whatsapp_webhook_queue", rows)
    return {"results": results}


def store_raw(work: Work, vendor: Vendor, headers: dict[str, str], body: bytes) -> None:
    """Store a webhook that Meta posted to PHP itself."""
    try:
        content = headers, _payload(body.decode())
    except UnicodeDecodeError:
        content = _encoded(headers, base64.b64encode(body).decode())
    row = _row(vendor, str(uuid.uuid4()), work.now_ms, *content)
    work.db.insert("whatsapp_webhook_queue", row)


def _row(
    vendor: Vendor, uid: str, received_at: int, headers: dict[str, str], payload: str
) -> dict[str, Any]:
    return {
        "_uid": uid,
        "created_at": to_text(received_at),
        "vendors__id": vendor.id,
        "headers": dump(headers),
        "payload": payload,
        "status": "pending",
    }


def _content(webhook: StoredWebhook) -> tuple[dict[str, str], str] | None:
    """Return headers and payload; None if there is no readable body."""
    if webhook.body is not None:
        return webhook.headers, _payload(webhook.body)
    if webhook.body_base64 is None:
        return None
    try:
        body = base64.b64decode(webhook.body_base64, validate=True)
    except binascii.Error:
        return None
    try:
        return webhook.headers, _payload(body.decode())
    except UnicodeDecodeError:
        return _encoded(webhook.headers, webhook.body_base64)


def _encoded(headers: dict[str, str], text: str) -> tuple[dict[str, str], str]:
    return {**headers, ENCODING_HEADER: "base64"}, dump(text)


def _payload(text: str) -> str:
    """Return the text itself if it is JSON that a column takes, and as a JSON string if it is
    not."""
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return dump(text)
    return dump(text) if is_deep(text) else text
