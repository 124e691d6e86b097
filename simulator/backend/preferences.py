"""People who stop marketing messages in WhatsApp, or resume them."""

from typing import Any

from contracts.backend import Update
from contracts.cloud_api.people import person
from simulator.backend.contacts import find
from simulator.backend.database import Row
from simulator.backend.envelope import Part, objects
from simulator.backend.jsontext import dump, load, section
from simulator.backend.outcome import DONE, Outcome, ignored
from simulator.backend.times import unix_seconds_ms
from simulator.backend.vendors import Vendor
from simulator.backend.work import Work

_OPT_OUT = {"stop": 1, "resume": 0}

#: Where a contact's __data remembers what was said last, and when.
_PREFERENCE = "marketing_preference"


def apply_preferences(work: Work, vendor: Vendor, part: Part, update: Update | None) -> Outcome:
    """Opt people out who stop marketing messages, and in again who resume them. What was said last
    counts, in whatever order it comes."""
    outcome = ignored("preference_not_used")
    for said in objects(part.value.get("user_preferences")):
        value = said.get("value")
        if said.get("category") != "marketing_messages" or value not in ("stop", "resume"):
            continue
        at = unix_seconds_ms(said.get("timestamp"))
        if at is None:
            at = work.now_ms if update is None else update.received_at
        contacts = find(work, vendor, person(said.get("wa_id"), user_ids=(said.get("user_id"),)))
        for contact in contacts:
            _prefer(work, contact, value, at)
        if outcome.result != "done":
            outcome = DONE if contacts else ignored("contact_unknown")
    return outcome


def _prefer(work: Work, contact: Row, value: str, at: int) -> None:
    known: dict[str, Any] = section(section(load(contact["__data"]), "sidecar"), _PREFERENCE)
    last = known.get("at")
    # Of two at the same moment, the one that sends less.
    if isinstance(last, int) and (at < last or (at == last and value != "stop")):
        return
    work.db.execute(
        "UPDATE contacts SET whatsapp_opt_out = ?, updated_at = ?, __data ="
        " json_patch(coalesce(__data, '{}'), ?) WHERE _id = ?",
        (
            _OPT_OUT[value],
            work.now,
            dump({"sidecar": {_PREFERENCE: {"value": value, "at": at}}}),
            contact["_id"],
        ),
    )
