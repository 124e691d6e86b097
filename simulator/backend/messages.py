"""Messages that the sidecar is asked to send: their rows in the log, and their effects."""

import uuid
from dataclasses import dataclass
from typing import Any

from contracts.effects import EffectKind
from simulator.backend.contacts import address_of
from simulator.backend.database import Row
from simulator.backend.jsontext import dump, load, section
from simulator.backend.times import to_ms
from simulator.backend.vendors import Vendor
from simulator.backend.work import Work

#: Namespace of ids that follow from an incoming message.
_NAMESPACE = uuid.UUID("b3a1c9c4-6a0e-4d0f-8d5e-7f2f4f7a9b60")

#: The log's status of a message that is to be sent.
PENDING = "pending"


def id_of(*names: str) -> str:
    """Return the id that follows from these names."""
    return str(uuid.uuid5(_NAMESPACE, ":".join(names)))


@dataclass(frozen=True, slots=True)
class Text:
    """A text to send from ``number``, until ``expires_at``. ``source`` says in its row what wrote
    it: a bot or an AI."""

    uid: str
    text: str
    number: str
    source: str
    expires_at: int


def to_send(work: Work, vendor: Vendor, contact: Row, text: Text) -> dict[str, Any]:
    """Store a text for a contact with an address as pending, and return the effect that sends
    it."""
    address = address_of(contact)
    assert address is not None
    message = {"type": "text", "text": {"body": text.text}}
    effect = {
        "kind": EffectKind.SEND_MESSAGE.value,
        "id": text.uid,
        **address,
        "message": message,
        "phone_number_id": text.number,
        "expires_at": text.expires_at,
    }
    work.db.insert(
        "whatsapp_message_logs",
        {
            "_uid": text.uid,
            "created_at": work.now,
            "updated_at": work.now,
            "vendors__id": vendor.id,
            "contacts__id": contact["_id"],
            "status": PENDING,
            "contact_wa_id": address.get("to"),
            "wab_phone_number_id": text.number,
            "is_incoming_message": 0,
            "message": text.text,
            "__data": dump({"sidecar": {"source": text.source, "effect": effect}}),
        },
    )
    return effect


def pending(work: Work, uids: list[str]) -> dict[str, dict[str, Any]]:
    """Return the effects of those messages of which it is not known what became of them, as they
    are asked for again, by their uids."""
    rows = work.db.rows(
        "SELECT _uid, created_at, __data FROM whatsapp_message_logs"
        " WHERE _uid IN (SELECT value FROM json_each(?)) AND status = ? AND wamid IS NULL",
        (dump(uids), PENDING),
    )
    return {row["_uid"]: again(row) for row in rows}


def again(row: Row) -> dict[str, Any]:
    """Return the effect of a message as it is asked for again: with ``asked_at``."""
    effect = section(section(load(row["__data"]), "sidecar"), "effect")
    return {**effect, "asked_at": to_ms(row["created_at"])}
