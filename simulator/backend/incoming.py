"""Customers' messages, and echoes of what was sent from the business's own phone."""

import uuid
from typing import Any

from contracts.backend import Update
from contracts.cloud_api.answering import (
    WINDOW_MS,
    is_correction,
    is_own_number,
    is_placeholder,
    sent_ms,
)
from contracts.cloud_api.people import Person, person
from contracts.cloud_api.text import readable_text
from simulator.backend import wamids
from simulator.backend.columns import fit_row
from simulator.backend.contacts import find_or_create, moved, number_of, profile_of
from simulator.backend.corrections import correct
from simulator.backend.database import Row
from simulator.backend.envelope import Part, identifier, phone_number_id
from simulator.backend.jsontext import dump, load, section, shallow
from simulator.backend.media import requested
from simulator.backend.outcome import DONE, Outcome, ignored
from simulator.backend.replies import Said, replied, reply
from simulator.backend.times import to_text
from simulator.backend.vendors import Vendor
from simulator.backend.work import Work


def apply_message(work: Work, vendor: Vendor, part: Part, update: Update | None) -> Outcome:
    """Store a customer's message once, with its contact, and have the bots answer it; or apply an
    edit or a revoke. In a raw webhook (``update`` is None) bots do not answer."""
    if part.element.get("type") == "request_welcome":
        return ignored("request_welcome")
    received = work.now_ms if update is None else update.received_at
    done = _settled(work, vendor, part, _person(part, "from"), received)
    if done is not None:
        return done
    logged = _logged(work, vendor, part)
    if logged is not None and not _replaces(part.element, logged):
        again = [] if update is None else [*replied(work, logged), *requested(work, vendor, part)]
        return Outcome("done", effects=again)
    said = _store(work, vendor, part, _person(part, "from"), received, logged)
    if said is None:
        return ignored("contact_without_id")
    effects = reply(work, vendor, said, update)
    return (
        DONE
        if update is None
        else Outcome("done", effects=[*effects, *requested(work, vendor, part)])
    )


def apply_echo(work: Work, vendor: Vendor, part: Part, update: Update | None) -> Outcome:
    """Store a message that was sent from the business's own phone, or apply an edit or a revoke."""
    received = work.now_ms if update is None else update.received_at
    done = _settled(work, vendor, part, _person(part, "to"), received)
    if done is not None:
        return done
    logged = _logged(work, vendor, part)
    if logged is None or _replaces(part.element, logged):
        said = _store(work, vendor, part, _person(part, "to"), received, logged)
        if said is None:
            return ignored("contact_without_id")
    return DONE if update is None else Outcome("done", effects=requested(work, vendor, part))


def _person(part: Part, side: str) -> Person:
    """Return whom a message is ``from`` or ``to``."""
    element, contact = part.element, part.contact
    ids = (element.get(f"{side}_user_id"), contact.get("user_id"))
    return person(element.get(side), contact.get("wa_id"), user_ids=ids)


def _settled(work: Work, vendor: Vendor, part: Part, who: Person, received: int) -> Outcome | None:
    """Return what becomes of what is not stored as a message; None of a message."""
    if phone_number_id(part.value) not in vendor.phone_number_ids:
        return ignored("phone_number_unknown")
    if identifier(part.element.get("id")) is None:
        return ignored("message_without_id")
    if is_own_number(who, part.value):
        return ignored("own_number")
    if is_correction(part.element):
        return correct(work, vendor, part.element, received)
    return None


def _store(
    work: Work, vendor: Vendor, part: Part, who: Person, received: int, placeholder: Row | None
) -> Said | None:
    """Store a message, in the row that stands for it where there is one; None if there is no
    telling whose it is."""
    element, number = part.element, phone_number_id(part.value)
    wamid = identifier(element.get("id"))
    assert number is not None
    assert wamid is not None
    profile = profile_of(element, part.contact, "from" if part.kind == "message" else "to")
    contact_id = moved(work, vendor, who, part, profile)
    if contact_id is None:
        contact_id = find_or_create(work, vendor, who, profile)
    if contact_id is None:
        return None
    sent_at = sent_ms(element, received)
    row = _row(work, vendor, part, sent_at, received) | {
        "contacts__id": contact_id,
        "wamid": wamids.stored(wamid),
        "contact_wa_id": who.wa_id or number_of(work, contact_id),
        "wab_phone_number_id": number,
    }
    if placeholder is None:
        uid = str(uuid.uuid4())
        row_id = work.db.insert(
            "whatsapp_message_logs", {"_uid": uid, "created_at": work.now, **row}
        )
    else:
        uid, row_id = placeholder["_uid"], placeholder["_id"]
        _replace(work, row_id, row)
    return Said(row_id, uid, wamid, contact_id, number, element, sent_at + WINDOW_MS)


def _row(work: Work, vendor: Vendor, part: Part, sent_at: int, received: int) -> dict[str, Any]:
    """Return what the message itself says, by column."""
    element, incoming = part.element, part.kind == "message"
    context = element.get("context")
    context = context if isinstance(context, dict) else {}
    forwarded = context.get("forwarded") is True or context.get("frequently_forwarded") is True
    kept = {
        "message": shallow(element),
        "contact": shallow(part.contact),
        "sidecar": {"received_at": received},
    }
    return {
        "updated_at": work.now,
        "vendors__id": vendor.id,
        "status": "received" if incoming else "sent",
        "is_incoming_message": int(incoming),
        "is_system_message": 1 if element.get("type") == "system" else None,
        "message": readable_text(element),
        "messaged_at": to_text(sent_at),
        "is_forwarded": int(forwarded),
        "replied_to_whatsapp_message_logs__uid": _named(work, vendor, element, context),
        "__data": dump(kept | wamids.data(identifier(element.get("id")) or "")),
    }


def _replace(work: Work, row_id: int, row: dict[str, Any]) -> None:
    """Have a message that Meta could not show at first take the row that stands for it."""
    row = fit_row("whatsapp_message_logs", row)
    assignments = ", ".join(f"{column} = ?" for column in row)
    work.db.execute(
        f"UPDATE whatsapp_message_logs SET {assignments} WHERE _id = ?", (*row.values(), row_id)
    )


def _replaces(element: dict[str, Any], row: Row) -> bool:
    """Return whether the row only stands for the message, which is there now."""
    return is_placeholder(section(load(row["__data"]), "message")) and not is_placeholder(element)


def _logged(work: Work, vendor: Vendor, part: Part) -> Row | None:
    wamid = identifier(part.element.get("id"))
    assert wamid is not None
    return work.db.row(
        "SELECT _id, _uid, __data FROM whatsapp_message_logs"
        f" WHERE vendors__id = ? AND {wamids.SAME}",
        (vendor.id, *wamids.same(wamid)),
    )


def _named(
    work: Work, vendor: Vendor, element: dict[str, Any], context: dict[str, Any]
) -> str | None:
    """Return the ``_uid`` of the message that a reply or a reaction names."""
    reaction = element.get("reaction")
    reaction = reaction if isinstance(reaction, dict) else {}
    wamid = identifier(reaction.get("message_id")) or identifier(context.get("id"))
    if wamid is None:
        return None
    row = work.db.row(
        f"SELECT _uid FROM whatsapp_message_logs WHERE vendors__id = ? AND {wamids.SAME}",
        (vendor.id, *wamids.same(wamid)),
    )
    return None if row is None else row["_uid"]
