"""Webhooks as they were reported by people who receive them (``payloads``), each with what it
should come to. They are posted to one running installation; each has customers of its own."""

import time
from typing import Any

import orjson

from simulator.backend.wamids import stored
from tests.cases.world import PAYLOADS, PRICE, World

USER = "US.13491208655302741918"


def text_of(row: dict[str, Any] | None) -> str | None:
    assert row is not None
    text: str | None = row["message"]
    return text


def data_of(row: dict[str, Any] | None) -> dict[str, Any]:
    assert row is not None
    data: dict[str, Any] = orjson.loads(row["__data"])
    return data


def name_of(contact: dict[str, Any]) -> str:
    return " ".join(filter(None, (contact["first_name"], contact["last_name"])))


# -- one bad update never takes its neighbours along --


def test_a_lone_surrogate_in_a_name(world: World) -> None:
    world.case("lone-surrogate-name")
    seen = world.see("15550200003")
    [contact] = seen.contacts
    assert name_of(contact) == "Rosa \ufffd"
    assert text_of(world.row("wamid.SURR.3")) == "what is the price"
    assert len(seen.sent) == 1


def test_an_invalid_byte(world: World) -> None:
    world.case("invalid-utf8")
    assert text_of(world.row("wamid.UTF8.1")) == "what is the price"
    assert text_of(world.row("wamid.UTF8.2")) == "price ok"
    [contact] = world.see("15550400001").contacts
    assert name_of(contact) == "Jos\ufffd"
    assert len(world.see("15550400001").sent) == 1
    assert len(world.see("15550400002").sent) == 1


def test_a_null_beside_a_good_message(world: World) -> None:
    world.echo("wamid.OUT.BAD", "15550001111", "from the phone")
    world.case("null-beside-good")
    seen = world.see("15552900001", "wamid.OUT.BAD")
    assert text_of(world.row("wamid.BAD.1")) == "what is the price?"
    assert len(seen.sent) == 1
    assert sum("wamid.BAD.1" in body for body in seen.forwarded) == 1
    assert sum("wamid.OUT.BAD" in body for body in seen.forwarded) == 2, "the echo, the status"


def test_an_entry_without_changes(world: World) -> None:
    world.case("entry-without-changes")
    seen = world.see("15552900002")
    assert text_of(world.row("wamid.BAD.2")) == "what is the price?"
    assert len(seen.sent) == 1
    assert sum("wamid.BAD.2" in body for body in seen.forwarded) == 1


# -- people without a phone number --


def test_a_message_without_a_number_is_answered_by_recipient(world: World) -> None:
    world.case("bsuid-only-price")
    seen = world.see(USER)
    [contact] = seen.contacts
    assert contact["wa_id"] is None
    [sent] = seen.sent
    assert sent["to"] == USER
    assert any(row["message"] == PRICE for row in seen.rows)


def test_a_user_id_in_place_of_a_number(world: World) -> None:
    world.case("bsuid-in-from")
    user = "US.13491208655302741999"
    seen = world.see(user)
    [contact] = seen.contacts
    assert contact["wa_id"] is None
    assert data_of(contact)["user_id"] == user
    [sent] = seen.sent
    assert sent["to"] == user


def test_a_long_user_id_in_place_of_a_number(world: World) -> None:
    world.case("bsuid-long-in-from")
    seen = world.see("BR.A1b2C3d4A1b2C3d4")
    [contact] = seen.contacts
    assert contact["wa_id"] is None
    assert len(data_of(contact)["user_id"]) == 131
    assert len(seen.sent) == 1


def test_one_person_with_and_without_a_number_in_one_post(world: World) -> None:
    world.case("bsuid-both-then-optout")
    seen = world.see("15554300001", "US.77777777")
    [contact] = seen.contacts
    assert contact["wa_id"] == "15554300001"
    assert contact["whatsapp_opt_out"] == 1
    assert text_of(world.row("wamid.OPT.1")) == "stop"
    assert text_of(world.row("wamid.OPT.2")) == "hi"


def test_a_user_id_that_changes(world: World) -> None:
    world.message("", "stop", "wamid.SYS.BEFORE", from_user_id=USER)
    [before] = world.see(USER).contacts
    asked, sent = len(world.see("-").asked), len(world.see(USER).sent)
    world.case("user-changed-user-id")
    [contact] = world.see("US.22222222222222222222").contacts
    assert contact["_id"] == before["_id"]
    assert contact["whatsapp_opt_out"] == 1
    assert data_of(contact)["user_id"] == "US.22222222222222222222"
    assert len(world.see("-").asked) == asked
    assert len(world.see(USER, "US.22222222222222222222").sent) == sent


def test_a_number_that_changes(world: World) -> None:
    world.message("15552000001", "stop", "wamid.SYS.0")
    [before] = world.see("15552000001").contacts
    asked, sent = len(world.see("-").asked), len(world.see("1555200000").sent)
    world.case("user-changed-number")
    contacts = [c for c in world.see("15552000002").contacts if c["wa_id"] == "15552000002"]
    [contact] = contacts
    assert contact["_id"] == before["_id"]
    assert contact["whatsapp_opt_out"] == 1
    assert len(world.see("-").asked) == asked
    assert len(world.see("1555200000").sent) == sent


def test_a_number_that_changes_twice_in_one_post(world: World) -> None:
    old, middle, new = "15552100001", "15552100002", "15552100003"
    now = str(int(time.time()))

    def says(wamid: str, sender: str, **content: Any) -> dict[str, Any]:
        return {"id": wamid, "from": sender, "timestamp": now, **content}

    def moves(wamid: str, sender: str, wa_id: str) -> dict[str, Any]:
        system = {"type": "user_changed_number", "body": "Changed.", "wa_id": wa_id}
        return says(wamid, sender, type="system", system=system)

    messages = [
        says("wamid.TWICE.1", old, type="text", text={"body": "stop"}),
        moves("wamid.TWICE.2", old, middle),
        moves("wamid.TWICE.3", middle, new),
        says("wamid.TWICE.4", new, type="text", text={"body": "price"}),
    ]
    world.value({"messages": messages})
    [contact] = world.see(old, middle, new).contacts
    assert (contact["wa_id"], contact["whatsapp_opt_out"]) == (new, 1)


# -- who is meant --


def test_contacts_of_others_beside_a_message(world: World) -> None:
    world.case("contacts-wrong-name")
    seen = world.see("525550000001", "5215550000001")
    [contact] = seen.contacts
    assert name_of(contact) == "Mex"
    [body] = [body for body in seen.forwarded if "wamid.WN.1" in body]
    assert "Bia" not in body


def test_two_forms_of_a_number(world: World) -> None:
    world.case("br-ninth-digit")
    brazil = world.see("5582999990001", "558299990001")
    [contact] = brazil.contacts
    assert name_of(contact) == "Bia"
    mexico = world.see("525550000001", "5215550000001")
    assert [name_of(contact) for contact in mexico.contacts] == ["Mex"], "of the case before"
    [body] = [body for body in brazil.forwarded if "wamid.BR.1" in body]
    assert "Mex" not in body


def test_actions_beside_messages(world: World) -> None:
    world.case("mixed-user-actions")
    forwarded = world.see("wamid.MIX.1", "wamid.MIX.2", "marketing_messages_link_click").forwarded
    for name in ("wamid.MIX.1", "wamid.MIX.2", '"marketing_messages_link_click"'):
        assert sum(name in body for body in forwarded) == 1
    assert text_of(world.row("wamid.MIX.1")) == "a"
    assert text_of(world.row("wamid.MIX.2")) == "b"


# -- what is answered --


def test_a_message_of_a_group(world: World) -> None:
    asked = len(world.see("-").asked)
    world.case("group-message")
    seen = world.see("15550700001")
    assert text_of(world.row("wamid.GROUP.IN1")) == "does anybody know the price?"
    assert seen.sent == []
    assert len(seen.asked) == asked


def test_a_reaction_and_its_removal(world: World) -> None:
    asked = len(world.see("-").asked)
    world.case("reaction")
    world.case("reaction-removed")
    seen = world.see("15552000009")
    assert text_of(world.row("wamid.REACT.1")) == "\U0001f44d"
    assert data_of(world.row("wamid.REACT.1"))["message"]["reaction"]["message_id"] == (
        "wamid.OUT.K1"
    )
    assert data_of(world.row("wamid.REACT.2"))["message"]["reaction"]["message_id"] == (
        "wamid.OUT.K1"
    )
    assert seen.sent == []
    assert len(seen.asked) == asked


def test_an_edit_and_a_revoke(world: World) -> None:
    sent = len(world.see("15551400001").sent)
    asked = world.see("-").asked
    world.case("edit")
    row = world.row("wamid.EDIT.0")
    assert text_of(row) == "what is the price?"
    assert "helo" in row["__data"]  # type: ignore[index]
    assert world.row("wamid.EDIT.1") is None
    world.case("revoke")
    row = world.row("wamid.EDIT.0")
    assert text_of(row) is None
    assert data_of(row)["sidecar"]["revoked_at"]
    assert world.row("wamid.EDIT.2") is None
    seen = world.see("15551400001")
    bots = [m for m in seen.rows if m["message"] == PRICE]
    assert bots == []
    # The AI answers what was written first, and nothing else.
    assert seen.asked[len(asked) :] in (["helo"], [])
    assert len(seen.sent) <= sent + 1
    assert sum("wamid.EDIT.1" in body for body in seen.forwarded) == 1


def test_an_echo_that_is_revoked(world: World) -> None:
    world.echo("wamid.ECHO.1", "15553300001", "from the phone")
    assert text_of(world.row("wamid.ECHO.1")) == "from the phone"
    world.case("echo-revoke")
    assert data_of(world.row("wamid.ECHO.1"))["sidecar"]["revoked_at"]
    assert world.row("wamid.ECHO.2") is None
    assert world.see("15553300001").sent == []


def test_text_after_it_was_unsupported(world: World) -> None:
    world.message(
        "15551000001",
        "",
        "wamid.UNS.1",
        type="unsupported",
        errors=[{"code": 131051, "title": "Message type unknown"}],
    )
    assert world.see("15551000001").sent == []
    world.case("unsupported-then-text")
    world.case("unsupported-then-text")
    assert text_of(world.row("wamid.UNS.1")) == "what is the price of the blue one?"
    assert len(world.see("15551000001").sent) == 1


# -- other fields --


def test_the_status_of_a_call(world: World) -> None:
    world.case("call-status")
    seen = world.see("wacid.QUJDREVG")
    assert seen.rows == []
    [body] = seen.forwarded
    assert '"RINGING"' in body


def test_changes_are_forwarded_as_they_came(world: World) -> None:
    asked = len(world.see("-").asked)
    for name, mark in {
        "template-status": "18446744073709551617",
        "user-preferences": "User requested to stop marketing messages",
        "quality-update": "THROUGHPUT_UPGRADE",
        "value-errors": "Rate limit hit",
        "history-threads": "wamid.HIST.T1",
    }.items():
        world.case(name)
        [body] = [body for body in world.forwards() if mark in body]
        if name == "template-status":
            assert "1795870000.5" in body or ".5" in body
    seen = world.see("wamid.HIST.T1")
    assert seen.rows == []
    assert seen.sent == []
    assert len(seen.asked) == asked


def test_three_participants_of_a_group_have_read(world: World) -> None:
    world.echo("wamid.OUT.GROUP", "15550001112", "to all of you")
    world.case("group-statuses")
    bodies = "".join(world.see("wamid.OUT.GROUP").forwarded)
    for participant in ("15550700001", "15550700002", "15550700003"):
        assert bodies.count(participant) == 1


def test_another_accounts_removal(world: World) -> None:
    world.case("partner-removed-other")
    with world.installation.tables.snapshot() as query:
        found = query("SELECT count(*) FROM vendor_settings WHERE name LIKE '%disconnected%'", [])
    assert found == [(0,)]
    assert len([body for body in world.forwards() if "PARTNER_REMOVED" in body]) == 1


# -- columns --


def test_a_long_wamid(world: World) -> None:
    world.case("long-wamid")
    seen = world.see("15551800001")
    [row] = [row for row in seen.rows if row["message"] == "what is the price"]
    assert len(row["wamid"]) <= 255
    assert len(seen.sent) == 1
    world.case("long-wamid")
    rows = [r for r in world.see("15551800001").rows if r["message"] == "what is the price"]
    assert len(rows) == 1, "found again"


def test_the_status_of_a_long_wamid(world: World) -> None:
    [path] = PAYLOADS.glob("long-status-wamid.*")
    [entry] = orjson.loads(path.read_bytes())["entry"]
    wamid = entry["changes"][0]["value"]["statuses"][0]["id"]
    assert len(wamid) > 255
    world.echo(wamid, "15550001113", "with a long name")
    world.case("long-status-wamid")
    # It may be the message of the other case, which has the same id.
    [row] = [row for row in world.see(wamid).rows if row["wamid"] == stored(wamid)]
    assert row["status"] == "delivered", "found again"


def test_wamids_are_compared_letter_by_letter(world: World) -> None:
    world.case("wamid-case")
    one, two = world.row("wamid.CaSe"), world.row("wamid.cAsE")
    assert (text_of(one), text_of(two)) == ("one", "two")
    reply = world.row("wamid.CASE.REPLY")
    assert reply is not None
    assert two is not None
    assert reply["replied_to_whatsapp_message_logs__uid"] == two["_uid"]


def test_large_integers_keep_their_digits(world: World) -> None:
    world.case("huge-int")
    row = world.row("wamid.INT.1")
    assert row is not None
    assert "18446744073709551617" in row["__data"]
    [body] = world.see("wamid.INT.1").forwarded
    assert "18446744073709551617" in body
    assert "0.1234567890123456789" in body
    assert "1e+22" in body


def test_a_byte_order_mark(world: World) -> None:
    world.case("bom")
    assert text_of(world.row("wamid.BOM.1")) == "what is the price?"
    assert len(world.see("15553600001").sent) == 1


def test_nothing_of_it_became_a_dead_letter_but_what_cannot_be_read(world: World) -> None:
    """Runs last."""
    accounting = world.accounting()
    assert accounting.effects.parts["dead"] == 0
    assert accounting.updates.parts["dead"] == 0
