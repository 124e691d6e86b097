"""Every update goes to the vendor's own webhook, and what is done to open browsers, if the vendor
has a target for them."""

import uuid
from typing import Any

import pytest

from contracts.backend import UpdateResult
from contracts.cloud_api.people import NAMES
from contracts.effects import Broadcast, Broadcaster, Forward, ForwardTarget, parse_effect
from tests.contract.caller import Caller
from tests.contract.payloads import (
    accepted,
    change,
    echo,
    message,
    message_object,
    now_ms,
    status,
    status_object,
    wamid_of,
)
from tests.contract.talk import CUSTOMER, effects_of
from tests.contract.under_test import Campaign, Vendor

TARGET = ForwardTarget(url="http://127.0.0.1:2/hook", secret="s")
PUSHER = Broadcaster(url="http://127.0.0.1:3", app_id="4", key="k", secret="s")


def _updates(vendor: Vendor) -> list[dict[str, Any]]:
    sync = {
        "state_sync": [
            {
                "type": "contact",
                "action": "add",
                "contact": {"full_name": "Ben", "phone_number": "999700000009"},
            }
        ]
    }
    return [
        message(vendor, message_object("wamid.in", CUSTOMER)),
        echo(vendor, message_object("wamid.out", "99900000000", to=CUSTOMER)),
        status(vendor, status_object("wamid.out", "read")),
        change(vendor, "smb_app_state_sync", sync),
    ]


async def test_every_kind_is_forwarded(caller: Caller, vendor: Vendor) -> None:
    caller.backend.seed_effects(vendor, forward=TARGET)
    updates = _updates(vendor)
    first = [effects_of(result) for result in await caller.process(*updates)]
    assert [[type(effect) for effect in effects] for effects in first] == [[Forward]] * 4
    ids = [effect.id for effects in first for effect in effects]
    assert len({uuid.UUID(id_) for id_ in ids}) == 4
    again = await caller.process(*[{**update, "attempt": 2} for update in updates])
    assert [effects_of(result) for result in again] == first


async def test_what_meta_delivers_twice_is_forwarded_as_one(caller: Caller, vendor: Vendor) -> None:
    caller.backend.seed_effects(vendor, forward=TARGET)
    updates = _updates(vendor)[:3]
    first = await caller.process(*updates)
    again = await caller.process(*[{**update, "id": f"{update['id']}-b"} for update in updates])
    assert [effects_of(result) for result in again] == [effects_of(result) for result in first]


async def test_every_kind_is_broadcast(caller: Caller, vendor: Vendor) -> None:
    caller.backend.seed_effects(vendor, broadcaster=PUSHER)
    for result in await caller.process(*_updates(vendor)):
        (effect,) = effects_of(result)
        assert isinstance(effect, Broadcast)
        assert effect.event
        assert all(vendor.uid in channel for channel in effect.channels)


async def test_a_broadcast_names_the_campaign(caller: Caller, campaign: Campaign) -> None:
    vendor = campaign.vendor
    caller.backend.seed_effects(vendor, broadcaster=PUSHER)
    await caller.claim(campaign)
    uid = campaign.row_uids[0]
    await caller.report(accepted(campaign, uid))
    (result,) = await caller.process(status(vendor, status_object(wamid_of(uid), "sent")))
    (effect,) = effects_of(result)
    assert isinstance(effect, Broadcast)
    assert campaign.uid in str(effect.data)


async def test_without_targets_there_is_nothing_to_do(caller: Caller, vendor: Vendor) -> None:
    for result in await caller.process(*_updates(vendor)):
        assert effects_of(result) == []


def _named(result: UpdateResult) -> list[Any]:
    """Return the effects, whatever the result is."""
    return [parse_effect(effect) for effect in result.effects]


#: Changes that no engine applies, by their fields.
CHANGES: dict[str, dict[str, Any]] = {
    "history": {"history": [{"threads": [{"messages": [message_object("wamid.h", CUSTOMER)]}]}]},
    "standby": {"messages": [message_object("wamid.s", CUSTOMER)]},
    "message_template_status_update": {"event": "PAUSED", "message_template_id": 2**63},
    "phone_number_quality_update": {"event": "ONBOARDING"},
    "account_update": {"event": "ACCOUNT_DELETED"},
    **{
        name: {"event": "x", "messages": [message_object("wamid.x", CUSTOMER)]}
        for name in (
            *("account_alerts", "account_review_update", "account_settings_update"),
            *("automatic_events", "business_capability_update", "flows", "messaging_handovers"),
            *("message_template_components_update", "message_template_quality_update"),
            *("partner_solutions", "payment_configuration_update", "phone_number_name_update"),
            *("security", "template_category_update"),
        )
    },
    "calls": {"calls": [{"id": "wacid.1", "event": "connect"}]},
    "group_lifecycle_update": {"groups": [{"group_id": "g"}]},
    "user_preferences": {"user_preferences": [{"wa_id": CUSTOMER, "category": "x"}]},
    "messages": {"errors": [{"code": 130429}]},
    "from_the_future": {"messages": [{"id": "x"}], "statuses": [{"id": "x"}]},
    "": {"user_actions": [{"action_type": "click"}]},
}


@pytest.mark.parametrize("field", CHANGES)
async def test_a_change_of_any_field_is_forwarded(
    caller: Caller, vendor: Vendor, field: str
) -> None:
    caller.backend.seed_effects(vendor, forward=TARGET, broadcaster=PUSHER)
    both = [change(vendor, field, CHANGES[field]) for _ in range(2)]
    results = await caller.process(*both)
    assert [result.result for result in results] == ["ignored"] * 2
    effects = [_named(result) for result in results]
    assert [[type(effect) for effect in some] for some in effects] == [[Forward]] * 2
    assert effects[0] != effects[1], "nothing says that they are the same"
    assert [_named(result) for result in await caller.process(*both)] == effects


async def test_what_is_ignored_is_forwarded_and_not_broadcast(
    caller: Caller, vendor: Vendor
) -> None:
    caller.backend.seed_effects(vendor, forward=TARGET, broadcaster=PUSHER)
    old = now_ms() - 7 * 86_400_000
    updates = [
        message(vendor, message_object("wamid.w", CUSTOMER, type="request_welcome")),
        message(vendor, message_object("wamid.n", CUSTOMER), number="000"),
        echo(vendor, message_object("wamid.e", None)),
        status(vendor, status_object("wamid.unknown", "read"), received_at=old),
    ]
    first = await caller.process(*updates)
    assert [result.result for result in first] == ["ignored"] * 4
    effects = [_named(result) for result in first]
    assert [[type(effect) for effect in some] for some in effects] == [[Forward]] * 4
    assert len({effect.id for some in effects for effect in some}) == 4
    again = await caller.process(*[{**one, "id": f"{one['id']}-b"} for one in updates])
    assert [_named(result) for result in again] == effects, "known by what they are"


async def test_what_comes_again_is_told_then(caller: Caller, vendor: Vendor) -> None:
    caller.backend.seed_effects(vendor, forward=TARGET, broadcaster=PUSHER)
    (result,) = await caller.process(status(vendor, status_object("wamid.unknown", "sent")))
    assert (result.result, result.effects) == ("retry", [])


async def test_nothing_is_told_of_a_vendor_that_is_not_active(
    caller: Caller, vendor: Vendor
) -> None:
    caller.backend.seed_effects(vendor, forward=TARGET, broadcaster=PUSHER)
    caller.backend.change("vendors", {"status": 2}, _uid=vendor.uid)
    for result in await caller.process(*_updates(vendor)):
        assert (result.result, result.effects) == ("ignored", [])


async def test_different_facts_have_different_forwards(caller: Caller, vendor: Vendor) -> None:
    caller.backend.seed_effects(vendor, forward=TARGET)
    whose = [{name: one} for name in NAMES["status"] for one in ("1", "2")]
    reads = [{**status_object("wamid.g", "read"), **one} for one in whose]
    old = now_ms() - 7 * 86_400_000
    updates = [
        *(status(vendor, read, received_at=old) for read in reads),
        status(vendor, status_object("wamid.g", "read", at=1), received_at=old),
        status(vendor, status_object("wamid.g", "sent"), received_at=old),
        message(vendor, message_object("wamid.g", CUSTOMER, type="unsupported"), number="000"),
        message(vendor, message_object("wamid.g", CUSTOMER), number="000"),
        echo(vendor, message_object("wamid.g", "1", to=CUSTOMER)),
    ]
    results = [(await caller.process(update))[0] for update in updates]
    ids = [effect.id for result in results for effect in _named(result)]
    assert len(set(ids)) == len(updates)


@pytest.mark.parametrize("setting", ['["messages", "history"]', "messages , history"])
async def test_a_setting_narrows_what_is_forwarded(
    caller: Caller, vendor: Vendor, setting: str
) -> None:
    caller.backend.seed_effects(vendor, forward=TARGET)
    caller.backend.set_setting(vendor, "webhook_forward_fields", setting)
    fields = ["history", "calls", "", "messages", "smb_message_echoes"]
    values: dict[str, Any] = {"anything": 1}
    results = await caller.process(*(change(vendor, field, values) for field in fields))
    told = {field for field, one in zip(fields, results, strict=True) if _named(one)}
    assert told == {"history", "messages", ""}, "without a field it is a message's"
    (result,) = await caller.process(_updates(vendor)[0])
    assert [type(effect) for effect in _named(result)] == [Forward]


@pytest.mark.parametrize(("setting", "is_told"), [("", True), ("[]", False), ("[1", False)])
async def test_no_names_are_no_fields_unless_there_is_no_setting(
    caller: Caller, vendor: Vendor, setting: str, is_told: bool
) -> None:
    caller.backend.seed_effects(vendor, forward=TARGET)
    caller.backend.set_setting(vendor, "webhook_forward_fields", setting)
    (result,) = await caller.process(_updates(vendor)[0])
    assert bool(_named(result)) is is_told
