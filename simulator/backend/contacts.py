"""A vendor's contacts: found by number or user id, or created.

A number stands in ``wa_id``, in one of its forms; a user id in ``__data.user_id``. Where two
contacts turn out to be one person, the one that has the person's number remains: groups, imports
and campaigns of the application know people by it.
"""

import uuid
from dataclasses import dataclass
from typing import Any

from contracts.backend import QueueStatus
from contracts.cloud_api.answering import is_own_number
from contracts.cloud_api.people import Person, number_forms, person, phone_digits
from simulator.backend.columns import fit_row
from simulator.backend.database import Row
from simulator.backend.envelope import Part, text
from simulator.backend.jsontext import dump, load, section
from simulator.backend.moves import Move, moved_by_message
from simulator.backend.sends import NOT_SENT
from simulator.backend.vendors import Vendor
from simulator.backend.work import Work

_COLUMNS = "SELECT _id, _uid, wa_id, __data FROM contacts"

#: Namespace of the uids of contacts: a uid follows from whom the contact was made for.
_NAMESPACE = uuid.UUID("c1f6a9de-7f31-4c53-8a0e-4f6a2d1b9e34")

#: What PHP's ``trim`` takes off a text.
_TRIMMED = " \t\n\r\0\x0b"

#: What a person has chosen, which no merging may undo.
_TWICE = "The campaign has this person twice, by two contacts that are one."
_SWITCHES = ("whatsapp_opt_out", "disable_ai_bot", "disable_reply_bot")


@dataclass(frozen=True, slots=True)
class Profile:
    """What a webhook says of a person besides who it is."""

    name: str | None = None
    username: str | None = None
    parent_user_id: str | None = None

    def data(self, user_id: str | None) -> dict[str, str]:
        """Return what is kept of it, and of who the person is, in ``__data``."""
        said = {
            "user_id": user_id,
            "parent_user_id": self.parent_user_id,
            "username": self.username,
        }
        return {name: value for name, value in said.items() if value}


_NOTHING = Profile()


def profile_of(element: dict[str, Any], contact: dict[str, Any], side: str) -> Profile:
    """Return what is said of whom a message is ``from`` or ``to``."""
    profile = contact.get("profile")
    profile = profile if isinstance(profile, dict) else {}
    parent = text(element.get(f"{side}_parent_user_id")) or text(contact.get("parent_user_id"))
    return Profile(text(profile.get("name")), text(profile.get("username")), parent)


def find_or_create(
    work: Work, vendor: Vendor, who: Person, profile: Profile = _NOTHING
) -> int | None:
    """Return the contact's ``_id``; None if there is nothing to know them by.

    A contact who was known by one of the two ids learns the other.
    """
    row = _by_number(work, vendor, who.wa_id)
    if row is not None and (who.user_id is None or user_id_of(row) == who.user_id):
        return _one(work, vendor, [row], who, profile)
    other = _by_user_id(work, vendor, who.user_id)
    if other is not None and user_id_of(other) != who.user_id:
        # A message from before the user id changed came late.
        who = Person(who.wa_id)
    return _one(work, vendor, [row, other], who, profile)


def moved(
    work: Work, vendor: Vendor, who: Person, part: Part, profile: Profile = _NOTHING
) -> int | None:
    """Return the contact who has another number or user id now, as a system message says, with
    what is new; None if the message says no such thing. Nobody gets the business's own number."""
    move = moved_by_message(who, part.element)
    if move is None or is_own_number(move.new, part.value):
        return None
    return follow(work, vendor, move, profile)


def follow(work: Work, vendor: Vendor, move: Move, profile: Profile = _NOTHING) -> int | None:
    """Have whoever is known by the old ids, or by the new ones, be one contact with the new. Moves
    may come in any order: who has gone on to another user id keeps that."""
    people = (move.new, move.old)
    found = [_by_number(work, vendor, one.wa_id) for one in people]
    users = [_by_user_id(work, vendor, one.user_id) for one in people]
    ids = [user_id_of(row) for row in users if row is not None]
    later = (one for one in ids if one not in (None, move.new.user_id, move.old.user_id))
    who = Person(move.new.wa_id, next(later, move.new.user_id))
    return _one(work, vendor, [*found, *users], who, profile, known_as=move.old)


def learn(work: Work, vendor: Vendor, row: Row, who: Person) -> None:
    """Have a contact learn ids that are certainly its own; whoever has them too is the same
    person. One that was merged into another meanwhile learns nothing."""
    if _is_merged(work, row):
        return
    found = [_by_number(work, vendor, who.wa_id), row, _by_user_id(work, vendor, who.user_id)]
    _one(work, vendor, found, who, _NOTHING)


def number_of(work: Work, contact_id: int) -> str | None:
    """Return a contact's number."""
    row = work.db.row("SELECT wa_id FROM contacts WHERE _id = ?", (contact_id,))
    return None if row is None else phone_digits(row["wa_id"] or "")


def contacts_by_id(work: Work, ids: list[int]) -> list[Row]:
    return work.db.rows(f"{_COLUMNS} WHERE _id IN (SELECT value FROM json_each(?))", (dump(ids),))


def upsert(work: Work, vendor: Vendor, who: Person, names: dict[str, str | None]) -> None:
    """Create the contact, or take over the names that are given."""
    contact_id = find_or_create(work, vendor, who)
    names = fit_row("contacts", names)
    work.db.execute(
        "UPDATE contacts SET first_name = coalesce(?, first_name),"
        " last_name = coalesce(?, last_name), updated_at = ? WHERE _id = ?",
        (names.get("first_name"), names.get("last_name"), work.now, contact_id),
    )


def split_name(name: str | None) -> dict[str, str | None]:
    """Return a full name as the columns have it."""
    first, _, last = (name or "").strip(_TRIMMED).partition(" ")
    return {"first_name": text(first), "last_name": text(last.strip(_TRIMMED))}


def address_of(row: Row) -> dict[str, str] | None:
    """Return where a message to a contact goes, as the contract's SendMessage has it; None if
    nothing is known to send it to. The row has ``wa_id`` and ``__data``."""
    digits = phone_digits(row["wa_id"] or "")
    if digits is not None:
        return {"to": digits}
    user_id = user_id_of(row)
    return None if user_id is None else {"recipient": user_id}


def user_id_of(row: Row) -> str | None:
    """Return a contact's user id; older rows may hold it as their number."""
    return text(load(row["__data"]).get("user_id")) or person(row["wa_id"]).user_id


def find(work: Work, vendor: Vendor, who: Person) -> list[Row]:
    """Return the contacts of a number, in any form, and of a user id; none is created."""
    found = _by_number(work, vendor, who.wa_id), _by_user_id(work, vendor, who.user_id)
    return list({row["_id"]: row for row in found if row is not None}.values())


def _by_number(work: Work, vendor: Vendor, wa_id: str | None) -> Row | None:
    """Return the contact of a number in any form; the given form goes before others."""
    if wa_id is None:
        return None
    forms = number_forms(wa_id)
    marks = ", ".join("?" * len(forms))
    return work.db.row(
        f"{_COLUMNS} WHERE vendors__id = ? AND wa_id IN ({marks})"
        " ORDER BY wa_id = ? DESC, _id LIMIT 1",
        (vendor.id, *forms, wa_id),
    )


def _by_user_id(work: Work, vendor: Vendor, user_id: str | None) -> Row | None:
    if user_id is None:
        return None
    rows = work.db.rows(
        f"{_COLUMNS} WHERE vendors__id = ?1 AND json_extract(__data, '$.user_id') = ?2"
        f" UNION ALL {_COLUMNS} WHERE vendors__id = ?1 AND wa_id = ?2",
        (vendor.id, user_id),
    )
    found = next((row for row in rows if user_id_of(row) == user_id), None)
    return found or _remaining(work, _uid(vendor, Person(None, user_id)))


def _remaining(work: Work, uid: str) -> Row | None:
    """Return a contact, or what it has become where it was merged into another."""
    row = work.db.row(f"{_COLUMNS} WHERE _uid = ?", (uid,))
    into = None if row is None else section(load(row["__data"]), "sidecar").get("merged_into")
    return (_remaining(work, into) if isinstance(into, str) else None) or row


def _uid(vendor: Vendor, who: Person, attempt: int = 0) -> str:
    """Return the ``_uid`` of a contact that is made for this person."""
    name = f"{vendor.uid}:{who.wa_id or f'user:{who.user_id}'}"
    return str(uuid.uuid5(_NAMESPACE, f"{name}#{attempt}" if attempt else name))


def _one(
    work: Work,
    vendor: Vendor,
    found: list[Row | None],
    who: Person,
    profile: Profile,
    *,
    known_as: Person | None = None,
) -> int | None:
    """Make one contact of those that were found, the first of which remains, and have it learn
    who it is. A new one is found later also by the user id that it was ``known_as``."""
    rows: dict[int, Row] = {}
    for row in found:
        if row is not None:
            rows.setdefault(row["_id"], row)
    if not rows:
        return _insert(work, vendor, who, profile, known_as)
    kept, *others = rows.values()
    for other in others:
        _merge(work, kept, other)
    _learn(work, kept, who, profile)
    return next(iter(rows))


def _learn(work: Work, row: Row, who: Person, profile: Profile) -> None:
    known = load(row["__data"])
    number = phone_digits(row["wa_id"] or "")
    if who.wa_id is not None and number not in number_forms(who.wa_id):
        number = who.wa_id
    elif number is not None:
        number = row["wa_id"]
    data = profile.data(who.user_id or user_id_of(row))
    news = {name: value for name, value in data.items() if known.get(name) != value}
    if news or number != row["wa_id"]:
        work.db.execute(
            "UPDATE contacts SET wa_id = ?, updated_at = ?,"
            " __data = json_patch(coalesce(__data, '{}'), ?) WHERE _id = ?",
            (number, work.now, dump(news), row["_id"]),
        )


def _is_merged(work: Work, row: Row) -> bool:
    now = work.db.row("SELECT __data FROM contacts WHERE _id = ?", (row["_id"],))
    return now is not None and "merged_into" in section(load(now["__data"]), "sidecar")


def _merge(work: Work, kept: Row, other: Row) -> None:
    """Give a contact what is known of another, who is the same person.

    The other's row stays, for other tables may name it, but with no id by which it would be found;
    it says whom it was merged into, and is opted out, so that no campaign reaches the person twice.
    """
    if _is_merged(work, other):
        return
    db, now, ids = work.db, work.now, (kept["_id"], other["_id"])
    switches = ", ".join(
        f"{name} = max(coalesce(contacts.{name}, 0), coalesce(other.{name}, 0))"
        for name in _SWITCHES
    )
    nameless = "coalesce(contacts.first_name, '') = ''"
    names = ", ".join(
        f"{name} = iif({nameless}, other.{name}, contacts.{name})"
        for name in ("first_name", "last_name")
    )
    db.execute(
        f"UPDATE contacts SET updated_at = ?, {switches}, {names}, __data = json_patch(?, ?)"
        " FROM contacts AS other WHERE contacts._id = ? AND other._id = ?",
        (now, dump(load(other["__data"])), dump(load(kept["__data"])), *ids),
    )
    gone = {"user_id": None, "sidecar": {"merged_into": kept["_uid"]}}
    db.execute(
        "UPDATE contacts SET updated_at = ?, wa_id = NULL, whatsapp_opt_out = 1,"
        " __data = json_patch(coalesce(__data, '{}'), ?) WHERE _id = ?",
        (now, dump(gone), other["_id"]),
    )
    _end_twice(work, *ids)
    for table in ("whatsapp_message_queue", "whatsapp_message_logs"):
        db.execute(f"UPDATE {table} SET contacts__id = ? WHERE contacts__id = ?", ids)


def _end_twice(work: Work, kept: int, other: int) -> None:
    """Of campaigns that the person gets, or has got, by the one contact, end the queued rows of the
    other."""
    error = {"error_message": _TWICE, "error_status": "campaign_data_invalid_error"}
    sent = (
        "EXISTS (SELECT 1 FROM whatsapp_message_queue AS theirs"
        " WHERE theirs.contacts__id = ?2 AND theirs.campaigns__id = mine.campaigns__id"
        " AND theirs.status IN (SELECT value FROM json_each(?3)))"
        " OR EXISTS (SELECT 1 FROM whatsapp_message_logs AS theirs"
        " WHERE theirs.contacts__id = ?2 AND theirs.campaigns__id = mine.campaigns__id"
        " AND theirs.is_incoming_message = 0 AND coalesce(theirs.status, '') <> 'failed')"
    )
    for mine, theirs, statuses in ((other, kept, [1, 3, 4, 6]), (kept, other, [3, 4, 6])):
        work.db.execute(
            "UPDATE whatsapp_message_queue AS mine SET status = ?4, updated_at = ?5,"
            " __data = json_patch(coalesce(__data, '{}'), ?6)"
            f" WHERE mine.contacts__id = ?1 AND mine.status = 1 AND ({sent})",
            (
                *(mine, theirs, dump(statuses), int(QueueStatus.ERROR), work.now),
                dump({"process_response": error}),
            ),
        )
    # What failed is not tried again: the person may have got the campaign by the other contact.
    work.db.execute(
        f"UPDATE whatsapp_message_queue SET __data = json_remove(__data, '$.sidecar.{NOT_SENT}')"
        " WHERE contacts__id IN (?, ?) AND status = ?",
        (kept, other, QueueStatus.ERROR),
    )


def _insert(
    work: Work, vendor: Vendor, who: Person, profile: Profile, known_as: Person | None
) -> int | None:
    if who.wa_id is None and who.user_id is None:
        return None
    data = profile.data(who.user_id)
    named = who
    if known_as is not None and who.wa_id is None is not known_as.user_id:
        named = Person(None, known_as.user_id)
    attempt = 0
    # Whoever has had the number before may have that _uid still.
    while work.db.row("SELECT 1 FROM contacts WHERE _uid = ?", (_uid(vendor, named, attempt),)):
        attempt += 1
    columns: dict[str, Any] = {
        "_uid": _uid(vendor, named, attempt),
        "created_at": work.now,
        "updated_at": work.now,
        "vendors__id": vendor.id,
        "wa_id": who.wa_id,
        **split_name(profile.name),
        "__data": dump(data) if data else None,
    }
    return work.db.insert("contacts", columns)
