"""Made-up contacts. Their numbers begin with 999, a country code that is not assigned."""

import sqlite3
import uuid
from dataclasses import dataclass
from typing import Any

from simulator.backend.jsontext import dump
from simulator.backend.seed_rows import insert_rows, next_id

_FIRST_NAMES = ("Ada", "Ben", "Carla", "Dev", "Elif", "Femi", "Gita", "Hugo", "Ines", "Jun")
_LAST_NAMES = ("Stone", "Rivers", "Field", "Marsh", "Hill", "Woods", "Lake", "Glen", "Moor")


@dataclass(frozen=True, slots=True)
class Contact:
    id: int
    uid: str
    wa_id: str
    first_name: str
    last_name: str

    def as_data(self) -> dict[str, Any]:
        return {
            "_id": self.id,
            "_uid": self.uid,
            "first_name": self.first_name,
            "last_name": self.last_name,
            "countries__id": None,
        }


def recipient(vendor_id: int, position: int) -> str:
    """Return the number of a vendor's n-th contact: digits with a country code that is not
    assigned, distinct over vendors and positions."""
    return f"999{vendor_id:04d}{position:08d}"


def seed_contacts(
    connection: sqlite3.Connection, vendor_id: int, first: int, count: int, now: str
) -> list[Contact]:
    numbers = [recipient(vendor_id, first + position) for position in range(count)]
    known = {
        row[0]: Contact(row[1], row[2], row[0], row[3] or "", row[4] or "")
        for row in connection.execute(
            "SELECT wa_id, _id, _uid, first_name, last_name FROM contacts"
            " WHERE vendors__id = ? AND wa_id IN (SELECT value FROM json_each(?))",
            (vendor_id, dump(numbers)),
        )
    }
    first_id = next_id(connection, "contacts")
    missing = [
        Contact(
            first_id + offset,
            str(uuid.uuid4()),
            number,
            _FIRST_NAMES[int(number) % len(_FIRST_NAMES)],
            _LAST_NAMES[int(number) % len(_LAST_NAMES)],
        )
        for offset, number in enumerate(number for number in numbers if number not in known)
    ]
    insert_rows(
        connection,
        "contacts",
        [
            {
                "_id": contact.id,
                "_uid": contact.uid,
                "created_at": now,
                "updated_at": now,
                "vendors__id": vendor_id,
                "wa_id": contact.wa_id,
                "first_name": contact.first_name,
                "last_name": contact.last_name,
                # What PHP makes of an array without elements.
                "__data": "[]" if contact.id % 2 else None,
            }
            for contact in missing
        ],
    )
    known.update((contact.wa_id, contact) for contact in missing)
    return [known[number] for number in numbers]
