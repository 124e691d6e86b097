"""Customers' messages, and echoes of what was sent from the business's own phone."""

import uuid
from typing import Any

from contracts.backend import Update
from simulator.backend.contacts import find_or_create
from simulator.backend.database import Row
from simulator.backend.envelope import Part, phone_number_id, text
from simulator.backend.jsontext import dump
from simulator.backend.outcome import DONE, Outcome, ignored
from simulator.backend.replies import Said, replied, reply
from simulator.backend.times import to_text, unix_seconds_ms
from simulator.backend.vendors import Vendor
from simulator.backend.work import Work


def apply_message(work: Work, vendor: Vendor, part: Part, update: Update | None) -> Outcome:
    """Store a customer's message once, with its contact, and have the bots answer it. In a raw
    webhook (``update`` is None) they do not."""
    if part.element.get("type") == "request_welcome":
        return ignored("request_welcome")
    refused = _refused(vendor, part)
    if refused is not None:
        return refused
    logged = _logged(work, vendor, part)
    if logged is not None:
        return DONE if update is None else Outcome("done", effects=replied(work, logged))
    said = _store(work, vendor, part, "from", incoming=True)
    if said is None:
        return ignored("contact_without_id")
    return (
        DONE if update is None else Outcome("done", effects=reply(work, vendor, said, update.bots))
    )


def apply_echo(work: Work, vendor: Vendor, part: Part) -> Outcome:
    """Store a message that was sent from the business's own phone."""
    refused = _refused(vendor, part)
    if refused is not None:
        return refused
    if _logged(work, vendor, part) is None and not _store(work, vendor, part, "to", incoming=False):
        return ignored("contact_without_id")
    return DONE


def _refused(vendor: Vendor, part: Part) -> Outcome | None:
    if phone_number_id(part.value) not in vendor.phone_number_ids:
        return ignored("phone_number_unknown")
    if text(part.element.get("id")) is None:
        return ignored("message_without_id")
    return None


def _store(work: Work, vendor: Vendor, part: Part, side: str, *, incoming: bool) -> Said | None:
    """Store a message whose contact it is ``from`` or ``to``; None if there is no telling whom."""
    element, number, wamid = part.element, phone_number_id(part.value), text(part.element.get("id"))
    assert number is not None
    assert wamid is not None
    wa_id = text(element.get(side)) or text(part.contact.get("wa_id"))
    user_id = text(element.get(f"{side}_user_id")) or text(part.contact.get("user_id"))
    profile = part.contact.get("profile")
    name = text(profile.get("name")) if isinstance(profile, dict) else None
    contact_id = find_or_create(work, vendor, wa_id, user_id, name)
    if contact_id is None:
        return None
    context = element.get("context")
    context = context if isinstance(context, dict) else {}
    sent_at = unix_seconds_ms(element.get("timestamp"))
    uid, said = str(uuid.uuid4()), message_text(element)
    row_id = work.db.insert(
        "whatsapp_message_logs",
        {
            "_uid": uid,
            "created_at": work.now,
            "updated_at": work.now,
            "vendors__id": vendor.id,
            "contacts__id": contact_id,
            "status": "received" if incoming else "sent",
            "wamid": wamid,
            "contact_wa_id": wa_id,
            "wab_phone_number_id": number,
            "is_incoming_message": int(incoming),
            "message": said,
            "messaged_at": work.now if sent_at is None else to_text(sent_at),
            "is_forwarded": int(
                context.get("forwarded") is True or context.get("frequently_forwarded") is True
            ),
            "replied_to_whatsapp_message_logs__uid": _replied_to(work, vendor, context),
            "__data": dump({"message": element, "contact": part.contact}),
        },
    )
    return Said(row_id, uid, wamid, contact_id, number, said, _is_quick_reply(element))


def _logged(work: Work, vendor: Vendor, part: Part) -> Row | None:
    return work.db.row(
        "SELECT _id, __data FROM whatsapp_message_logs WHERE vendors__id = ? AND wamid = ?",
        (vendor.id, text(part.element.get("id"))),
    )


def _is_quick_reply(element: dict[str, Any]) -> bool:
    """Return whether the message answers a button, of a template or of an interactive message."""
    interactive = element.get("interactive")
    pressed = isinstance(interactive, dict) and interactive.get("button_reply") is not None
    return pressed or element.get("button") is not None


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


def message_text(element: dict[str, Any]) -> str | None:
    """Return what a person would read in the message, or None."""
    for kind, name in _TEXTS:
        body = element.get(kind)
        if isinstance(body, dict):
            return text(body.get(name))
    interactive = element.get("interactive")
    if isinstance(interactive, dict):
        for kind in ("button_reply", "list_reply"):
            reply = interactive.get(kind)
            if isinstance(reply, dict):
                return text(reply.get("title"))
    return None
