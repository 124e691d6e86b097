"""Ready-made installations: vendors with numbers, and campaigns with personalised messages.

Everything is made up. Recipients' numbers begin with 999, a country code that is not assigned.
"""

import sqlite3
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from contracts.backend import CampaignState, QueueStatus
from simulator.backend import vendors as settings
from simulator.backend.jsontext import dump
from simulator.backend.seed_contacts import Contact, seed_contacts
from simulator.backend.seed_rows import insert_rows, next_id, transaction, vendor_id
from simulator.backend.seed_template import Components, personalised, proforma, seed_category
from simulator.backend.times import to_text

#: Namespace of the uids of seeded vendors: the n-th vendor has the same uid everywhere.
_NAMESPACE = uuid.UUID("4f8a2f0e-51f3-4b46-9b5e-2a3a3b6a7c11")


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


def seed_installation(
    connection: sqlite3.Connection,
    *,
    vendors: int = 1,
    phone_number_ids: Sequence[str] = (),
    access_token: str = "simulated-access-token",
    app_secret: str = "simulated-app-secret",
    messages_per_second: float | None = None,
    marketing_messages: str | None = None,
) -> list[SeededVendor]:
    """Add vendors. ``phone_number_ids`` are shared out among them in turn; a vendor for whom none
    is left gets one that follows from its ``_id``. The first number of a vendor is its current
    one. Calling it again adds further vendors."""
    with transaction(connection):
        first = next_id(connection, "vendors")
        seeded = [
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
        if marketing_messages is not None:
            for vendor in seeded:
                values = {settings.MARKETING_MESSAGES: marketing_messages}
                _write_settings(connection, vendor.id, values)
    return seeded


@dataclass(frozen=True, slots=True)
class CampaignSeed:
    """Rows are due at ``scheduled_at_ms`` (now, if not given). ``first_contact`` is the position
    of the first recipient among the vendor's contacts. A ``paused`` campaign is sent when somebody
    starts it, and not because its rows are due. ``category`` is the template's;
    None: the vendor does not know the template."""

    messages: int
    scheduled_at_ms: int | None = None
    expiry_at_ms: int | None = None
    from_phone_number_id: str | None = None
    template_name: str = "spring_offer"
    template_language: str = "en"
    category: str | None = "MARKETING"
    components: Components = personalised
    title: str = "Spring offer"
    first_contact: int = 0
    paused: bool = False


def seed_campaign(
    connection: sqlite3.Connection, vendor_uid: str, seed: CampaignSeed
) -> SeededCampaign:
    """Add a campaign with one queued row per contact, and the contacts that are missing."""
    now_ms = int(time.time() * 1000)
    now = to_text(now_ms)
    due = now if seed.scheduled_at_ms is None else to_text(seed.scheduled_at_ms)
    expiry_at = None if seed.expiry_at_ms is None else to_text(seed.expiry_at_ms)
    with transaction(connection):
        owner = vendor_id(connection, vendor_uid)
        seed_category(connection, owner, seed.template_name, seed.template_language, seed.category)
        contacts = seed_contacts(connection, owner, seed.first_contact, seed.messages, now)
        campaign_id = next_id(connection, "campaigns")
        campaign_uid = str(uuid.uuid4())
        common = {"created_at": now, "updated_at": now, "vendors__id": owner}
        data: dict[str, Any] = {"expiry_at": expiry_at, "total_contacts": seed.messages}
        if seed.paused:
            data["sidecar"] = {"state": CampaignState.PAUSED}
        campaign = {
            **common,
            "_id": campaign_id,
            "_uid": campaign_uid,
            "status": 1,
            "title": seed.title,
            "template_name": seed.template_name,
            "template_language": seed.template_language,
            "scheduled_at": due,
            "timezone": "UTC",
            "__data": dump(data),
        }
        insert_rows(connection, "campaigns", [campaign])
        common |= {"campaigns__id": campaign_id, "scheduled_at": due}
        template_proforma = proforma(seed.template_name, seed.template_language)
        template = {
            "whatsAppTemplateName": seed.template_name,
            "whatsAppTemplateLanguage": seed.template_language,
            "templateProforma": template_proforma,
            "templateComponents": template_proforma["components"],
            "fromPhoneNumberId": seed.from_phone_number_id,
        }
        rows = []
        for position, contact in enumerate(contacts, seed.first_contact):
            values = seed.components(contact.first_name, position)
            row_data = {
                "expiry_at": expiry_at,
                "contact_data": contact.as_data(),
                "campaign_data": {**template, "messageComponents": values},
            }
            rows.append({**common, **_queue_columns(contact), "__data": dump(row_data)})
        insert_rows(connection, "whatsapp_message_queue", rows)
    return SeededCampaign(
        id=campaign_id,
        uid=campaign_uid,
        vendor_uid=vendor_uid,
        row_uids=tuple(str(row["_uid"]) for row in rows),
        recipients=tuple(contact.wa_id for contact in contacts),
    )


def _queue_columns(contact: Contact) -> dict[str, Any]:
    return {
        "_uid": str(uuid.uuid4()),
        "contacts__id": contact.id,
        "status": QueueStatus.QUEUED,
        "phone_with_country_code": contact.wa_id,
        "retries": 0,
    }


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
    insert_rows(connection, "vendors", [{**vendor, **titled}])
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
    _write_settings(connection, id_, values)
    return SeededVendor(id_, uid, numbers, access_token, app_secret, account)


def _write_settings(connection: sqlite3.Connection, owner: int, values: dict[str, str]) -> None:
    now = to_text(int(time.time() * 1000))
    common = {"created_at": now, "updated_at": now, "vendors__id": owner}
    rows = [
        {"_uid": str(uuid.uuid4()), **common, "name": name, "value": value}
        for name, value in values.items()
    ]
    insert_rows(connection, "vendor_settings", rows)
