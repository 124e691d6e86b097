"""Webhooks as Meta sends them, for benchmarks."""

import json


def webhook_body(number: int) -> bytes:
    """Return a realistic status webhook; nine in ten webhooks are statuses."""
    wamid = f"wamid.HBgMNDkxNTEyMzQ1Njc4FQIAERgS{number:016d}"
    value: dict[str, object] = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "15550100000", "phone_number_id": "106540352242922"},
    }
    if number % 10:
        value["statuses"] = [
            {
                "id": wamid,
                "status": ("sent", "delivered", "read")[number % 3],
                "timestamp": "1760000000",
                "recipient_id": f"4915550{number:07d}",
                "biz_opaque_callback_data": f"7f0c0000-0000-4000-8000-{number:012d}",
                "pricing": {"billable": True, "pricing_model": "PMP", "category": "marketing"},
            }
        ]
    else:
        value["contacts"] = [{"profile": {"name": "Customer"}, "wa_id": f"4915550{number:07d}"}]
        value["messages"] = [
            {
                "from": f"4915550{number:07d}",
                "id": wamid,
                "timestamp": "1760000000",
                "type": "text",
                "text": {"body": "Is the shop open on Sunday?"},
            }
        ]
    change = {"field": "messages", "value": value}
    entry = {"id": "102290129340398", "changes": [change]}
    return json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()
