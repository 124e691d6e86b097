"""Results without a campaign: what became of a message that is no campaign's."""

from typing import Any

import pytest

from simulator.backend.seed_bots import SeedBot
from tests.contract.caller import Caller
from tests.contract.payloads import RATE_ERROR, accepted, status, status_object
from tests.contract.talk import contact, log, outcome, says, sends, sent
from tests.contract.under_test import Vendor


@pytest.fixture
async def uid(caller: Caller, vendor: Vendor) -> str:
    """A reply that waits to be sent."""
    return await _reply(caller, vendor)


async def _reply(caller: Caller, vendor: Vendor) -> str:
    (bot,) = caller.backend.seed_bots(vendor, SeedBot("is", "open", "We open at nine."))
    (result,) = await caller.process(says(vendor, "open", [(bot, "is")]))
    return sends(result)[0].id


def _state(caller: Caller, uid: str) -> tuple[str | None, str | None]:
    row = log(caller, uid)
    return row["status"], row["wamid"]


async def _answers(caller: Caller, *results: dict[str, Any]) -> list[tuple[str, str]]:
    return [(answer.id, answer.result) for answer in await caller.report(*results)]


async def test_accepted_gives_the_row_its_wamid(caller: Caller, vendor: Vendor, uid: str) -> None:
    report = sent(vendor, uid, wamid="w1", wa_id="999123")
    for _ in range(2):
        assert await _answers(caller, report) == [(uid, "done")]
    row = log(caller, uid)
    assert (row["status"], row["wamid"]) == ("accepted", "w1")
    assert row["wab_phone_number_id"] == vendor.phone_number_ids[0]
    assert row["__data"]["initial_response"] == report["response"]
    assert row["contact_wa_id"] == contact(caller, vendor)["wa_id"] == "999123"


@pytest.mark.parametrize("name", ["failed", "unknown"])
async def test_without_a_wamid_the_outcome_is_kept(
    caller: Caller, vendor: Vendor, uid: str, name: str
) -> None:
    report = outcome(vendor, uid, name, error=RATE_ERROR)
    for _ in range(2):
        assert await _answers(caller, report) == [(uid, "done")]
    assert _state(caller, uid) == (name, None)
    error = log(caller, uid)["__data"]["error"]
    assert (error["code"], error["message"]) == (130429, "Rate limit hit")


@pytest.mark.parametrize("name", ["failed", "unknown"])
async def test_accepted_is_a_fact(caller: Caller, vendor: Vendor, uid: str, name: str) -> None:
    await caller.report(outcome(vendor, uid, name, error=RATE_ERROR))
    assert await _answers(caller, sent(vendor, uid, wamid="w1")) == [(uid, "done")]
    assert _state(caller, uid) == ("accepted", "w1")
    assert not log(caller, uid)["__data"].get("error")
    (answer,) = await caller.report(outcome(vendor, uid, name, error=RATE_ERROR))
    assert answer.result in ("done", "ignored")
    assert _state(caller, uid) == ("accepted", "w1")


async def test_a_result_that_comes_late_again_changes_nothing(
    caller: Caller, vendor: Vendor, uid: str
) -> None:
    early = outcome(vendor, uid, "unknown", at=1_750_000_000_000)
    await caller.report(early)
    await caller.report(outcome(vendor, uid, "failed", at=1_750_000_001_000))
    assert await _answers(caller, early) == [(uid, "done")]
    assert _state(caller, uid) == ("failed", None)


async def test_a_message_whose_outcome_is_known_is_not_named_again(
    caller: Caller, vendor: Vendor
) -> None:
    (bot,) = caller.backend.seed_bots(vendor, SeedBot("is", "open", "We open at nine."))
    for name in ("failed", "unknown"):
        update = says(vendor, "open", [(bot, "is")])
        (result,) = await caller.process(update)
        await caller.report(outcome(vendor, sends(result)[0].id, name))
        (again,) = await caller.process({**update, "attempt": 2})
        assert sends(again) == []


async def test_statuses_follow(caller: Caller, vendor: Vendor, uid: str) -> None:
    await caller.report(sent(vendor, uid, wamid="w1"))
    (result,) = await caller.process(status(vendor, status_object("w1", "delivered")))
    assert (result.result, result.campaign_uid) == ("done", None)
    assert _state(caller, uid) == ("delivered", "w1")


async def test_a_status_that_is_first_settles_the_row(
    caller: Caller, vendor: Vendor, uid: str
) -> None:
    """The callback data names the row, so the result may come late, or never."""
    early = status(vendor, status_object("w1", "delivered", row_uid=uid))
    assert (await caller.process(early))[0].result == "done"
    assert _state(caller, uid) == ("delivered", "w1")
    report = sent(vendor, uid, wamid="w1")
    assert await _answers(caller, report) == [(uid, "done")]
    assert _state(caller, uid) == ("delivered", "w1")
    assert log(caller, uid)["__data"]["initial_response"] == report["response"]
    (late,) = await caller.report(outcome(vendor, uid, "unknown"))
    assert late.result in ("done", "ignored")
    assert _state(caller, uid) == ("delivered", "w1")


@pytest.mark.parametrize("name", ["failed", "unknown"])
async def test_a_status_settles_a_row_that_was_given_up(
    caller: Caller, vendor: Vendor, uid: str, name: str
) -> None:
    await caller.report(outcome(vendor, uid, name, error=RATE_ERROR))
    await caller.process(status(vendor, status_object("w1", "sent", row_uid=uid)))
    assert _state(caller, uid) == ("sent", "w1")


async def test_a_failed_status_says_why(caller: Caller, vendor: Vendor, uid: str) -> None:
    failed = status_object("w1", "failed", row_uid=uid, code=131026)
    (result,) = await caller.process(status(vendor, failed))
    assert result.result == "done"
    assert _state(caller, uid) == ("failed", "w1")
    assert log(caller, uid)["__data"]["error"]["code"] == 131026


async def test_a_status_of_a_strangers_row_is_not_its(
    caller: Caller, vendor: Vendor, uid: str
) -> None:
    other = caller.backend.seed_vendor()
    (result,) = await caller.process(status(other, status_object("w1", "sent", row_uid=uid)))
    assert (result.result, result.reason) == ("retry", "message_unknown")
    assert _state(caller, uid) == ("pending", None)


async def test_a_second_wamid_is_not_taken(caller: Caller, vendor: Vendor, uid: str) -> None:
    await caller.report(sent(vendor, uid, wamid="w1"))
    assert await _answers(caller, sent(vendor, uid, wamid="w2")) == [(uid, "ignored")]
    status_of_another = status(vendor, status_object("w2", "read", row_uid=uid))
    assert (await caller.process(status_of_another))[0].result == "retry"
    assert _state(caller, uid) == ("accepted", "w1")


async def test_what_cannot_be_applied_is_ignored(caller: Caller, vendor: Vendor, uid: str) -> None:
    other = caller.backend.seed_vendor()
    (incoming,) = caller.backend.rows(
        "whatsapp_message_logs", vendors__id=vendor.id, is_incoming_message=1
    )
    answers = await caller.report(
        sent(vendor, "nobody"),
        sent(other, uid),
        sent(vendor, uid, wamid=None),
        outcome(vendor, uid, "requeue", due_at=1),
        sent(vendor, incoming["_uid"]),
        sent(vendor, incoming["_uid"], wamid=incoming["wamid"]),
        outcome(vendor, incoming["_uid"], "failed"),
    )
    assert [answer.result for answer in answers] == ["ignored"] * 7
    assert log(caller, incoming["_uid"]) == incoming
    assert _state(caller, uid) == ("pending", None)


async def test_messages_and_campaigns_share_a_batch(
    caller: Caller, vendor: Vendor, uid: str
) -> None:
    campaign = caller.backend.seed_campaign(vendor, 1)
    await caller.claim(campaign)
    row = campaign.row_uids[0]
    answers = await _answers(
        caller, sent(vendor, uid, wamid="w1"), accepted(campaign, row), sent(vendor, row)
    )
    assert answers == [(uid, "done"), (row, "done"), (row, "ignored")]
    assert _state(caller, uid) == ("accepted", "w1")
