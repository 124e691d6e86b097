"""Modes of vendors, read and changed."""

from collections.abc import Mapping
from typing import Any

from contracts import backend as contract
from contracts.modes import Capability, Mode, ModesAnswer, VendorModes, may_become
from tests.contract.caller import Caller
from tests.contract.under_test import Vendor


async def read(caller: Caller, **fields: Any) -> ModesAnswer:
    return ModesAnswer.model_validate(await caller.call(contract.MODES, fields))


async def modes_of(caller: Caller, vendor: Vendor, **fields: Any) -> VendorModes:
    answer = await read(caller, **fields)
    (found,) = [one for one in answer.vendors if one.vendor_uid == vendor.uid]
    return found


async def request_for(
    caller: Caller, changes: Mapping[str, Mapping[str, str]], **fields: Any
) -> dict[str, Any]:
    """Return a request that makes these changes, by the vendor's uid, of the modes as they are."""
    version = (await read(caller)).version
    listed = [{"vendor_uid": uid, **change} for uid, change in changes.items()]
    return {"version": version, "changes": listed, **fields}


async def switch(caller: Caller, vendor: Vendor, **change: str) -> ModesAnswer:
    """Change a vendor's modes, which nobody else does meanwhile; campaigns in two steps where one
    is forbidden."""
    answer = await read(caller)
    (found,) = [one for one in answer.vendors if one.vendor_uid == vendor.uid]
    now = found.modes.campaigns
    if not may_become(Capability.CAMPAIGNS, now, Mode(change.get("campaigns", now))):
        held = {"vendor_uid": vendor.uid, "campaigns": Mode.HELD.value}
        answer = await read(caller, version=answer.version, changes=[held])
    change = {"vendor_uid": vendor.uid, **change}
    return await read(caller, version=answer.version, changes=[change])
