"""A vendor's contacts: found by phone number or user id, or created."""

import uuid
from typing import Any

from simulator.backend.database import Row
from simulator.backend.envelope import text
from simulator.backend.jsontext import dump
from simulator.backend.vendors import Vendor
from simulator.backend.work import Work


def find_or_create(
    work: Work, vendor: Vendor, wa_id: str | None, user_id: str | None, name: str | None
) -> int | None:
    """Return the contact's ``_id``; None if there is nothing to know them by.

    A contact who was known by one of the two ids learns the other.
    """
    if wa_id is None and user_id is None:
        return None
    row = _find(work, vendor, wa_id, user_id)
    if row is None:
        return _create(work, vendor, wa_id, user_id, name)
    if (user_id is not None and row["user_id"] != user_id) or (wa_id and not row["wa_id"]):
        work.db.execute(
            "UPDATE contacts SET wa_id = coalesce(nullif(wa_id, ''), ?), updated_at = ?,"
            " __data = json_set(coalesce(__data, '{}'), '$.user_id', ?) WHERE _id = ?",
            (wa_id, work.now, user_id or row["user_id"], row["_id"]),
        )
    found: int = row["_id"]
    return found


def upsert(work: Work, vendor: Vendor, wa_id: str, names: dict[str, str | None]) -> None:
    """Create the contact, or take over the names that are given."""
    row = _find(work, vendor, wa_id, None)
    if row is None:
        _insert(work, vendor, wa_id, None, names)
        return
    work.db.execute(
        "UPDATE contacts SET first_name = coalesce(?, first_name),"
        " last_name = coalesce(?, last_name), updated_at = ? WHERE _id = ?",
        (names.get("first_name"), names.get("last_name"), work.now, row["_id"]),
    )


def split_name(name: str | None) -> dict[str, str | None]:
    """Return a full name as the columns have it."""
    first, _, last = (name or "").strip().partition(" ")
    return {"first_name": text(first), "last_name": text(last.strip())}


def _find(work: Work, vendor: Vendor, wa_id: str | None, user_id: str | None) -> Row | None:
    columns = "SELECT _id, wa_id, json_extract(__data, '$.user_id') AS user_id FROM contacts"
    row = None
    if wa_id is not None:
        row = work.db.row(
            f"{columns} WHERE vendors__id = ? AND wa_id = ? ORDER BY _id LIMIT 1",
            (vendor.id, wa_id),
        )
    if row is None and user_id is not None:
        row = work.db.row(
            f"{columns} WHERE vendors__id = ? AND json_extract(__data, '$.user_id') = ?"
            " ORDER BY _id LIMIT 1",
            (vendor.id, user_id),
        )
    return row


def _create(
    work: Work, vendor: Vendor, wa_id: str | None, user_id: str | None, name: str | None
) -> int:
    return _insert(work, vendor, wa_id, user_id, split_name(name))


def _insert(
    work: Work,
    vendor: Vendor,
    wa_id: str | None,
    user_id: str | None,
    names: dict[str, str | None],
) -> int:
    columns: dict[str, Any] = {
        "_uid": str(uuid.uuid4()),
        "created_at": work.now,
        "updated_at": work.now,
        "vendors__id": vendor.id,
        "wa_id": wa_id,
        **names,
        "__data": None if user_id is None else dump({"user_id": user_id}),
    }
    return work.db.insert("contacts", columns)
