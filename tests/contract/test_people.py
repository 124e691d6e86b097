"""People: one contact each, whatever they are known by, and where a message to them goes."""

import asyncio
from typing import Any

import pytest

from contracts.backend import QueueStatus
from simulator.backend.seed_bots import SeedBot
from tests.contract.caller import Caller
from tests.contract.payloads import (
    accepted,
    change,
    echo,
    message,
    message_object,
    messaging,
    now_ms,
)
from tests.contract.talk import sends, sent
from tests.contract.under_test import BackendUnderTest, Campaign, Row, Vendor

NUMBER = "999700000001"
USER = "GB.1349120865530274191"
OTHER = "GB.2222222222222222222"
LONG = "BR." + "A1b2C3d4" * 16
LONGER = "BR.ENT." + "A1b2C3d4" * 40


def contacts(backend: BackendUnderTest, vendor: Vendor) -> list[Row]:
    """Return the contacts that are somebody's, and so were merged into no other."""
    rows = backend.rows("contacts", vendors__id=vendor.id)
    return [
        row for row in rows if "merged_into" not in ((row["__data"] or {}).get("sidecar") or {})
    ]


def one(caller: Caller, vendor: Vendor) -> Row:
    (contact,) = contacts(caller.backend, vendor)
    return contact


def belongs(caller: Caller, vendor: Vendor, contact: Row) -> bool:
    """Return whether all messages are this contact's."""
    logs = caller.backend.rows("whatsapp_message_logs", vendors__id=vendor.id)
    return bool(logs) and {log["contacts__id"] for log in logs} == {contact["_id"]}


def said(
    vendor: Vendor, wamid: str, number: str | None = None, user: str | None = None, **profile: Any
) -> dict[str, Any]:
    """Return a message of somebody's, who is known by these."""
    fields = {} if user is None else {"from_user_id": user}
    whom = {"wa_id": number, "user_id": user, "profile": profile}
    whom = {name: value for name, value in whom.items() if value}
    return message(vendor, message_object(wamid, number, **fields), contacts=[whom])


def system(vendor: Vendor, wamid: str, sender: dict[str, Any], **facts: Any) -> dict[str, Any]:
    element = message_object(wamid, None, type="system", system={"body": "Changed.", **facts})
    element = {name: value for name, value in element.items() if name not in ("from", "text")}
    return message(vendor, element | sender, contacts=[])


def moved(vendor: Vendor, **ids: Any) -> dict[str, Any]:
    value = messaging(vendor, user_id_update=[{"detail": "Changed.", **ids}])
    return change(vendor, "user_id_update", value)


async def done(caller: Caller, *updates: dict[str, Any]) -> None:
    assert [answer.result for answer in await caller.process(*updates)] == ["done"] * len(updates)


# -- who a message is from --


@pytest.mark.parametrize("user", [USER, LONG, LONGER, "0"])
@pytest.mark.parametrize("member", ["from", "from_user_id"])
async def test_a_user_id_is_never_a_number(
    caller: Caller, vendor: Vendor, user: str, member: str
) -> None:
    for wamid in ("wamid.a", "wamid.b"):
        element = message_object(wamid, None) | {member: user}
        await done(caller, message(vendor, element, contacts=[{"wa_id": user, "user_id": user}]))
    contact = one(caller, vendor)
    assert (contact["wa_id"], contact["__data"]["user_id"]) == (None, user)
    assert belongs(caller, vendor, contact)
    (log, _) = caller.backend.rows("whatsapp_message_logs", vendors__id=vendor.id)
    assert log["contact_wa_id"] is None


async def test_what_else_is_said_of_a_person_is_kept(caller: Caller, vendor: Vendor) -> None:
    element = message_object("wamid.a", None, from_user_id=USER, from_parent_user_id="GB.ENT.1")
    whom = {"user_id": USER, "profile": {"name": "Ada Stone", "username": "ada.s"}}
    await done(caller, message(vendor, element, contacts=[whom]))
    contact = one(caller, vendor)
    assert contact["__data"] == {
        "user_id": USER,
        "parent_user_id": "GB.ENT.1",
        "username": "ada.s",
    }
    assert (contact["first_name"], contact["last_name"]) == ("Ada", "Stone")
    await done(caller, said(vendor, "wamid.b", user=USER, username="ada.t"))
    assert one(caller, vendor)["__data"]["username"] == "ada.t"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("5582999990001", "558299990001"),
        ("525550000001", "5215550000001"),
        ("5491155550001", "541155550001"),
    ],
)
async def test_a_number_in_two_forms_is_one_contact(
    caller: Caller, vendor: Vendor, first: str, second: str
) -> None:
    for wamid, number in (("wamid.a", first), ("wamid.b", second), ("wamid.c", first)):
        await done(caller, said(vendor, wamid, number))
    contact = one(caller, vendor)
    assert contact["wa_id"] == first
    assert belongs(caller, vendor, contact)


async def test_a_message_without_a_number_has_its_contacts(caller: Caller, vendor: Vendor) -> None:
    await done(caller, said(vendor, "wamid.a", NUMBER, USER), said(vendor, "wamid.b", user=USER))
    logs = caller.backend.rows("whatsapp_message_logs", vendors__id=vendor.id)
    assert [log["contact_wa_id"] for log in logs] == [NUMBER, NUMBER]


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        (" Ada \0", "Ada", None),
        ("\0", None, None),
        ("0 0", "0", "0"),
        ("a\t \u00a0", "a\t", "\u00a0"),
    ],
)
async def test_a_name_of_blanks(
    caller: Caller, vendor: Vendor, name: str, first: str | None, last: str | None
) -> None:
    await done(caller, said(vendor, "wamid.a", NUMBER, name=name))
    contact = one(caller, vendor)
    assert (contact["first_name"], contact["last_name"]) == (first, last)


async def test_a_user_id_is_compared_letter_for_letter(caller: Caller, vendor: Vendor) -> None:
    await done(
        caller, said(vendor, "wamid.a", user="GB.aaaa"), said(vendor, "wamid.b", user="GB.AAAA")
    )
    assert [row["__data"]["user_id"] for row in contacts(caller.backend, vendor)] == [
        "GB.aaaa",
        "GB.AAAA",
    ]


async def test_another_vendor_has_contacts_of_its_own(caller: Caller, vendor: Vendor) -> None:
    other = caller.backend.seed_vendor()
    await done(caller, said(vendor, "wamid.a", NUMBER, USER), said(other, "wamid.a", user=USER))
    assert one(caller, vendor)["wa_id"] == NUMBER
    assert one(caller, other)["wa_id"] is None


async def test_data_that_is_no_object_learns_too(caller: Caller, vendor: Vendor) -> None:
    """PHP's empty array is written as a list."""
    await done(caller, said(vendor, "wamid.a", NUMBER))
    contact = one(caller, vendor)
    caller.backend.change("contacts", {"__data": "[]"}, _id=contact["_id"])
    await done(caller, said(vendor, "wamid.b", NUMBER, USER), said(vendor, "wamid.c", user=USER))
    assert one(caller, vendor)["__data"] == {"user_id": USER}


async def test_a_user_id_that_was_taken_for_a_number_is_mended(
    caller: Caller, vendor: Vendor
) -> None:
    await done(caller, said(vendor, "wamid.a", NUMBER))
    caller.backend.change("contacts", {"wa_id": USER}, vendors__id=vendor.id)
    await done(caller, said(vendor, "wamid.b", user=USER))
    contact = one(caller, vendor)
    assert (contact["wa_id"], contact["__data"]) == (None, {"user_id": USER})
    assert belongs(caller, vendor, contact)


async def test_a_user_id_in_place_of_a_number_is_compared_letter_for_letter_too(
    caller: Caller, vendor: Vendor
) -> None:
    await done(caller, said(vendor, "wamid.a", NUMBER))
    caller.backend.change("contacts", {"wa_id": "GB.aaaa"}, vendors__id=vendor.id)
    await done(caller, said(vendor, "wamid.b", user="GB.AAAA"))
    first, second = contacts(caller.backend, vendor)
    assert (first["wa_id"], second["__data"]) == ("GB.aaaa", {"user_id": "GB.AAAA"})


# -- two contacts that are one person --


async def two(caller: Caller, vendor: Vendor, **switches: int) -> tuple[Row, Row]:
    """Return the contact of the number, and that of the user id, which has these switches."""
    await done(caller, said(vendor, "wamid.n", NUMBER), said(vendor, "wamid.u", user=USER))
    by_number, by_user = contacts(caller.backend, vendor)[-2:]
    if switches:
        caller.backend.change("contacts", switches, _id=by_user["_id"])
    return by_number, by_user


@pytest.mark.parametrize("switch", ["whatsapp_opt_out", "disable_ai_bot", "disable_reply_bot"])
@pytest.mark.parametrize("of", [0, 1])
async def test_one_contact_remains_and_nothing_is_lost(
    caller: Caller, vendor: Vendor, switch: str, of: int
) -> None:
    pair = await two(caller, vendor)
    caller.backend.change("contacts", {switch: 1}, _id=pair[of]["_id"])
    await done(caller, said(vendor, "wamid.both", NUMBER, USER))
    contact = one(caller, vendor)
    assert contact["_id"] == pair[0]["_id"], "the number's contact remains"
    assert contact["wa_id"] == NUMBER
    assert contact["__data"]["user_id"] == USER
    switches = ("whatsapp_opt_out", "disable_ai_bot", "disable_reply_bot")
    assert [name for name in switches if contact[name]] == [switch]
    await done(caller, said(vendor, "wamid.1", NUMBER), said(vendor, "wamid.2", user=USER))
    assert belongs(caller, vendor, one(caller, vendor))


async def test_the_other_row_stays_and_reaches_nobody(caller: Caller, vendor: Vendor) -> None:
    by_number, by_user = await two(caller, vendor)
    await done(caller, said(vendor, "wamid.both", NUMBER, USER))
    (left,) = caller.backend.rows("contacts", _id=by_user["_id"])
    assert (left["wa_id"], left["whatsapp_opt_out"]) == (None, 1)
    assert left["__data"] == {"sidecar": {"merged_into": by_number["_uid"]}}


async def test_several_calls_find_out_at_the_same_time(caller: Caller, vendor: Vendor) -> None:
    """Each has found both; only the first makes them one."""
    kept, _ = await two(caller, vendor)
    updates = [said(vendor, f"wamid.{number}", NUMBER, USER) for number in range(8)]
    await asyncio.gather(*(done(caller, update) for update in updates))
    contact = one(caller, vendor)
    assert (contact["_id"], contact["whatsapp_opt_out"] or 0) == (kept["_id"], 0)
    assert contact["__data"] == {"user_id": USER}
    assert belongs(caller, vendor, contact)


def logged(caller: Caller, vendor: Vendor, wamid: str) -> Row:
    (log,) = caller.backend.rows("whatsapp_message_logs", vendors__id=vendor.id, wamid=wamid)
    return log


async def twice_in(caller: Caller, campaign: Campaign) -> list[Row]:
    """Have the first two rows of a campaign be of two contacts who are one person; return these,
    that of the number first."""
    pair = await two(caller, campaign.vendor)
    for uid, contact in zip(campaign.row_uids, pair, strict=False):
        row = {"phone_with_country_code": contact["wa_id"], "contacts__id": contact["_id"]}
        caller.backend.change("whatsapp_message_queue", row, _uid=uid)
    return list(pair)


def queued_of(caller: Caller, campaign: Campaign) -> list[int]:
    rows = caller.backend.rows("whatsapp_message_queue", campaigns__id=campaign.id)
    by_uid = {row["_uid"]: row["status"] for row in rows}
    return [by_uid[uid] for uid in campaign.row_uids[:2]]


async def test_a_campaign_that_has_a_person_twice_reaches_them_once(
    caller: Caller, campaign: Campaign
) -> None:
    kept, _ = await twice_in(caller, campaign)
    await done(caller, said(campaign.vendor, "wamid.both", NUMBER, USER))
    assert queued_of(caller, campaign) == [QueueStatus.QUEUED, QueueStatus.ERROR]
    (ended,) = caller.backend.rows("whatsapp_message_queue", _uid=campaign.row_uids[1])
    assert ended["contacts__id"] == kept["_id"]
    response = ended["__data"]["process_response"]
    assert response["error_status"] == "campaign_data_invalid_error"


@pytest.mark.parametrize("sent_first", [0, 1])
async def test_what_one_of_two_contacts_has_got_the_other_does_not_get_too(
    caller: Caller, campaign: Campaign, sent_first: int
) -> None:
    await twice_in(caller, campaign)
    later = campaign.row_uids[1 - sent_first]
    caller.backend.change("whatsapp_message_queue", {"status": QueueStatus.EXPIRED}, _uid=later)
    await caller.claim(campaign)
    caller.backend.change("whatsapp_message_queue", {"status": QueueStatus.QUEUED}, _uid=later)
    uid = campaign.row_uids[sent_first]
    await caller.report(accepted(campaign, uid, wa_id=NUMBER, user_id=USER))
    await done(caller, said(campaign.vendor, "wamid.both", NUMBER, USER))
    statuses = queued_of(caller, campaign)
    assert statuses[sent_first] == QueueStatus.AWAITING_STATUS
    assert statuses[1 - sent_first] == QueueStatus.ERROR


async def test_what_has_failed_for_one_is_sent_to_the_other(
    caller: Caller, campaign: Campaign
) -> None:
    await twice_in(caller, campaign)
    failed_uid = campaign.row_uids[1]
    caller.backend.change("whatsapp_message_queue", {"status": QueueStatus.ERROR}, _uid=failed_uid)
    await done(caller, said(campaign.vendor, "wamid.both", NUMBER, USER))
    assert queued_of(caller, campaign) == [QueueStatus.QUEUED, QueueStatus.ERROR]


async def test_results_of_both_come_together(caller: Caller, campaign: Campaign) -> None:
    """A campaign has the person twice, and two answers of one call say that it is one."""
    vendor, (first, second) = campaign.vendor, campaign.row_uids[:2]
    number = campaign.recipients[0]
    await done(caller, said(vendor, "wamid.before", None, USER))
    hidden = logged(caller, vendor, "wamid.before")
    row = {"phone_with_country_code": None, "contacts__id": hidden["contacts__id"]}
    caller.backend.change("whatsapp_message_queue", row, _uid=second)
    await caller.claim(campaign)
    said_of_both = {"wa_id": number, "user_id": USER}
    await caller.report(*(accepted(campaign, uid, **said_of_both) for uid in (first, second)))
    (contact,) = caller.backend.rows("contacts", vendors__id=vendor.id, wa_id=number)
    assert contact["whatsapp_opt_out"] in (None, 0)
    assert contact["__data"]["user_id"] == USER
    assert "sidecar" not in contact["__data"]
    await done(caller, said(vendor, "wamid.after", None, USER))
    assert logged(caller, vendor, "wamid.after")["contacts__id"] == contact["_id"]


async def test_a_name_and_notes_come_along(caller: Caller, vendor: Vendor) -> None:
    by_number, by_user = await two(caller, vendor)
    nameless = {"first_name": None, "last_name": None, "__data.kept": "own"}
    caller.backend.change("contacts", nameless, _id=by_number["_id"])
    named = {"first_name": "Una", "last_name": None, "__data.kept": "its", "__data.note": 7}
    caller.backend.change("contacts", named, _id=by_user["_id"])
    await done(caller, said(vendor, "wamid.both", NUMBER, USER))
    contact = one(caller, vendor)
    assert (contact["first_name"], contact["last_name"]) == ("Una", None)
    assert contact["__data"] == {"kept": "own", "note": 7, "user_id": USER}


async def test_what_the_other_has_queued_is_its_own(caller: Caller, campaign: Campaign) -> None:
    vendor = campaign.vendor
    queued = caller.backend.rows("whatsapp_message_queue", campaigns__id=campaign.id)[0]
    first = {"wa_id": None, "__data": f'{{"user_id": "{USER}"}}'}
    caller.backend.change("contacts", first, _id=queued["contacts__id"])
    await done(caller, said(vendor, "wamid.n", NUMBER), said(vendor, "wamid.b", NUMBER, USER))
    row = caller.backend.rows("whatsapp_message_queue", _id=queued["_id"])[0]
    (contact,) = caller.backend.rows("contacts", vendors__id=vendor.id, wa_id=NUMBER)
    assert row["contacts__id"] == contact["_id"]


# -- people who change --


async def opted_out(caller: Caller, vendor: Vendor, *known: str | None) -> Row:
    await done(caller, said(vendor, "wamid.old", *known))
    contact = one(caller, vendor)
    caller.backend.change("contacts", {"whatsapp_opt_out": 1}, _id=contact["_id"])
    return contact


@pytest.mark.parametrize("member", ["wa_id", "new_wa_id"])
async def test_who_changes_the_number_is_the_same_contact(
    caller: Caller, vendor: Vendor, member: str
) -> None:
    before = await opted_out(caller, vendor, NUMBER, USER)
    new = "999700000002"
    facts = {"type": "user_changed_number", member: new, "user_id": OTHER}
    update = system(vendor, "wamid.sys", {"from": NUMBER}, **facts)
    await done(caller, update, {**update, "attempt": 2})
    contact = one(caller, vendor)
    assert (contact["_id"], contact["whatsapp_opt_out"]) == (before["_id"], 1)
    assert (contact["wa_id"], contact["__data"]["user_id"]) == (new, OTHER)
    await done(caller, said(vendor, "wamid.1", new), said(vendor, "wamid.2", user=OTHER))
    assert belongs(caller, vendor, one(caller, vendor))


async def test_a_new_number_that_has_a_contact_already(caller: Caller, vendor: Vendor) -> None:
    await opted_out(caller, vendor, NUMBER)
    new = "999700000002"
    await done(caller, said(vendor, "wamid.new", new))
    facts = {"type": "user_changed_number", "wa_id": new}
    await done(caller, system(vendor, "wamid.sys", {"from": NUMBER}, **facts))
    contact = one(caller, vendor)
    assert (contact["wa_id"], contact["whatsapp_opt_out"]) == (new, 1)
    assert belongs(caller, vendor, contact)


async def test_whoever_gets_the_old_number_is_somebody_else(caller: Caller, vendor: Vendor) -> None:
    before = await opted_out(caller, vendor, NUMBER)
    facts = {"type": "user_changed_number", "wa_id": "999700000002"}
    await done(
        caller,
        system(vendor, "wamid.sys", {"from": NUMBER}, **facts),
        said(vendor, "wamid.stranger", NUMBER),
    )
    moved_away, stranger = contacts(caller.backend, vendor)
    assert moved_away["_id"] == before["_id"]
    assert (stranger["wa_id"], bool(stranger["whatsapp_opt_out"])) == (NUMBER, False)


@pytest.mark.parametrize("known", [(NUMBER, USER), (None, USER)])
async def test_who_changes_the_user_id_is_the_same_contact(
    caller: Caller, vendor: Vendor, known: tuple[str | None, str]
) -> None:
    before = await opted_out(caller, vendor, *known)
    facts = {"type": "user_changed_user_id", "user_id": OTHER, "previous_user_id": USER}
    await done(caller, system(vendor, "wamid.sys", {"from_user_id": OTHER}, **facts))
    contact = one(caller, vendor)
    assert (contact["_id"], contact["whatsapp_opt_out"]) == (before["_id"], 1)
    assert (contact["wa_id"], contact["__data"]["user_id"]) == (known[0], OTHER)
    await done(caller, said(vendor, "wamid.1", user=OTHER))
    assert belongs(caller, vendor, one(caller, vendor))


async def test_a_late_answer_of_the_api_brings_no_old_user_id_back(
    caller: Caller, vendor: Vendor
) -> None:
    """The reply was on its way when the user id changed."""
    (bot,) = caller.backend.seed_bots(vendor, SeedBot("is", "open", "We open at nine."))
    asked = message_object(
        "wamid.0",
        None,
        from_user_id=USER,
        timestamp=str(now_ms() // 1000),
        text={"body": "open"},
    )
    matched = {"matches": [{"bot_uid": bot, "trigger_type": "is", "trigger": "open"}]}
    update = message(vendor, asked, contacts=[{"user_id": USER}], bots=matched)
    update["received_at"] = now_ms()
    (result,) = await caller.process(update)
    (reply,) = sends(result)
    facts = {"type": "user_changed_user_id", "user_id": OTHER, "previous_user_id": USER}
    await done(caller, system(vendor, "wamid.sys", {"from_user_id": OTHER}, **facts))
    (answer,) = await caller.report(sent(vendor, reply.id, wamid="w1", user_id=USER))
    assert answer.result == "done"
    assert one(caller, vendor)["__data"]["user_id"] == OTHER


async def test_without_the_old_user_id_the_number_tells_whose_the_new_one_is(
    caller: Caller, vendor: Vendor
) -> None:
    before = await opted_out(caller, vendor, NUMBER, USER)
    facts = {"type": "user_changed_user_id", "user_id": OTHER}
    await done(caller, system(vendor, "wamid.sys", {"from": NUMBER}, **facts))
    contact = one(caller, vendor)
    assert (contact["_id"], contact["__data"]["user_id"]) == (before["_id"], OTHER)


async def test_the_field_tells_of_new_user_ids_too(caller: Caller, vendor: Vendor) -> None:
    before = await opted_out(caller, vendor, None, USER)
    await done(caller, moved(vendor, user_id={"previous": USER, "current": OTHER}))
    contact = one(caller, vendor)
    assert (contact["_id"], contact["whatsapp_opt_out"]) == (before["_id"], 1)
    assert contact["__data"]["user_id"] == OTHER


@pytest.mark.parametrize("ids", [{}, {"user_id": None}, {"user_id": {"previous": USER}}])
async def test_a_field_that_names_nobody_changes_nothing(
    caller: Caller, vendor: Vendor, ids: dict[str, Any]
) -> None:
    await opted_out(caller, vendor, None, USER)
    [answer] = await caller.process(moved(vendor, **ids))
    assert answer.result == "ignored"
    assert one(caller, vendor)["__data"] == {"user_id": USER}


async def test_a_system_message_of_another_type_moves_nobody(
    caller: Caller, vendor: Vendor
) -> None:
    await opted_out(caller, vendor, NUMBER, USER)
    facts = {"type": "customer_identity_changed", "wa_id": "999700000002", "user_id": OTHER}
    await done(caller, system(vendor, "wamid.sys", {"from": NUMBER}, **facts))
    contact = one(caller, vendor)
    assert (contact["wa_id"], contact["__data"]["user_id"]) == (NUMBER, USER)


async def test_a_message_by_the_old_user_id_that_comes_late(caller: Caller, vendor: Vendor) -> None:
    before = await opted_out(caller, vendor, None, USER)
    facts = {"type": "user_changed_user_id", "user_id": OTHER, "previous_user_id": USER}
    await done(
        caller,
        system(vendor, "wamid.sys", {"from_user_id": OTHER}, **facts),
        said(vendor, "wamid.late", user=USER),
        said(vendor, "wamid.new", user=OTHER),
    )
    contact = one(caller, vendor)
    assert (contact["_id"], contact["__data"]["user_id"]) == (before["_id"], OTHER)
    assert belongs(caller, vendor, contact)


async def test_who_was_merged_is_found_by_the_old_user_id(caller: Caller, vendor: Vendor) -> None:
    await two(caller, vendor, whatsapp_opt_out=1)
    facts = {"type": "user_changed_user_id", "user_id": OTHER, "previous_user_id": USER}
    await done(
        caller,
        said(vendor, "wamid.both", NUMBER, USER),
        system(vendor, "wamid.sys", {"from_user_id": OTHER}, **facts),
        said(vendor, "wamid.late", user=USER),
    )
    contact = one(caller, vendor)
    assert (contact["wa_id"], contact["__data"]["user_id"]) == (NUMBER, OTHER)
    assert contact["whatsapp_opt_out"] == 1
    assert belongs(caller, vendor, contact)


@pytest.mark.parametrize("order", ["12", "21", "121", "212"])
async def test_moves_may_come_in_any_order(caller: Caller, vendor: Vendor, order: str) -> None:
    last = "GB.333333"
    await opted_out(caller, vendor, None, USER)
    moves = {"1": (USER, OTHER), "2": (OTHER, last)}
    for place, (old, new) in enumerate(moves[one] for one in order):
        facts = {"type": "user_changed_user_id", "user_id": new, "previous_user_id": old}
        await done(caller, system(vendor, f"wamid.{place}", {"from_user_id": new}, **facts))
    await done(caller, said(vendor, "wamid.last", user=last))
    contact = one(caller, vendor)
    assert (contact["whatsapp_opt_out"], contact["__data"]["user_id"]) == (1, last)
    assert belongs(caller, vendor, contact)


# -- the business itself --


async def test_nobody_moves_to_the_businesss_own_number(caller: Caller, vendor: Vendor) -> None:
    own = messaging(vendor)["metadata"]["display_phone_number"]
    await opted_out(caller, vendor, NUMBER, USER)
    facts = {"type": "user_changed_number", "wa_id": own}
    await done(caller, system(vendor, "wamid.sys", {"from": NUMBER}, **facts))
    ids = {"previous": "GB.1", "current": "GB.2"}
    [answer] = await caller.process(moved(vendor, wa_id=own, user_id=ids))
    assert (answer.result, answer.reason) == ("ignored", "no_user_ids")
    contact = one(caller, vendor)
    assert (contact["wa_id"], contact["__data"]["user_id"]) == (NUMBER, USER)
    assert belongs(caller, vendor, contact)


@pytest.mark.parametrize("written", ["{}", "+{}"])
async def test_the_businesss_own_number_is_no_contact(
    caller: Caller, vendor: Vendor, written: str
) -> None:
    own = messaging(vendor)["metadata"]["display_phone_number"]
    state = [
        {"type": "contact", "action": "add", "contact": {"full_name": "Us", "phone_number": number}}
        for number in (written.format(own), NUMBER)
    ]
    await done(caller, change(vendor, "smb_app_state_sync", messaging(vendor, state_sync=state)))
    assert one(caller, vendor)["wa_id"] == NUMBER
    element = message_object("wamid.e", own, to=written.format(own))
    [answer] = await caller.process(echo(vendor, element))
    assert (answer.result, answer.reason) == ("ignored", "own_number")
    assert one(caller, vendor)["wa_id"] == NUMBER


# -- sending --


def _queue(caller: Caller, campaign: Campaign) -> list[Row]:
    return caller.backend.rows("whatsapp_message_queue", campaigns__id=campaign.id)


@pytest.mark.parametrize("user", [USER, LONGER])
@pytest.mark.parametrize("phone", [None, "", " - "])
async def test_a_row_without_a_number_goes_to_its_contacts_user_id(
    caller: Caller, campaign: Campaign, user: str, phone: str | None
) -> None:
    first = _queue(caller, campaign)[0]
    where = {"phone_with_country_code": phone}
    caller.backend.change("whatsapp_message_queue", where, _id=first["_id"])
    known = {"__data": f'{{"user_id": "{user}"}}'}
    caller.backend.change("contacts", known, _id=first["contacts__id"])
    rows = (await caller.claim(campaign)).rows
    assert (rows[0].to, rows[0].recipient) == (None, user)
    assert [(row.to, row.recipient) for row in rows[1:]] == [
        (recipient, None) for recipient in campaign.recipients[1:]
    ]


async def test_a_row_that_keeps_the_user_id_itself(caller: Caller, campaign: Campaign) -> None:
    uid = campaign.row_uids[0]
    facts = {"phone_with_country_code": "", "__data.contact_data": {"user_id": USER}}
    caller.backend.change("whatsapp_message_queue", facts, _uid=uid)
    assert (await caller.claim(campaign)).rows[0].recipient == USER


async def test_a_user_id_where_the_number_belongs(caller: Caller, campaign: Campaign) -> None:
    uid = campaign.row_uids[0]
    caller.backend.change("whatsapp_message_queue", {"phone_with_country_code": USER}, _uid=uid)
    row = (await caller.claim(campaign)).rows[0]
    assert (row.to, row.recipient) == (None, USER)


async def test_a_row_with_nobody_to_send_to_fails_and_holds_nothing(
    caller: Caller, campaign: Campaign
) -> None:
    for uid, phone in zip(campaign.row_uids, ("", "unknown", None), strict=True):
        caller.backend.change(
            "whatsapp_message_queue", {"phone_with_country_code": phone}, _uid=uid
        )
    claim = await caller.claim(campaign)
    assert (claim.rows, claim.due, claim.queued) == ([], 0, 0)
    for row in _queue(caller, campaign):
        assert row["status"] == QueueStatus.ERROR
        assert row["__data"]["process_response"] == {
            "error_message": "The row has no phone number, and its contact no user id.",
            "error_status": "campaign_data_invalid_error",
        }


async def test_the_answer_to_a_send_tells_ids(caller: Caller, campaign: Campaign) -> None:
    first, second, _ = _queue(caller, campaign)
    caller.backend.change(
        "whatsapp_message_queue", {"phone_with_country_code": ""}, _id=first["_id"]
    )
    hidden = {"wa_id": None, "__data": f'{{"user_id": "{USER}"}}'}
    caller.backend.change("contacts", hidden, _id=first["contacts__id"])
    await caller.claim(campaign)
    answers = await caller.report(
        accepted(campaign, first["_uid"], wa_id=NUMBER, user_id=USER),
        accepted(campaign, second["_uid"], wa_id=campaign.recipients[1], user_id=OTHER),
    )
    assert [answer.result for answer in answers] == ["done", "done"]
    for row, wa_id, user in ((first, NUMBER, USER), (second, campaign.recipients[1], OTHER)):
        (contact,) = caller.backend.rows("contacts", _id=row["contacts__id"])
        assert (contact["wa_id"], contact["__data"]["user_id"]) == (wa_id, user)
        (log,) = caller.backend.rows("whatsapp_message_logs", contacts__id=row["contacts__id"])
        assert log["contact_wa_id"] == wa_id


async def test_an_answer_without_a_number_leaves_none(caller: Caller, campaign: Campaign) -> None:
    first = _queue(caller, campaign)[0]
    where = {"phone_with_country_code": USER}
    caller.backend.change("whatsapp_message_queue", where, _id=first["_id"])
    hidden = {"wa_id": None, "__data": f'{{"user_id": "{USER}"}}'}
    caller.backend.change("contacts", hidden, _id=first["contacts__id"])
    await caller.claim(campaign)
    await caller.report(accepted(campaign, first["_uid"], wa_id=USER, user_id=USER))
    (contact,) = caller.backend.rows("contacts", _id=first["contacts__id"])
    (log,) = caller.backend.rows("whatsapp_message_logs", contacts__id=first["contacts__id"])
    assert (contact["wa_id"], log["contact_wa_id"]) == (None, None)


async def test_an_answer_that_shows_two_contacts_to_be_one_person(
    caller: Caller, campaign: Campaign
) -> None:
    vendor = campaign.vendor
    first = _queue(caller, campaign)[0]
    await done(caller, said(vendor, "wamid.u", user=USER))
    caller.backend.change(
        "contacts", {"whatsapp_opt_out": 1, "disable_ai_bot": 1}, vendors__id=vendor.id, wa_id=None
    )
    await caller.claim(campaign)
    number = campaign.recipients[0]
    await caller.report(accepted(campaign, first["_uid"], wa_id=number, user_id=USER))
    await done(caller, said(vendor, "wamid.v", user=USER))
    (contact,) = [
        row
        for row in contacts(caller.backend, vendor)
        if row["wa_id"] == number or (row["__data"] or {}).get("user_id") == USER
    ]
    assert contact["_id"] == first["contacts__id"]
    assert (contact["whatsapp_opt_out"], contact["disable_ai_bot"]) == (1, 1)
