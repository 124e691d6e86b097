"""Ready-made installations: vendors with numbers, and campaigns with personalised messages.

Everything is made up. Recipients' numbers begin with 999, a country code that is not assigned.
"""

import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from contracts.backend import QueueStatus
from simulator.backend import vendors as settings
from simulator.backend.jsontext import dump
from simulator.backend.times import to_text

#: Namespace of the uids of seeded vendors: the n-th vendor has the same uid everywhere.
_NAMESPACE = uuid.UUID("4f8a2f0e-51f3-4b46-9b5e-2a3a3b6a7c11")

_FIRST_NAMES = ("Ada", "Ben", "Carla", "Dev", "Elif", "Femi", "Gita", "Hugo", "Ines", "Jun")
_LAST_NAMES = ("Stone", "Rivers", "Field", "Marsh", "Hill", "Woods", "Lake", "Glen", "Moor")

#: Components of one row's template, by the contact's first name and the row's position.
Components = Callable[[str, int], list[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class SeededVendor:
    id: int
    uid: str
    phone_number_ids: tuple[str, ...]
    access_token: str
    app_secret: str
    business_account_id: str


@dataclass(frozen=True, slots=True)
class SeededCampaign:
    """``row_uids`` and ``recipients`` stand in the order of ``_id``."""

    id: int
    uid: str
    vendor_uid: str
    row_uids: tuple[str, ...]
    recipients: tuple[str, ...]


def recipient(vendor_id: int, position: int) -> str:
    """Return the number of a vendor's n-th contact: digits with a country code that is not
    assigned, distinct over vendors and positions."""
    return f"999{vendor_id:04d}{position:08d}"


def personalised(first_name: str, position: int) -> list[dict[str, Any]]:
    """Return components with a body of two parameters and a button with a code of its own."""
    return [
        {
            "type": "body",
            "parameters": [
                {"type": "text", "text": first_name},
                {"type": "text", "text": f"{5 + position % 46} %"},
            ],
        },
        {
            "type": "button",
            "sub_type": "url",
            "index": "0",
            "parameters": [{"type": "text", "text": f"offer-{position:06d}"}],
        },
    ]


def seed_installation(
    connection: sqlite3.Connection,
    *,
    vendors: int = 1,
    phone_number_ids: Sequence[str] = (),
    access_token: str = "simulated-access-token",
    app_secret: str = "simulated-app-secret",
    messages_per_second: float | None = None,
) -> list[SeededVendor]:
    """Add vendors. ``phone_number_ids`` are shared out among them in turn; a vendor for whom none
    is left gets one that follows from its ``_id``. The first number of a vendor is its current
    one. Calling it again adds further vendors."""
    with _transaction(connection):
        first = _next_id(connection, "vendors")
        return [
            _seed_vendor(
                connection,
                first + position,
                tuple(phone_number_ids[position::vendors]),
                access_token,
                app_secret,
                messages_per_second,
            )
            for position in range(vendors)
        ]


def seed_campaign(
    connection: sqlite3.Connection,
    vendor_uid: str,
    *,
    messages: int,
    scheduled_at_ms: int | None = None,
    expiry_at_ms: int | None = None,
    from_phone_number_id: str | None = None,
    template_name: str = "spring_offer",
    template_language: str = "en",
    components: Components = personalised,
    title: str = "Spring offer",
    first_contact: int = 0,
) -> SeededCampaign:
    """Add a campaign with one queued row per contact, and the contacts that are missing.

    Rows are due at ``scheduled_at_ms`` (now, if not given). ``first_contact`` is the position of
    the first recipient among the vendor's contacts.
    """
    now_ms = int(time.time() * 1000)
    now = to_text(now_ms)
    due = now if scheduled_at_ms is None else to_text(scheduled_at_ms)
    expiry_at = None if expiry_at_ms is None else to_text(expiry_at_ms)
    with _transaction(connection):
        vendor_id = _vendor_id(connection, vendor_uid)
        contacts = _seed_contacts(connection, vendor_id, first_contact, messages, now)
        campaign_id = _next_id(connection, "campaigns")
        campaign_uid = str(uuid.uuid4())
        _insert(
            connection,
            "campaigns",
            [
                {
                    "_id": campaign_id,
                    "_uid": campaign_uid,
                    "created_at": now,
                    "updated_at": now,
                    "vendors__id": vendor_id,
                    "status": 1,
                    "title": title,
                    "template_name": template_name,
                    "template_language": template_language,
                    "scheduled_at": due,
                    "timezone": "UTC",
                    "__data": dump({"expiry_at": expiry_at, "total_contacts": messages}),
                }
            ],
        )
        common = {
            "whatsAppTemplateName": template_name,
            "whatsAppTemplateLanguage": template_language,
            "templateProforma": _proforma(template_name, template_language),
            "templateComponents": _proforma(template_name, template_language)["components"],
            "fromPhoneNumberId": from_phone_number_id,
        }
        rows = [
            {
                "_uid": str(uuid.uuid4()),
                "created_at": now,
                "updated_at": now,
                "vendors__id": vendor_id,
                "campaigns__id": campaign_id,
                "contacts__id": contact.id,
                "status": QueueStatus.QUEUED,
                "scheduled_at": due,
                "phone_with_country_code": contact.wa_id,
                "retries": 0,
                "__data": dump(
                    {
                        "expiry_at": expiry_at,
                        "contact_data": contact.as_data(),
                        "campaign_data": {
                            **common,
                            "messageComponents": components(
                                contact.first_name, first_contact + position
                            ),
                        },
                    }
                ),
            }
            for position, contact in enumerate(contacts)
        ]
        _insert(connection, "whatsapp_message_queue", rows)
    return SeededCampaign(
        id=campaign_id,
        uid=campaign_uid,
        vendor_uid=vendor_uid,
        row_uids=tuple(str(row["_uid"]) for row in rows),
        recipients=tuple(contact.wa_id for contact in contacts),
    )


@dataclass(frozen=True, slots=True)
class _Contact:
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


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _insert(connection: sqlite3.Connection, table: str, rows: list[dict[str, Any]]) -> None:
    if rows:
        columns = tuple(rows[0])
        marks = ", ".join("?" * len(columns))
        connection.executemany(
            f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})",
            (tuple(row.values()) for row in rows),
        )


def _next_id(connection: sqlite3.Connection, table: str) -> int:
    found = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,))
    row = found.fetchone()
    return (row[0] if row else 0) + 1


def _vendor_id(connection: sqlite3.Connection, uid: str) -> int:
    row = connection.execute("SELECT _id FROM vendors WHERE _uid = ?", (uid,)).fetchone()
    if row is None:
        raise ValueError(f"there is no vendor {uid!r}; seed_installation makes vendors")
    return int(row[0])


def _seed_vendor(
    connection: sqlite3.Connection,
    id_: int,
    phone_number_ids: tuple[str, ...],
    access_token: str,
    app_secret: str,
    messages_per_second: float | None,
) -> SeededVendor:
    now = to_text(int(time.time() * 1000))
    uid = str(uuid.uuid5(_NAMESPACE, str(id_)))
    numbers = phone_number_ids or (f"{200_000_000_000_000 + id_}",)
    account = f"{300_000_000_000_000 + id_}"
    common = {"created_at": now, "updated_at": now}
    vendor = {"_id": id_, "_uid": uid, **common, "status": 1}
    titled = {"title": f"Vendor {id_}", "slug": f"vendor-{id_}"}
    _insert(connection, "vendors", [{**vendor, **titled}])
    values = {
        settings.ACCESS_TOKEN: access_token,
        settings.APP_SECRETS: dump([app_secret]),
        settings.BUSINESS_ACCOUNT_ID: account,
        settings.CURRENT_PHONE_NUMBER_ID: numbers[0],
        settings.PHONE_NUMBERS: dump(
            [
                {
                    "id": number,
                    "display_phone_number": f"+999 0000 {number[-6:]}",
                    "messages_per_second": messages_per_second,
                }
                for number in numbers
            ]
        ),
    }
    _insert(
        connection,
        "vendor_settings",
        [
            {"_uid": str(uuid.uuid4()), **common, "vendors__id": id_, "name": name, "value": value}
            for name, value in values.items()
        ],
    )
    return SeededVendor(id_, uid, numbers, access_token, app_secret, account)


def _seed_contacts(
    connection: sqlite3.Connection, vendor_id: int, first: int, count: int, now: str
) -> list[_Contact]:
    numbers = [recipient(vendor_id, first + position) for position in range(count)]
    known = {
        row[0]: _Contact(row[1], row[2], row[0], row[3] or "", row[4] or "")
        for row in connection.execute(
            "SELECT wa_id, _id, _uid, first_name, last_name FROM contacts"
            " WHERE vendors__id = ? AND wa_id IN (SELECT value FROM json_each(?))",
            (vendor_id, dump(numbers)),
        )
    }
    next_id = _next_id(connection, "contacts")
    missing = [
        _Contact(
            next_id + offset,
            str(uuid.uuid4()),
            number,
            _FIRST_NAMES[int(number) % len(_FIRST_NAMES)],
            _LAST_NAMES[int(number) % len(_LAST_NAMES)],
        )
        for offset, number in enumerate(number for number in numbers if number not in known)
    ]
    _insert(
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
            }
            for contact in missing
        ],
    )
    known.update((contact.wa_id, contact) for contact in missing)
    return [known[number] for number in numbers]


def _proforma(name: str, language: str) -> dict[str, Any]:
    return {
        "name": name,
        "language": language,
        "status": "APPROVED",
        "category": "MARKETING",
        "components": [
            {"type": "BODY", "text": "Hello {{1}}, this week everything is {{2}} off."},
            {
                "type": "BUTTONS",
                "buttons": [{"type": "URL", "text": "See", "url": "https://shop.example/{{1}}"}],
            },
        ],
    }
