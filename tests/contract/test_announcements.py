"""Every update that is done goes to the vendor's own webhook and to open browsers, if it has a
target for them."""

import uuid
from typing import Any

import pytest

from contracts.effects import Broadcast, Broadcaster, Forward, ForwardTarget
from tests.contract.caller import Caller
from tests.contract.payloads import (
    accepted,
    change,
    echo,
    message,
    message_object,
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


@pytest.mark.parametrize("kind", ["ignored", "retry"])
async def test_what_is_not_done_is_not_told(caller: Caller, vendor: Vendor, kind: str) -> None:
    caller.backend.seed_effects(vendor, forward=TARGET, broadcaster=PUSHER)
    update = {
        "ignored": message(vendor, message_object("w", CUSTOMER, type="request_welcome")),
        "retry": status(vendor, status_object("wamid.unknown", "sent")),
    }[kind]
    (result,) = await caller.process(update)
    assert (result.result, result.effects) == (kind, [])
