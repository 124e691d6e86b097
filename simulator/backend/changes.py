"""Changes that are neither message nor status."""

from typing import Any

from contracts.backend import Update
from contracts.cloud_api.answering import is_own_number
from contracts.cloud_api.people import Person, person
from simulator.backend.contacts import follow, split_name, upsert
from simulator.backend.envelope import Part, identifier, objects, text
from simulator.backend.moves import moves_of_field
from simulator.backend.outcome import DONE, Outcome, ignored
from simulator.backend.preferences import apply_preferences
from simulator.backend.vendors import BUSINESS_ACCOUNT_ID, DISCONNECTED_AT, Vendor
from simulator.backend.work import Work


def apply_change(work: Work, vendor: Vendor, part: Part, update: Update | None) -> Outcome:
    if part.field == "account_update":
        return _update_account(work, vendor, part)
    if part.field == "user_preferences":
        return apply_preferences(work, vendor, part, update)
    if part.field == "smb_app_state_sync":
        return _sync_contacts(work, vendor, part.value)
    if part.field == "user_id_update":
        return _follow_people(work, vendor, part.value)
    return ignored("field_not_used")


def _follow_people(work: Work, vendor: Vendor, value: dict[str, Any]) -> Outcome:
    """People who have another user id now are the contacts that they were."""
    moves = [move for move in moves_of_field(value) if not is_own_number(move.new, value)]
    for move in moves:
        follow(work, vendor, move)
    return DONE if moves else ignored("no_user_ids")


def _update_account(work: Work, vendor: Vendor, part: Part) -> Outcome:
    """Disconnect the vendor's own account where the application was removed from it."""
    if part.value.get("event") != "PARTNER_REMOVED":
        return ignored("event_not_used")
    account = part.value.get("waba_info")
    named = identifier(account.get("waba_id")) if isinstance(account, dict) else None
    account_id = named or part.account_id
    if account_id is None or account_id != vendor.settings.get(BUSINESS_ACCOUNT_ID):
        return ignored("account_not_own")
    if not vendor.settings.get(DISCONNECTED_AT):
        work.vendors.set(vendor, DISCONNECTED_AT, work.now)
    return DONE


def _sync_contacts(work: Work, vendor: Vendor, value: dict[str, Any]) -> Outcome:
    """Upsert the contacts of the business's phone. What was removed there is kept here."""
    outcome = ignored("no_contacts")
    for change in objects(value.get("state_sync")):
        contact = change.get("contact")
        if change.get("type") != "contact" or change.get("action") == "remove":
            continue
        if not isinstance(contact, dict):
            continue
        number = person(contact.get("phone_number")).wa_id
        who = Person(number, text(contact.get("user_id")))
        if who != Person() and not is_own_number(who, value):
            names = split_name(text(contact.get("full_name")))
            first = text(contact.get("first_name"))
            upsert(work, vendor, who, names if first is None else {**names, "first_name": first})
            outcome = DONE
    return outcome
