"""Results of sends that come twice, late, or after a status: each is applied once."""

import itertools
from typing import Any

import pytest

from contracts.backend import QueueStatus, SendOutcome
from tests.contract.caller import Caller
from tests.contract.payloads import (
    T0,
    accepted,
    now_ms,
    result,
    result_of,
    status,
    status_object,
    wamid_of,
)
from tests.contract.under_test import BackendUnderTest, Campaign, Row


def _row(backend: BackendUnderTest, uid: str) -> Row:
    return backend.rows("whatsapp_message_queue", _uid=uid)[0]


def _logs(backend: BackendUnderTest, campaign: Campaign) -> list[Row]:
    return backend.rows("whatsapp_message_logs", campaigns__id=campaign.id)


async def _snapshot(caller: Caller, campaign: Campaign) -> Any:
    """Everything that a result could change, but for ``updated_at``."""
    tables = {
        "whatsapp_message_queue": {"campaigns__id": campaign.id},
        "whatsapp_message_logs": {"campaigns__id": campaign.id},
        "contacts": {"vendors__id": campaign.vendor.id},
    }
    return [
        [{**row, "updated_at": None} for row in caller.backend.rows(table, **where)]
        for table, where in tables.items()
    ]


@pytest.mark.parametrize("outcome", list(SendOutcome))
async def test_a_result_that_comes_twice_changes_nothing(
    caller: Caller, campaign: Campaign, outcome: SendOutcome
) -> None:
    await caller.claim(campaign)
    uid = campaign.row_uids[0]
    report = result_of(campaign, uid, outcome)
    await caller.report(report)
    before = await _snapshot(caller, campaign)
    answers = [*await caller.report(report), *await caller.report(report, report)]
    assert [answer.result for answer in answers] == ["done"] * 3
    assert await _snapshot(caller, campaign) == before


async def test_a_result_twice_in_one_batch_counts_once(caller: Caller, campaign: Campaign) -> None:
    await caller.claim(campaign)
    first, second = campaign.row_uids[:2]
    again = result(campaign, second, "requeue", due_at=now_ms())
    answers = await caller.report(
        accepted(campaign, first), accepted(campaign, first), again, again
    )
    assert [answer.result for answer in answers] == ["done"] * 4
    assert len(_logs(caller.backend, campaign)) == 1
    assert _row(caller.backend, second)["retries"] == 1


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        (earlier, later)
        for earlier, later in itertools.permutations(SendOutcome, 2)
        if later is not SendOutcome.ACCEPTED
    ],
)
async def test_nothing_but_accepted_changes_a_row_that_is_not_in_3(
    caller: Caller, campaign: Campaign, earlier: SendOutcome, later: SendOutcome
) -> None:
    await caller.claim(campaign)
    uid = campaign.row_uids[0]
    await caller.report(result_of(campaign, uid, earlier))
    before = await _snapshot(caller, campaign)
    (answer,) = await caller.report(result_of(campaign, uid, later))
    assert answer.result == "ignored"
    assert answer.reason
    assert await _snapshot(caller, campaign) == before


async def test_a_late_repeat_says_nothing_about_the_next_attempt(
    caller: Caller, campaign: Campaign
) -> None:
    """The row was claimed again meanwhile: given back now, it would be sent twice."""
    await caller.claim(campaign)
    uid = campaign.row_uids[0]
    report = result(campaign, uid, "requeue", due_at=now_ms() - 5000)
    await caller.report(report)
    await caller.claim(campaign, claim_uid="next")
    (answer,) = await caller.report(report)
    assert answer.result == "done"
    row = _row(caller.backend, uid)
    assert (row["status"], row["retries"]) == (QueueStatus.PROCESSING, 1)
    (answer,) = await caller.report({**report, "at": report["at"] + 1})
    assert answer.result == "done"
    assert _row(caller.backend, uid)["retries"] == 2


async def test_accepted_after_an_early_status(caller: Caller, campaign: Campaign) -> None:
    await caller.claim(campaign)
    uid = campaign.row_uids[0]
    early = status_object(wamid_of(uid), "delivered", row_uid=uid)
    assert (await caller.process(status(campaign.vendor, early)))[0].result == "done"
    assert caller.backend.rows("whatsapp_message_queue", _uid=uid) == []
    report = accepted(campaign, uid, wa_id="999321")
    for _ in range(2):
        (answer,) = await caller.report(report)
        assert answer.result == "done"
        (log,) = _logs(caller.backend, campaign)
        assert log["status"] == "delivered"
        assert log["__data"]["initial_response"] == report["response"]
        assert log["contact_wa_id"] == "999321"
        contact = caller.backend.rows("contacts", _id=log["contacts__id"])[0]
        assert contact["wa_id"] == "999321"
        assert caller.backend.rows("whatsapp_message_queue", _uid=uid) == []


@pytest.mark.parametrize("outcome", ["failed", "requeue", "unknown"])
async def test_other_results_after_an_early_status(
    caller: Caller, campaign: Campaign, outcome: str
) -> None:
    await caller.claim(campaign)
    uid = campaign.row_uids[0]
    await caller.process(status(campaign.vendor, status_object(wamid_of(uid), "sent", row_uid=uid)))
    before = await _snapshot(caller, campaign)
    (answer,) = await caller.report(result_of(campaign, uid, SendOutcome(outcome)))
    assert answer.result in ("done", "ignored")
    assert await _snapshot(caller, campaign) == before


async def test_accepted_does_not_lower_a_status(caller: Caller, campaign: Campaign) -> None:
    await caller.claim(campaign)
    uid = campaign.row_uids[0]
    await caller.report(accepted(campaign, uid))
    await caller.process(status(campaign.vendor, status_object(wamid_of(uid), "read", at=T0)))
    await caller.report(accepted(campaign, uid))
    (log,) = _logs(caller.backend, campaign)
    assert log["status"] == "read"
