"""``bots``: all bots of a vendor, in the order in which they are tried."""

from typing import Any

from contracts import backend as contract
from contracts.bots import BotHours, BotsAnswer, TriggerType
from simulator.backend.seed_bots import SeedBot
from tests.contract.caller import Caller
from tests.contract.under_test import Vendor


async def _bots(caller: Caller, **request: Any) -> BotsAnswer:
    return BotsAnswer.model_validate(await caller.call(contract.BOTS, request))


async def test_bots_stand_in_their_order(caller: Caller, vendor: Vendor) -> None:
    last, first, second = caller.backend.seed_bots(
        vendor,
        SeedBot(TriggerType.CONTAINS, " Shoes, socks ,,0", "We have some.", priority=2),
        SeedBot(TriggerType.WELCOME, None, "Welcome!"),
        SeedBot("of_tomorrow", "x"),
    )
    (found,) = (await _bots(caller, vendor_uids=[vendor.uid])).vendors
    assert (found.vendor_uid, found.vendor_id, found.hours) == (vendor.uid, vendor.id, None)
    assert [bot.bot_uid for bot in found.bots] == [first, second, last]
    assert [bot.trigger_type for bot in found.bots] == ["welcome", "of_tomorrow", "contains"]
    assert [bot.reply_trigger for bot in found.bots] == [None, "x", " Shoes, socks ,,0"]


async def test_a_bot_is_active_where_its_flow_is(caller: Caller, vendor: Vendor) -> None:
    bots = [
        SeedBot("is", "a", active=active, flow_active=flow)
        for active in (True, False)
        for flow in (None, True, False)
    ]
    caller.backend.seed_bots(vendor, *bots)
    (found,) = (await _bots(caller, vendor_uids=[vendor.uid])).vendors
    assert [bot.active for bot in found.bots] == [True, True, False, False, False, False]


async def test_vendors_are_named_by_either_id(caller: Caller, vendor: Vendor) -> None:
    other, third = caller.backend.seed_vendor(), caller.backend.seed_vendor()
    caller.backend.seed_bots(other, SeedBot("is", "a"))
    answer = await _bots(
        caller,
        vendor_uids=[vendor.uid, "nobody"],
        vendor_ids=[other.id, vendor.id, 999_999_999],
    )
    found = {one.vendor_uid: len(one.bots) for one in answer.vendors}
    assert len(answer.vendors) == 2
    assert found == {vendor.uid: 0, other.uid: 1}
    assert third.uid not in found
    assert (await _bots(caller)).vendors == []


async def test_bot_hours_are_told(caller: Caller, vendor: Vendor) -> None:
    hours = BotHours(
        start="22:30", end="06:00", timezone="Asia/Kolkata", trigger_types=["welcome", "is"]
    )
    caller.backend.seed_effects(vendor, hours=hours)
    (found,) = (await _bots(caller, vendor_uids=[vendor.uid])).vendors
    assert found.hours == hours


async def test_too_many_are_refused(caller: Caller) -> None:
    request = {"vendor_uids": [f"v{n}" for n in range(1001)]}
    assert await caller.refusal(contract.BOTS, request) == (400, "request_invalid")
    assert await caller.refusal(contract.BOTS, {"vendor_ids": ["x"]}) == (400, "request_invalid")
    assert await caller.refusal(contract.BOTS, {"vendors": []}) == (400, "request_invalid")
