"""Webhooks as Meta sends them, for benchmarks."""

import json
from typing import Any

from contracts.cloud_api.webhook import sign
from simulator.installation import Installation

PHONE_NUMBER_ID = "106540352242922"
STATUSES = ("sent", "delivered", "read")


def status_webhook(
    wamid: str, status: str, recipient: str, callback_data: str, number: str = PHONE_NUMBER_ID
) -> bytes:
    return _webhook(
        number,
        statuses=[
            {
                "id": wamid,
                "status": status,
                "timestamp": "1760000000",
                "recipient_id": recipient,
                "biz_opaque_callback_data": callback_data,
                "pricing": {"billable": True, "pricing_model": "PMP", "category": "marketing"},
            }
        ],
    )


def message_webhook(
    wamid: str,
    sender: str,
    text: str = "Is the shop open on Sunday?",
    number: str = PHONE_NUMBER_ID,
) -> bytes:
    message = {
        "from": sender,
        "id": wamid,
        "timestamp": "1760000000",
        "type": "text",
        "text": {"body": text},
    }
    contact = {"profile": {"name": "Customer"}, "wa_id": sender}
    return _webhook(number, contacts=[contact], messages=[message])


def webhook_body(number: int) -> bytes:
    """Return a realistic webhook; nine in ten are statuses."""
    wamid = f"wamid.HBgMNDkxNTEyMzQ1Njc4FQIAERgS{number:016d}"
    person = f"4915550{number:07d}"
    if number % 10 == 0:
        return message_webhook(wamid, person)
    row_uid = f"7f0c0000-0000-4000-8000-{number:012d}"
    return status_webhook(wamid, STATUSES[number % 3], person, row_uid)


def sized_webhook(number: int, size: int) -> bytes:
    """Return a customer's message of some ``size`` bytes."""
    wamid, sender = f"wamid.SIZED{number:012d}", f"4915560{number:07d}"
    room = size - len(message_webhook(wamid, sender, ""))
    return message_webhook(wamid, sender, ("Is it open? " * (room // 12 + 1))[:room])


def as_request(body: bytes, path: str) -> bytes:
    """Return a whole signed POST, as bytes of HTTP/1.1."""
    signature = sign(Installation.APP_SECRET.encode(), body)
    return (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
        f"X-Hub-Signature-256: {signature}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def _webhook(number: str, **items: Any) -> bytes:
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "15550100000", "phone_number_id": number},
        **items,
    }
    change = {"field": "messages", "value": value}
    entry = {"id": "102290129340398", "changes": [change]}
    return json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()
