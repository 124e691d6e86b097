"""Changes that are neither message nor status."""

from typing import Any

import pytest

from contracts import backend as contract
from tests.contract.caller import Caller
from tests.contract.payloads import change, message, message_object
from tests.contract.talk import CUSTOMER
from tests.contract.under_test import Vendor

DISCONNECTED = "whatsapp_account_disconnected_at"
ACCOUNT_ID = "whatsapp_business_account_id"


def _removed(vendor: Vendor, entry: Any, account: Any = None) -> dict[str, Any]:
    """Return the removal of an account, as ``waba_info`` names it; ``entry`` is the webhook's."""
    value: dict[str, Any] = {"event": "PARTNER_REMOVED"}
    if account is not None:
        value["waba_info"] = {"waba_id": account, "owner_business_id": "2329417887457253"}
    update = change(vendor, "account_update", value)
    update["payload"]["entry"][0]["id"] = entry
    return update


async def _process(caller: Caller, update: dict[str, Any]) -> tuple[str, str | None]:
    (answer,) = await caller.process(update)
    return str(answer.result), answer.reason


async def test_partner_removed_disconnects_the_account(caller: Caller, vendor: Vendor) -> None:
    own = vendor.business_account_id
    assert not caller.backend.setting(vendor, DISCONNECTED)
    assert await _process(caller, _removed(vendor, own)) == ("done", None)
    since = caller.backend.setting(vendor, DISCONNECTED)
    assert since
    assert await _process(caller, _removed(vendor, own)) == ("done", None)
    assert caller.backend.setting(vendor, DISCONNECTED) == since


@pytest.mark.parametrize("named", ["entry", "number", "info", "info as a number"])
async def test_the_own_account_however_it_is_named(
    caller: Caller, vendor: Vendor, named: str
) -> None:
    own = vendor.business_account_id
    removed = {
        "entry": _removed(vendor, own),
        "number": _removed(vendor, int(own)),
        "info": _removed(vendor, "2329417887457253", own),
        "info as a number": _removed(vendor, None, int(own)),
    }[named]
    assert await _process(caller, removed) == ("done", None)
    assert caller.backend.setting(vendor, DISCONNECTED)


async def test_another_accounts_removal_disconnects_nobody(caller: Caller, vendor: Vendor) -> None:
    other = "399999999999999"
    for removed in (
        _removed(vendor, other),
        _removed(vendor, other, other),
        _removed(vendor, vendor.business_account_id, other),
        _removed(vendor, None),
        _removed(vendor, vendor.business_account_id + "0"),
        _removed(vendor, [vendor.business_account_id]),
    ):
        assert await _process(caller, removed) == ("ignored", "account_not_own")
    caller.backend.delete("vendor_settings", name=ACCOUNT_ID, vendors__id=vendor.id)
    own = _removed(vendor, vendor.business_account_id)
    assert await _process(caller, own) == ("ignored", "account_not_own"), "it has none"
    assert not caller.backend.setting(vendor, DISCONNECTED)


async def test_an_account_in_a_whole_webhook(caller: Caller, vendor: Vendor) -> None:
    path = contract.PROCESS_WEBHOOK.format(vendor_uid=vendor.uid)
    other = await caller.call(path, _removed(vendor, "399999999999999")["payload"])
    assert (other["result"], other["reason"]) == ("ignored", "account_not_own")
    assert not caller.backend.setting(vendor, DISCONNECTED)
    own = await caller.call(path, _removed(vendor, vendor.business_account_id)["payload"])
    assert own["result"] == "done"
    assert caller.backend.setting(vendor, DISCONNECTED)


@pytest.mark.parametrize(
    "event", ["PARTNER_ADDED", "ACCOUNT_DELETED", "DISABLED_UPDATE", None, ["PARTNER_REMOVED"]]
)
async def test_another_event_disconnects_nobody(caller: Caller, vendor: Vendor, event: Any) -> None:
    update = change(vendor, "account_update", {"event": event})
    assert await _process(caller, update) == ("ignored", "event_not_used")
    assert not caller.backend.setting(vendor, DISCONNECTED)


def _synced(number: str, name: str | None, action: str = "add") -> dict[str, Any]:
    contact = {"phone_number": number, "full_name": name, "first_name": (name or "").split(" ")[0]}
    return {"type": "contact", "contact": contact, "action": action}


async def test_contacts_of_the_phone_are_upserted(caller: Caller, vendor: Vendor) -> None:
    first = [_synced("+999 1001", "Ada Stone"), _synced("9991002", "Ben Hill")]
    second = [_synced("9991001", "Ada Rivers"), _synced("9991002", "Not Ben", "remove")]
    for contacts in (first, second):
        (answer,) = await caller.process(
            change(vendor, "smb_app_state_sync", {"state_sync": contacts})
        )
        assert answer.result == "done"
    contacts = caller.backend.rows("contacts", vendors__id=vendor.id)
    names = [(row["wa_id"], row["first_name"], row["last_name"]) for row in contacts]
    assert names == [("9991001", "Ada", "Rivers"), ("9991002", "Ben", "Hill")]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("history", {"history": [{"metadata": {"phase": 0}, "threads": []}]}),
        ("phone_number_quality_update", {"event": "ONBOARDING"}),
        ("from_the_future", {"anything": [1, 2]}),
        ("messages", {"user_actions": [{"type": "click"}]}),
        ("smb_app_state_sync", {"state_sync": "none"}),
    ],
)
async def test_other_fields_are_ignored(
    caller: Caller, vendor: Vendor, field: str, value: dict[str, Any]
) -> None:
    (answer,) = await caller.process(change(vendor, field, value))
    assert answer.result == "ignored"
    assert answer.reason
    assert caller.backend.rows("contacts", vendors__id=vendor.id) == []


def _said(vendor: Vendor, value: Any, at: Any = 1_795_870_004, **whom: Any) -> dict[str, Any]:
    """Return what somebody says about marketing messages."""
    said = {"category": "marketing_messages", "value": value, "timestamp": at, "detail": "x"}
    preference = {**(whom or {"wa_id": CUSTOMER}), **said}
    return change(vendor, "user_preferences", {"user_preferences": [preference]})


def _opted_out(caller: Caller, vendor: Vendor) -> list[bool]:
    rows = caller.backend.rows("contacts", vendors__id=vendor.id)
    return [bool(row["whatsapp_opt_out"]) for row in rows]


async def test_who_stops_marketing_messages_is_opted_out(caller: Caller, vendor: Vendor) -> None:
    await caller.process(message(vendor, message_object("wamid.1", CUSTOMER)))
    assert _opted_out(caller, vendor) == [False]
    assert await _process(caller, _said(vendor, "stop", 10)) == ("done", None)
    assert _opted_out(caller, vendor) == [True]
    assert await _process(caller, _said(vendor, "resume", "20")) == ("done", None)
    assert _opted_out(caller, vendor) == [False]


@pytest.mark.parametrize("order", [("stop", "resume"), ("resume", "stop")])
async def test_what_was_said_last_counts_in_whatever_order_it_comes(
    caller: Caller, vendor: Vendor, order: tuple[str, str]
) -> None:
    await caller.process(message(vendor, message_object("wamid.1", CUSTOMER)))
    first, last = order
    for value, at in ((last, 20), (first, 10), (last, 20), (first, 10)):
        assert await _process(caller, _said(vendor, value, at)) == ("done", None)
    assert _opted_out(caller, vendor) == [last == "stop"]


@pytest.mark.parametrize("order", [("stop", "resume"), ("resume", "stop")])
async def test_of_two_at_the_same_moment_stop_counts(
    caller: Caller, vendor: Vendor, order: tuple[str, str]
) -> None:
    await caller.process(message(vendor, message_object("wamid.1", CUSTOMER)))
    for value in order:
        await caller.process(_said(vendor, value, 10))
    assert _opted_out(caller, vendor) == [True]


@pytest.mark.parametrize(
    ("wrote", "said"),
    [
        ({"from": "5511912345678"}, {"wa_id": "551112345678"}),
        ({"from": "551112345678"}, {"wa_id": 5511912345678}),
        ({"from_user_id": "US.1349"}, {"user_id": "US.1349"}),
        ({"from_user_id": "US.1350"}, {"wa_id": "US.1350"}),
    ],
)
async def test_whoever_is_meant_is_found(
    caller: Caller, vendor: Vendor, wrote: dict[str, Any], said: dict[str, Any]
) -> None:
    await caller.process(message(vendor, message_object("wamid.1", None, **wrote), contacts=[]))
    assert await _process(caller, _said(vendor, "stop", **said)) == ("done", None)
    assert _opted_out(caller, vendor) == [True]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"value": "stop"}, "contact_unknown"),
        ({"value": "stop", "wa_id": None}, "contact_unknown"),
        ({"value": "signup"}, "preference_not_used"),
        ({"value": ["stop"]}, "preference_not_used"),
        ({"value": None}, "preference_not_used"),
    ],
)
async def test_a_preference_of_nobody_who_is_known_makes_no_contact(
    caller: Caller, vendor: Vendor, said: dict[str, Any], reason: str
) -> None:
    assert await _process(caller, _said(vendor, **said)) == ("ignored", reason)
    assert caller.backend.rows("contacts", vendors__id=vendor.id) == []


async def test_another_category_is_left_alone(caller: Caller, vendor: Vendor) -> None:
    await caller.process(message(vendor, message_object("wamid.1", CUSTOMER)))
    update = _said(vendor, "stop")
    update["payload"]["entry"][0]["changes"][0]["value"]["user_preferences"][0]["category"] = "x"
    assert await _process(caller, update) == ("ignored", "preference_not_used")
    assert _opted_out(caller, vendor) == [False]


async def test_another_vendors_contact_is_left_alone(caller: Caller, vendor: Vendor) -> None:
    other = caller.backend.seed_vendor()
    await caller.process(message(other, message_object("wamid.1", CUSTOMER)))
    assert await _process(caller, _said(vendor, "stop")) == ("ignored", "contact_unknown")
    assert _opted_out(caller, other) == [False]
