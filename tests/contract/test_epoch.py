"""``epoch``: PHP keeps how far Redis has come, and settles what is pending if Redis went back."""

from typing import Any

import pytest

from contracts import backend as contract
from simulator.backend.seed_bots import SeedBot
from tests.contract.caller import Caller, claim_request
from tests.contract.payloads import accepted
from tests.contract.talk import log, outcome, says, sends, sent
from tests.contract.under_test import Vendor

#: Above whatever other tests have told.
HIGH = 2**52


async def _tell(caller: Caller, epoch: int, at: int = 1, **more: Any) -> contract.EpochAnswer:
    answer = await caller.call(contract.EPOCH, {"epoch": epoch, "at": at, **more})
    return contract.EpochAnswer.model_validate(answer)


async def _reply(caller: Caller, vendor: Vendor) -> tuple[dict[str, Any], str]:
    """Return a customer's message, and the reply that it brings."""
    (bot,) = caller.backend.seed_bots(vendor, SeedBot("is", "open", "We open at nine."))
    update = says(vendor, "open", [(bot, "is")])
    (result,) = await caller.process(update)
    return update, sends(result)[0].id


async def test_the_highest_is_kept(caller: Caller, vendor: Vendor) -> None:
    first = (await _tell(caller, 0)).epoch
    base = max(first, HIGH) + 10
    assert (await _tell(caller, base, 7)).epoch == base
    for epoch in (0, base - 1, base):
        answer = await _tell(caller, epoch, 8)
        assert (answer.epoch, answer.at, answer.made_unknown) == (base, 7, 0)
    answer = await _tell(caller, base + 1, 9)
    assert (answer.epoch, answer.at) == (base + 1, 9)


@pytest.mark.parametrize("epoch", [-1, 2**53 + 1, "5.5", None])
async def test_what_is_no_epoch_is_refused(caller: Caller, vendor: Vendor, epoch: Any) -> None:
    refusal = await caller.refusal(contract.EPOCH, {"epoch": epoch, "at": 1})
    assert refusal == (400, contract.ErrorCode.REQUEST_INVALID)


async def test_claims_and_results_carry_it(caller: Caller, vendor: Vendor) -> None:
    campaign = caller.backend.seed_campaign(vendor, 1)
    base = max((await _tell(caller, 0)).epoch, HIGH) + 10
    [row] = campaign.row_uids
    result = accepted(campaign, row)
    calls = (
        (contract.CLAIM_MESSAGES, claim_request(campaign)),
        (contract.UPDATE_MESSAGE_STATUS, result),
        (contract.UPDATE_MESSAGE_STATUSES, {"results": [result]}),
    )
    for number, (path, request) in enumerate(calls, base):
        await caller.call(f"{path}?epoch={number}&at={number - base}", request)
        answer = await _tell(caller, 0)
        assert (answer.epoch, answer.at) == (number, number - base)
    await caller.call(f"{contract.CLAIM_MESSAGES}?epoch={base}&at=9", claim_request(campaign))
    assert (await _tell(caller, 0)).epoch == base + 2, "the highest is kept"


@pytest.mark.parametrize(
    "query", ["epoch=", "epoch=-1&at=1", "epoch=x&at=1", f"epoch={2**53 + 1}&at=1", "epoch=5"]
)
async def test_a_claim_that_carries_what_is_none_is_refused(
    caller: Caller, vendor: Vendor, query: str
) -> None:
    campaign = caller.backend.seed_campaign(vendor, 1)
    path = f"{contract.CLAIM_MESSAGES}?{query}"
    refusal = await caller.refusal(path, claim_request(campaign))
    assert refusal == (400, contract.ErrorCode.REQUEST_INVALID)
    assert (await caller.claim(campaign)).rows, "nothing was claimed"


async def test_pending_messages_become_unknown(caller: Caller, vendor: Vendor) -> None:
    update, uid = await _reply(caller, vendor)
    _, other = await _reply(caller, vendor)
    await caller.report(sent(vendor, other, wamid="w.other"))
    assert (await _tell(caller, 0)).made_unknown == 0
    assert log(caller, uid)["status"] == "pending"
    assert (await _tell(caller, 0, settle_pending=True)).made_unknown >= 1
    row = log(caller, uid)
    assert (row["status"], row["wamid"]) == ("unknown", None)
    assert "gone back in time" in row["__data"]["error"]["message"]
    assert log(caller, other)["status"] == "accepted"
    assert (await _tell(caller, 0, settle_pending=True)).made_unknown == 0
    (again,) = await caller.process(update)
    assert sends(again) == [], "an update that comes again does not bring it again"


async def test_a_message_that_became_unknown_may_turn_out_to_be_sent(
    caller: Caller, vendor: Vendor
) -> None:
    _, uid = await _reply(caller, vendor)
    await _tell(caller, 0, settle_pending=True)
    await caller.report(outcome(vendor, uid, "unknown"))
    assert log(caller, uid)["status"] == "unknown"
    await caller.report(sent(vendor, uid, wamid="w.late"))
    row = log(caller, uid)
    assert (row["status"], row["wamid"]) == ("accepted", "w.late")


async def test_what_has_failed_does_not_become_unknown(caller: Caller, vendor: Vendor) -> None:
    """A Redis that has gone back asks for what PHP knows better."""
    _, uid = await _reply(caller, vendor)
    await caller.report(outcome(vendor, uid, "failed"))
    (answer,) = await caller.report(outcome(vendor, uid, "unknown"))
    assert (answer.result, answer.reason) == ("ignored", "row_has_failed")
    assert log(caller, uid)["status"] == "failed"
