"""``observe``: what the tables say of messages."""

from datetime import timedelta
from typing import Any

import pytest

from contracts import backend as contract
from contracts.backend import QueueStatus
from contracts.observation import Observation, ObserveAnswer
from simulator.backend.seed_bots import SeedBot
from tests.contract.caller import Caller
from tests.contract.payloads import (
    accepted,
    echo,
    message,
    message_object,
    now_ms,
    status,
    status_object,
    to_text,
    wamid_of,
)
from tests.contract.talk import CUSTOMER, says
from tests.contract.under_test import Campaign, Vendor

LOGS = "whatsapp_message_logs"


async def _observe(caller: Caller, *messages: tuple[Vendor, str]) -> list[Observation]:
    asked = [{"vendor_uid": vendor.uid, "wamid": wamid} for vendor, wamid in messages]
    answer = await caller.call(contract.OBSERVE, {"messages": asked})
    found = ObserveAnswer.model_validate(answer).messages
    assert [{"vendor_uid": one.vendor_uid, "wamid": one.wamid} for one in found] == asked
    return found


async def _one(caller: Caller, vendor: Vendor, wamid: str) -> Observation:
    (found,) = await _observe(caller, (vendor, wamid))
    return found


async def test_a_campaigns_message_from_its_send_to_its_status(
    caller: Caller, vendor: Vendor, campaign: Campaign
) -> None:
    first, second, _ = campaign.row_uids
    await caller.claim(campaign, 2)
    assert not (await _one(caller, vendor, wamid_of(first))).logged
    await caller.report(accepted(campaign, first), accepted(campaign, second))
    found = await _one(caller, vendor, wamid_of(first))
    assert (found.logged, found.incoming, found.status) == (True, False, "accepted")
    assert (found.campaign_uid, found.queue_status) == (campaign.uid, QueueStatus.AWAITING_STATUS)
    assert (found.bots, found.first_in_24h, found.bots_off) == (None, None, False)
    await caller.process(status(vendor, status_object(wamid_of(first), "delivered", row_uid=first)))
    found, other = await _observe(caller, (vendor, wamid_of(first)), (vendor, wamid_of(second)))
    assert (found.status, found.campaign_uid) == ("delivered", campaign.uid)
    assert found.queue_status is None
    assert (other.status, other.queue_status) == ("accepted", QueueStatus.AWAITING_STATUS)


async def test_the_queues_row_is_that_of_the_same_campaign(
    caller: Caller, vendor: Vendor, campaign: Campaign
) -> None:
    other = caller.backend.seed_campaign(vendor, 3)
    assert other.recipients == campaign.recipients
    await caller.claim(campaign, 1)
    await caller.report(accepted(campaign, campaign.row_uids[0]))
    found = await _one(caller, vendor, wamid_of(campaign.row_uids[0]))
    assert found.queue_status == QueueStatus.AWAITING_STATUS


async def test_what_is_not_in_the_log(caller: Caller, vendor: Vendor) -> None:
    other = caller.backend.seed_vendor()
    await caller.process(message(vendor, message_object("wamid.Mine", CUSTOMER)))
    asked = [(vendor, "wamid.mine"), (other, "wamid.Mine"), (vendor, "wamid.Mine")]
    assert [one.logged for one in await _observe(caller, *asked)] == [False, False, True]
    request = {"messages": [{"vendor_uid": "nobody", "wamid": "wamid.Mine"}]}
    (found,) = (await caller.call(contract.OBSERVE, request))["messages"]
    assert found["logged"] is False


async def test_bots_that_have_answered(caller: Caller, vendor: Vendor) -> None:
    """In order, also those that only switch something; whoever has found them."""
    hello, stop, last = caller.backend.seed_bots(
        vendor,
        SeedBot("welcome", None, "Hi!"),
        SeedBot("stop_promotional", "halt"),
        SeedBot("contains", "to", "So be it."),
    )
    ours = [(hello, "welcome"), (stop, "stop_promotional"), (last, "contains")]
    await caller.process(
        says(vendor, "stop", ours, wamid="w.1"),
        says(vendor, "stop", None, wamid="w.2"),
        says(vendor, "nothing", [], wamid="w.3"),
        says(vendor, "nothing", None, wamid="w.4"),
        echo(vendor, message_object("w.5", "99900000000", to=CUSTOMER)),
    )
    found = await _observe(caller, *((vendor, f"w.{n}") for n in range(1, 6)))
    assert [one.bots for one in found] == [[hello, stop, last], [last], [], [], None]
    assert [one.incoming for one in found] == [True, True, True, True, False]


async def test_without_bots_none_has_answered(caller: Caller, vendor: Vendor) -> None:
    await caller.process(says(vendor, "Hello?", None, wamid="w.1"))
    assert (await _one(caller, vendor, "w.1")).bots == []


@pytest.mark.parametrize("data", [None, {}, {"sidecar": {}}, {"sidecar": None}])
async def test_a_row_of_the_applications_own_does_not_tell(
    caller: Caller, vendor: Vendor, data: Any
) -> None:
    await caller.process(says(vendor, "Hello?", None, wamid="w.1"))
    caller.backend.change(LOGS, {"__data": None}, vendors__id=vendor.id)
    for name, value in (data or {}).items():
        caller.backend.change(LOGS, {f"__data.{name}": value}, vendors__id=vendor.id)
    found = await _one(caller, vendor, "w.1")
    assert (found.logged, found.bots) == (True, None)


async def test_a_contact_who_has_disabled_replies(caller: Caller, vendor: Vendor) -> None:
    (bot,) = caller.backend.seed_bots(vendor, SeedBot("is", "open", "At nine."))
    await caller.process(says(vendor, "open", [(bot, "is")], wamid="w.1"))
    caller.backend.change("contacts", {"disable_reply_bot": 1}, vendors__id=vendor.id)
    await caller.process(says(vendor, "open", [(bot, "is")], wamid="w.2"))
    found = await _observe(caller, (vendor, "w.1"), (vendor, "w.2"))
    assert [(one.bots, one.bots_off) for one in found] == [([bot], True), ([], True)]


@pytest.mark.parametrize(("hours", "first"), [(23.9, False), (24.1, True)])
async def test_the_first_message_in_24_hours(
    caller: Caller, vendor: Vendor, hours: float, first: bool
) -> None:
    """By when they were stored; what came later, or from somebody else, is not asked."""
    await caller.process(
        says(vendor, "A", None, wamid="w.other", sender="999700000002"),
        says(vendor, "B", None, wamid="w.1"),
        echo(vendor, message_object("w.echo", "99900000000", to=CUSTOMER)),
        says(vendor, "C", None, wamid="w.2"),
        says(vendor, "D", None, wamid="w.3"),
    )
    ago = to_text(now_ms() // 1000 - int(timedelta(hours=hours).total_seconds()))
    caller.backend.change(LOGS, {"created_at": ago}, wamid="w.1")
    found = await _observe(caller, *((vendor, f"w.{n}") for n in (1, 2, 3, "echo")))
    assert [one.first_in_24h for one in found] == [True, first, False, None]


@pytest.mark.parametrize(
    "request_",
    [{}, {"messages": []}, {"messages": [{"wamid": "w"}]}, {"messages": [{}] * 1001}],
)
async def test_what_is_not_as_documented_is_refused(
    caller: Caller, request_: dict[str, Any]
) -> None:
    refused = await caller.refusal(contract.OBSERVE, request_)
    assert refused == (400, contract.ErrorCode.REQUEST_INVALID)
