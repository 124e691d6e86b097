"""``modes``: read, changed by compare-and-set, and what was changed when."""

import asyncio
import itertools
from typing import Any

import orjson
import pytest

from contracts import backend as contract
from contracts.modes import Capability, Mode, Modes, may_become
from tests.contract.caller import Caller
from tests.contract.payloads import now_ms
from tests.contract.switching import modes_of, read, request_for, switch
from tests.contract.under_test import Vendor

DEFAULT = Modes.model_validate({"webhooks": "sidecar", "campaigns": "sidecar", "bots": "php"})


def _said(webhooks: str, campaigns: str, bots: str) -> Modes:
    return Modes.model_validate({"webhooks": webhooks, "campaigns": campaigns, "bots": bots})


async def _config(caller: Caller, vendor: Vendor) -> contract.VendorConfig:
    answer = await caller.call(contract.VENDOR_CONFIG, {"vendor_uids": [vendor.uid]})
    (config,) = contract.VendorConfigAnswer.model_validate(answer).vendors
    return config


async def test_without_a_row_the_installation_says(caller: Caller, vendor: Vendor) -> None:
    other = caller.backend.seed_vendor()
    caller.backend.leave_to_php(other)
    found = await modes_of(caller, vendor, history=True)
    assert (found.title, found.modes, found.history) == (f"Vendor {vendor.id}", DEFAULT, [])
    assert (await modes_of(caller, other)).modes == _said("php", "php", "php")
    config = await _config(caller, vendor)
    assert (config.modes, config.bots_on_sidecar) == (DEFAULT, False)


async def test_all_vendors_are_told_in_their_order(caller: Caller) -> None:
    seeded = [caller.backend.seed_vendor().uid for _ in range(3)]
    told = [one.vendor_uid for one in (await read(caller)).vendors]
    assert told == [row["_uid"] for row in caller.backend.rows("vendors")]
    assert told[-3:] == seeded


async def test_a_change_is_in_the_answer_and_in_the_configuration(
    caller: Caller, vendor: Vendor
) -> None:
    other = caller.backend.seed_vendor()
    before = await read(caller)
    answer = await switch(caller, vendor, webhooks="shadow", bots="sidecar")
    assert answer.version == before.version + 1
    changed = {one.vendor_uid: one.modes for one in answer.vendors}
    assert changed[vendor.uid] == _said("shadow", "sidecar", "sidecar")
    assert changed[other.uid] == DEFAULT
    assert (await modes_of(caller, vendor)).modes == changed[vendor.uid]
    config = await _config(caller, vendor)
    assert (config.modes, config.bots_on_sidecar) == (changed[vendor.uid], True)
    await switch(caller, vendor, bots="shadow")
    assert (await _config(caller, vendor)).bots_on_sidecar is False


async def test_all_changes_or_none(caller: Caller, vendor: Vendor) -> None:
    other = caller.backend.seed_vendor()
    changes = {vendor.uid: {"campaigns": "held"}, "nobody": {"bots": "php"}}
    request = await request_for(caller, changes)
    refused = await caller.refusal(contract.MODES, request)
    assert refused == (404, contract.ErrorCode.VENDOR_UNKNOWN)
    answer = await read(caller)
    assert answer.version == request["version"]
    assert (await modes_of(caller, vendor)).modes == DEFAULT
    both = {vendor.uid: {"campaigns": "held"}, other.uid: {"webhooks": "php"}}
    answer = await read(caller, **await request_for(caller, both))
    found = {one.vendor_uid: one.modes for one in answer.vendors}
    assert found[vendor.uid] == _said("sidecar", "held", "php")
    assert found[other.uid] == _said("php", "sidecar", "php")


@pytest.mark.parametrize("capability", list(Capability))
async def test_modes_change_as_the_table_says(
    caller: Caller, vendor: Vendor, capability: Capability
) -> None:
    """Every step of the table is made, and every other one is refused and changes nothing."""
    possible = [
        mode for mode in Mode if mode is not Mode.HELD or capability is Capability.CAMPAIGNS
    ]
    for now, wanted in itertools.product(possible, possible):
        version = (await switch(caller, vendor, **{capability.value: now.value})).version
        change = {"vendor_uid": vendor.uid, capability.value: wanted.value}
        request = {"version": version, "changes": [change]}
        answer = await caller.signed(contract.MODES, orjson.dumps(request))
        if may_become(capability, now, wanted):
            assert answer.status == 200, (now, wanted)
        else:
            assert (answer.status, answer.code) == (409, "mode_change_forbidden"), (now, wanted)
        found = getattr((await modes_of(caller, vendor)).modes, capability.value)
        assert found is (wanted if answer.status == 200 else now)


async def test_no_step_is_left_out_by_two_changes_in_one_call(
    caller: Caller, vendor: Vendor
) -> None:
    steps = [{"vendor_uid": vendor.uid, "campaigns": mode} for mode in ("held", "php")]
    request = {"version": (await read(caller)).version, "changes": steps}
    refused = await caller.refusal(contract.MODES, request)
    assert refused == (409, contract.ErrorCode.MODE_CHANGE_FORBIDDEN)
    assert (await modes_of(caller, vendor)).modes == DEFAULT


@pytest.mark.parametrize("difference", [-1, 1])
async def test_a_version_that_is_not_the_last_one_is_refused(
    caller: Caller, vendor: Vendor, difference: int
) -> None:
    await switch(caller, vendor, webhooks="php")
    request = await request_for(caller, {vendor.uid: {"webhooks": "sidecar"}})
    request["version"] += difference
    refused = await caller.refusal(contract.MODES, request)
    assert refused == (409, contract.ErrorCode.FENCE_STALE)
    assert (await modes_of(caller, vendor)).modes.webhooks == "php"


@pytest.mark.parametrize(
    "fields",
    [
        {"version": None},
        {"changes": [{"vendor_uid": "nobody", "webhooks": "held"}]},
        {"changes": [{"vendor_uid": "nobody", "bots": "held"}]},
        {"changes": [{"vendor_uid": "nobody", "campaigns": "both"}]},
        {"changes": [{"vendor_uid": "nobody", "mode": "php"}]},
        {"changes": [{"campaigns": "php"}]},
        {"changes": ["nobody"]},
        {"by": "x" * 101},
        {"reason": "x" * 501},
        {"histories": True},
    ],
)
async def test_what_is_not_as_documented_is_refused(
    caller: Caller, vendor: Vendor, fields: dict[str, Any]
) -> None:
    request = await request_for(caller, {vendor.uid: {"webhooks": "php"}})
    refused = await caller.refusal(contract.MODES, request | fields)
    assert refused == (400, contract.ErrorCode.REQUEST_INVALID)
    assert (await modes_of(caller, vendor)).modes == DEFAULT


async def test_what_was_changed_is_kept(caller: Caller, vendor: Vendor) -> None:
    started = now_ms()
    first = await request_for(
        caller, {vendor.uid: {"webhooks": "php"}}, by="Ada", reason="Trying it. ∀ ok?"
    )
    await read(caller, **first)
    last = await switch(caller, vendor, campaigns="held")
    assert (await modes_of(caller, vendor)).history == []
    history = (await modes_of(caller, vendor, history=True)).history
    assert [past.version for past in history] == [first["version"] + 1, last.version]
    assert [(past.by, past.reason) for past in history] == [
        ("Ada", "Trying it. ∀ ok?"),
        (None, None),
    ]
    assert [(past.before, past.after) for past in history] == [
        (DEFAULT, _said("php", "sidecar", "php")),
        (_said("php", "sidecar", "php"), _said("php", "held", "php")),
    ]
    assert all(started <= past.at <= now_ms() for past in history)


async def test_the_last_50_changes_are_kept(caller: Caller, vendor: Vendor) -> None:
    versions = [
        (await switch(caller, vendor, bots="shadow" if turn % 2 else "sidecar")).version
        for turn in range(52)
    ]
    history = (await modes_of(caller, vendor, history=True)).history
    assert [past.version for past in history] == versions[2:]


async def test_what_changes_nothing_is_no_change(caller: Caller, vendor: Vendor) -> None:
    """But it is, where the installation's own configuration was in force so far."""
    before = (await read(caller)).version
    assert (await switch(caller, vendor)).version == before
    assert (await modes_of(caller, vendor, history=True)).history == []
    assert (await switch(caller, vendor, webhooks="sidecar")).version == before + 1
    assert (await switch(caller, vendor, webhooks="sidecar")).version == before + 1
    caller.backend.leave_to_php(caller.backend.seed_vendor())
    (past,) = (await modes_of(caller, vendor, history=True)).history
    assert past.before == past.after == DEFAULT


async def test_a_vendor_that_is_named_twice_is_changed_in_turn(
    caller: Caller, vendor: Vendor
) -> None:
    request = await request_for(caller, {})
    steps = [{"webhooks": "php", "bots": "shadow"}, {"webhooks": "shadow"}]
    request["changes"] = [{"vendor_uid": vendor.uid, **step} for step in steps]
    await read(caller, **request)
    found = await modes_of(caller, vendor, history=True)
    assert found.modes == _said("shadow", "sidecar", "shadow")
    assert len(found.history) == 1


async def test_of_calls_at_the_same_moment_one_changes(caller: Caller) -> None:
    """Each of another vendor, of which none has a row yet."""
    for _ in range(5):
        vendors = [caller.backend.seed_vendor() for _ in range(4)]
        requests = [await request_for(caller, {one.uid: {"bots": "shadow"}}) for one in vendors]
        version = requests[0]["version"]

        async def ask(request: dict[str, Any]) -> int:
            return (await caller.signed(contract.MODES, orjson.dumps(request))).status

        codes = await asyncio.gather(*map(ask, requests))
        assert sorted(codes) == [200, 409, 409, 409]
        assert (await read(caller)).version == version + 1
        shadows = [(await modes_of(caller, one)).modes.bots == "shadow" for one in vendors]
        assert shadows == [code == 200 for code in codes]
