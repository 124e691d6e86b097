"""People who hide their number are found by an index, or without reading all contacts each time."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from simulator.stack.installation import CONTRACTS
from tests.contract.caller import Caller
from tests.contract.laravel import LaravelBackend
from tests.contract.payloads import accepted, message, message_object
from tests.contract.under_test import Campaign, Vendor
from tests.stack.explained import plans, recorded

UP = CONTRACTS / "sql" / "user_ids.sql"
DOWN = CONTRACTS / "sql" / "user_ids_down.sql"
NUMBER = "999700000001"
USER = "GB.1349120865530274191"

SEEDED = """
    INSERT INTO contacts (_uid, created_at, vendors__id, wa_id, __data)
    SELECT UUID(), NOW(), ?, CONCAT('98', LPAD(seq, 10, '0')),
           IF(seq % 2, JSON_OBJECT('user_id', CONCAT('GB.', seq)), '[]')
    FROM JSON_TABLE(?, '$[*]' COLUMNS (seq INT PATH '$')) AS numbers
"""


@pytest.fixture
def indexed(backend: LaravelBackend) -> Iterator[None]:
    for _ in range(2):
        backend.database.script(UP.read_text())
    yield
    backend.database.script(DOWN.read_text())


@pytest.fixture
def known(backend: LaravelBackend, vendor: Vendor) -> Vendor:
    """A vendor with many contacts."""
    numbers = orjson.dumps(list(range(1, 2001))).decode()
    backend.database.rows(SEEDED, (vendor.id, numbers))
    backend.database.rows("ANALYZE TABLE contacts")
    return vendor


async def says(caller: Caller, vendor: Vendor, wamid: str, number: str | None, user: str) -> None:
    contacts = [{"wa_id": number, "user_id": user} if number else {"user_id": user}]
    element = message_object(wamid, number, from_user_id=user)
    [answer] = await caller.process(message(vendor, element, contacts=contacts))
    assert answer.result == "done"


def readings(statements: list[str]) -> list[str]:
    """Return those that read all contacts of the vendor."""
    of_contacts = [one for one in statements if "`contacts` WHERE vendors__id" in one]
    return [one for one in of_contacts if "JSON_EXTRACT(__data, '$.user_id')" in one]


async def contact_of(backend: LaravelBackend, vendor: Vendor, wamid: str) -> dict[str, Any]:
    [log] = backend.rows("whatsapp_message_logs", vendors__id=vendor.id, wamid=wamid)
    [contact] = backend.rows("contacts", _id=log["contacts__id"])
    return contact


async def test_without_the_index_all_contacts_are_read_once(
    caller: Caller, backend: LaravelBackend, known: Vendor
) -> None:
    await says(caller, known, "wamid.0", NUMBER, USER)
    with recorded(backend.database) as statements:
        for wamid in ("wamid.1", "wamid.2", "wamid.3"):
            await says(caller, known, wamid, None, USER)
    assert len(readings(statements)) == 1
    assert (await contact_of(backend, known, "wamid.3"))["wa_id"] == NUMBER


async def test_only_those_without_a_number_are_read_for_those_whose_number_is_known(
    caller: Caller, backend: LaravelBackend, known: Vendor
) -> None:
    """Webhooks have the user id of nearly everybody, beside the number."""
    with recorded(backend.database) as statements:
        await says(caller, known, "wamid.1", NUMBER, USER)
        await says(caller, known, "wamid.2", "980000000002", "GB.new")
    assert len(readings(statements)) == 2
    for one in readings(statements):
        [plan] = plans(backend.database, one)
        assert plan["key"] in ("sidecar_contacts_wa_id", "contacts_wa_id")
        assert int(plan["rows"]) < 10
    contact = await contact_of(backend, known, "wamid.2")
    assert (contact["wa_id"], contact["__data"]["user_id"]) == ("980000000002", "GB.new")


async def test_who_has_a_new_user_id_and_shows_the_number_later_is_one_contact(
    caller: Caller, backend: LaravelBackend, known: Vendor
) -> None:
    await says(caller, known, "wamid.0", None, USER)
    first = await contact_of(backend, known, "wamid.0")
    system = {"type": "user_changed_user_id", "user_id": "GB.later", "previous_user_id": USER}
    moved = message_object("wamid.1", None, type="system", system=system, from_user_id=USER)
    await caller.process(message(known, moved, contacts=[{"user_id": USER}]))
    await says(caller, known, "wamid.2", NUMBER, "GB.later")
    second = await contact_of(backend, known, "wamid.2")
    assert (second["_id"], second["wa_id"]) == (first["_id"], NUMBER)


async def test_what_was_found_once_is_looked_at_again(
    caller: Caller, backend: LaravelBackend, known: Vendor
) -> None:
    await says(caller, known, "wamid.0", NUMBER, USER)
    await says(caller, known, "wamid.1", None, USER)
    first = await contact_of(backend, known, "wamid.1")
    backend.change("contacts", {"__data": "{}"}, _id=first["_id"])
    await says(caller, known, "wamid.2", None, USER)
    second = await contact_of(backend, known, "wamid.2")
    assert (second["wa_id"], second["__data"]) == (None, {"user_id": USER})


async def test_a_stranger_is_found_by_its_uid_afterwards(
    caller: Caller, backend: LaravelBackend, known: Vendor
) -> None:
    await says(caller, known, "wamid.0", None, USER)
    with recorded(backend.database) as statements:
        await says(caller, known, "wamid.1", None, USER)
    assert readings(statements) == []


async def test_people_who_write_at_once_are_found_as_one_by_one(
    caller: Caller, backend: LaravelBackend, known: Vendor
) -> None:
    """By the number in a form that the database alone takes for the same; by a user id, which was
    found before, or stands where the number belongs; without a reading of all contacts."""
    backend.change(
        "contacts",
        {"wa_id": "\N{LEFT-TO-RIGHT MARK}980000000002"},
        vendors__id=known.id,
        wa_id="980000000002",
    )
    backend.change(
        "contacts", {"wa_id": USER, "__data": None}, vendors__id=known.id, wa_id="980000000004"
    )
    before = backend.rows("contacts", vendors__id=known.id)
    await says(caller, known, "wamid.found", None, "GB.7")
    people = [("980000000002", None), (None, USER), (None, "GB.7"), ("980000000006", "GB.6")]
    updates = [
        message(
            known,
            message_object(f"wamid.{n}", number, **({"from_user_id": user} if user else {})),
            contacts=[],
        )
        for n, (number, user) in enumerate(people)
    ]
    with recorded(backend.database) as statements:
        answers = await caller.process(*updates)
    assert {answer.result for answer in answers} == {"done"}
    assert len(backend.rows("contacts", vendors__id=known.id)) == len(before)
    found = [await contact_of(backend, known, f"wamid.{n}") for n in range(len(people))]
    assert [contact["_id"] for contact in found] == [before[n]["_id"] for n in (1, 3, 6, 5)]
    assert found[0]["wa_id"] == "980000000002"
    assert (found[1]["wa_id"], found[1]["__data"]) == (None, {"user_id": USER})
    assert found[3]["__data"] == {"user_id": "GB.6"}
    for one in readings(statements):
        assert "wa_id IS NULL" in one


@pytest.mark.usefixtures("indexed")
async def test_people_who_write_at_once_are_found_by_the_index(
    caller: Caller, backend: LaravelBackend, known: Vendor
) -> None:
    updates = [
        message(known, message_object(f"wamid.{n}", None, from_user_id=f"GB.{n}"), contacts=[])
        for n in range(1, 9)
    ]
    with recorded(backend.database) as statements:
        await caller.process(*updates)
    assert len([one for one in statements if one.startswith("SELECT")]) < len(updates)
    contacts = [await contact_of(backend, known, f"wamid.{n}") for n in range(1, 9)]
    numbers = [f"98{n:010}" if n % 2 else None for n in range(1, 9)]
    assert [contact["wa_id"] for contact in contacts] == numbers


@pytest.mark.usefixtures("indexed")
async def test_with_the_index_none_is_read(
    caller: Caller, backend: LaravelBackend, known: Vendor
) -> None:
    with recorded(backend.database) as statements:
        await says(caller, known, "wamid.0", NUMBER, USER)
        await says(caller, known, "wamid.1", None, USER)
        await says(caller, known, "wamid.2", None, "GB.7")
        await says(caller, known, "wamid.3", None, "GB." + "x" * 300)
    assert readings(statements) == []
    assert (await contact_of(backend, known, "wamid.1"))["wa_id"] == NUMBER
    assert (await contact_of(backend, known, "wamid.2"))["wa_id"] == "980000000007"
    looked_up = [one for one in statements if "sidecar_user_id IN" in one]
    assert looked_up
    for one in looked_up:
        [plan] = plans(backend.database, one)
        assert plan["key"] == "sidecar_contacts_user_id"
        assert plan["type"] in ("ref", "range")


@pytest.mark.usefixtures("indexed")
async def test_the_application_does_not_see_the_column(backend: LaravelBackend) -> None:
    columns = backend.database.rows("SELECT * FROM contacts LIMIT 1")
    assert "sidecar_user_id" not in columns[0]


@pytest.mark.usefixtures("indexed")
async def test_an_answer_finds_who_is_the_same_person_by_the_index(
    caller: Caller, backend: LaravelBackend, campaign: Campaign
) -> None:
    vendor = campaign.vendor
    await says(caller, vendor, "wamid.0", NUMBER, USER)
    other = await contact_of(backend, vendor, "wamid.0")
    backend.change("contacts", {"whatsapp_opt_out": 1}, _id=other["_id"])
    await caller.claim(campaign)
    uid, number = campaign.row_uids[0], campaign.recipients[0]
    await caller.report(accepted(campaign, uid, wa_id=number, user_id=USER))
    [contact] = backend.rows("contacts", vendors__id=vendor.id, wa_id=number)
    assert (contact["whatsapp_opt_out"], contact["__data"]["user_id"]) == (1, USER)


def test_what_was_added_is_taken_back(backend: LaravelBackend) -> None:
    before = backend.database.rows("SHOW CREATE TABLE contacts")
    backend.database.script(UP.read_text())
    for _ in range(2):
        backend.database.script(DOWN.read_text())
    assert backend.database.rows("SHOW CREATE TABLE contacts") == before
