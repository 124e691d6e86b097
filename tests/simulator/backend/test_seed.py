import sqlite3

import orjson
import pytest

from simulator.backend.seed import CampaignSeed, SeededVendor, seed_campaign, seed_installation


def test_numbers_are_shared_out_among_the_vendors(connection: sqlite3.Connection) -> None:
    vendors = seed_installation(connection, vendors=2, phone_number_ids=["1", "2", "3"])
    assert [vendor.phone_number_ids for vendor in vendors] == [("1", "3"), ("2",)]


def test_a_vendor_without_a_number_gets_one(connection: sqlite3.Connection) -> None:
    vendors = seed_installation(connection, vendors=3)
    numbers = {number for vendor in vendors for number in vendor.phone_number_ids}
    assert len(numbers) == 3
    assert len({vendor.uid for vendor in vendors}) == 3


def test_further_vendors_can_be_added(connection: sqlite3.Connection) -> None:
    first = seed_installation(connection, vendors=2)
    second = seed_installation(connection)
    assert second[0].uid not in {vendor.uid for vendor in first}


def test_recipients_are_fictional_and_distinct(
    connection: sqlite3.Connection, vendor: SeededVendor
) -> None:
    other = seed_installation(connection)[0]
    numbers = [
        number
        for owner in (vendor, other)
        for number in seed_campaign(connection, owner.uid, CampaignSeed(50)).recipients
    ]
    assert len(set(numbers)) == 100
    assert all(number.startswith("999") and len(number) <= 15 for number in numbers)


def test_a_second_campaign_writes_to_the_same_contacts(
    connection: sqlite3.Connection, vendor: SeededVendor
) -> None:
    first = seed_campaign(connection, vendor.uid, CampaignSeed(10))
    second = seed_campaign(connection, vendor.uid, CampaignSeed(12))
    assert second.recipients[:10] == first.recipients
    assert connection.execute("SELECT count(*) FROM contacts").fetchone()[0] == 12
    third = seed_campaign(connection, vendor.uid, CampaignSeed(3, first_contact=12))
    assert not set(third.recipients) & set(second.recipients)


def test_a_row_holds_what_the_application_would_put_there(
    connection: sqlite3.Connection, vendor: SeededVendor
) -> None:
    campaign = seed_campaign(
        connection,
        vendor.uid,
        CampaignSeed(
            messages=2,
            scheduled_at_ms=1_750_000_000_000,
            expiry_at_ms=1_750_000_060_000,
            from_phone_number_id="77",
        ),
    )
    rows = connection.execute("SELECT * FROM whatsapp_message_queue ORDER BY _id").fetchall()
    assert tuple(row["_uid"] for row in rows) == campaign.row_uids
    assert {row["scheduled_at"] for row in rows} == {"2025-06-15 15:06:40"}
    data = [orjson.loads(row["__data"]) for row in rows]
    assert data[0]["expiry_at"] == "2025-06-15 15:07:40"
    assert set(data[0]["contact_data"]) == {
        "_id",
        "_uid",
        "first_name",
        "last_name",
        "countries__id",
    }
    assert set(data[0]["campaign_data"]) == {
        "whatsAppTemplateName",
        "whatsAppTemplateLanguage",
        "templateProforma",
        "templateComponents",
        "messageComponents",
        "fromPhoneNumberId",
    }
    components = [row["campaign_data"]["messageComponents"] for row in data]
    assert components[0] != components[1]


def test_an_unknown_vendor_is_an_error(connection: sqlite3.Connection) -> None:
    with pytest.raises(ValueError, match="no vendor 'nobody'"):
        seed_campaign(connection, "nobody", CampaignSeed(1))
    assert not connection.in_transaction
