"""Webhooks as Meta sends them; their content is made up."""

from typing import Any

import orjson


def _webhook(value: dict[str, Any]) -> bytes:
    metadata = {"display_phone_number": "15550100100", "phone_number_id": "110000000000001"}
    whole = {"messaging_product": "whatsapp", "metadata": metadata, **value}
    change = {"value": whole, "field": "messages"}
    entry = {"id": "220000000000001", "changes": [change]}
    return orjson.dumps({"object": "whatsapp_business_account", "entry": [entry]})


def message_webhook(number: int = 0, text: str = "Hello, is the shop open today?") -> bytes:
    """Return a webhook with one customer's message."""
    wa_id = f"999{number:09d}"
    message = {
        "from": wa_id,
        "id": f"wamid.message-{number:08d}-0123456789",
        "timestamp": "1767225600",
        "type": "text",
        "text": {"body": text},
    }
    contact = {"profile": {"name": "Ada Stone"}, "wa_id": wa_id}
    return _webhook({"contacts": [contact], "messages": [message]})


def status_webhook(number: int = 0, status: str = "delivered") -> bytes:
    """Return a webhook with one status."""
    pricing = {"billable": True, "pricing_model": "PMP", "type": "regular", "category": "marketing"}
    item = {
        "id": f"wamid.status-{number:08d}-0123456789",
        "status": status,
        "timestamp": "1767225600",
        "recipient_id": f"999{number:09d}",
        "biz_opaque_callback_data": "c0ffee00-0000-4000-8000-000000000001",
        "pricing": pricing,
    }
    return _webhook({"statuses": [item]})
