"""Customers' messages, and echoes of what was sent from the business's own phone."""

import uuid
from typing import Any

from simulator.backend.contacts import find_or_create
from simulator.backend.envelope import Part, phone_number_id, text
from simulator.backend.jsontext import dump
from simulator.backend.outcome import DONE, Outcome, ignored
from simulator.backend.times import to_text, unix_seconds_ms
from simulator.backend.vendors import Vendor
from simulator.backend.work import Work


def apply_message(work: Work, vendor: Vendor, part: Part) -> Outcome:
    """Store a customer's message once, with its contact."""
    if part.item.get("type") == "request_welcome":
        return ignored("request_welcome")
    wa_id = text(part.item.get("from")) or text(part.contact.get("wa_id"))
    user_id = text(part.item.get("from_user_id")) or text(part.contact.get("user_id"))
    return _store(work, vendor, part, wa_id, user_id, incoming=True)


def apply_echo(work: Work, vendor: Vendor, part: Part) -> Outcome:
    """Store a message that was sent from the business's own phone."""
    wa_id = text(part.item.get("to")) or text(part.contact.get("wa_id"))
    user_id = text(part.item.get("to_user_id")) or text(part.contact.get("user_id"))
    return _store(work, vendor, part, wa_id, user_id, incoming=False)


def _store(
    work: Work,
    vendor: Vendor,
    part: Part,
    wa_id: str | None,
    user_id: str | None,
    *,
    incoming: bool,
) -> Outcome:
    item, number, wamid = part.item, phone_number_id(part.value), text(part.item.get("id"))
    if number is None or number not in vendor.phone_number_ids:
        return ignored("phone_number_unknown")
    if wamid is None:
        return ignored("message_without_id")
    if _is_logged(work, vendor, wamid):
        return DONE
    profile = part.contact.get("profile")
    name = text(profile.get("name")) if isinstance(profile, dict) else None
    contact_id = find_or_create(work, vendor, wa_id, user_id, name)
    if contact_id is None:
        return ignored("contact_without_id")
    context = item.get("context")
    context = context if isinstance(context, dict) else {}
    sent_at = unix_seconds_ms(item.get("timestamp"))
    work.db.insert(
        "whatsapp_message_logs",
        {
            "_uid": str(uuid.uuid4()),
            "created_at": work.now,
            "updated_at": work.now,
            "vendors__id": vendor.id,
            "contacts__id": contact_id,
            "status": "received" if incoming else "sent",
            "wamid": wamid,
            "contact_wa_id": wa_id,
            "wab_phone_number_id": number,
            "is_incoming_message": int(incoming),
            "message": message_text(item),
            "messaged_at": work.now if sent_at is None else to_text(sent_at),
            "is_forwarded": int(
                context.get("forwarded") is True or context.get("frequently_forwarded") is True
            ),
            "replied_to_whatsapp_message_logs__uid": _replied_to(work, vendor, context),
            "__data": dump({"message": item, "contact": part.contact}),
        },
    )
    return DONE


def _is_logged(work: Work, vendor: Vendor, wamid: str) -> bool:
    found = work.db.row(
        "SELECT 1 FROM whatsapp_message_logs WHERE vendors__id = ? AND wamid = ?",
        (vendor.id, wamid),
    )
    return found is not None


def _replied_to(work: Work, vendor: Vendor, context: dict[str, Any]) -> str | None:
    wamid = text(context.get("id"))
    if wamid is None:
        return None
    row = work.db.row(
        "SELECT _uid FROM whatsapp_message_logs WHERE vendors__id = ? AND wamid = ?",
        (vendor.id, wamid),
    )
    return None if row is None else row["_uid"]


#: Where the text of a message stands, by its type.
_TEXTS = (
    ("text", "body"),
    ("button", "text"),
    ("reaction", "emoji"),
    ("image", "caption"),
    ("video", "caption"),
    ("document", "caption"),
    ("system", "body"),
    ("order", "text"),
)


def message_text(item: dict[str, Any]) -> str | None:
    """Return what a person would read in the message, or None."""
    for kind, name in _TEXTS:
        body = item.get(kind)
        if isinstance(body, dict):
            return text(body.get(name))
    interactive = item.get("interactive")
    if isinstance(interactive, dict):
        for kind in ("button_reply", "list_reply"):
            reply = interactive.get(kind)
            if isinstance(reply, dict):
                return text(reply.get("title"))
    return None
