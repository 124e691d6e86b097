"""A batch in which one update cannot be written: the others are, and that one comes again."""

from collections.abc import Iterator

import pytest

from contracts.backend import QueueStatus
from tests.contract.caller import Caller
from tests.contract.laravel import LaravelBackend
from tests.contract.payloads import accepted, status, status_object, wamid_of
from tests.contract.under_test import Campaign

#: No column takes it.
LONG = "x" * 300


@pytest.fixture(autouse=True)
def refused(backend: LaravelBackend) -> Iterator[None]:
    """The database has refused something, as it should in these tests."""
    yield
    assert backend.refused_statements()
    (backend.installation.application.storage / "logs" / "laravel.log").write_text("")


async def test_one_result(caller: Caller, campaign: Campaign) -> None:
    await caller.claim(campaign)
    first, second, third = campaign.row_uids
    answers = await caller.report(
        accepted(campaign, first),
        accepted(campaign, second, wamid=LONG),
        accepted(campaign, third),
    )
    assert [answer.result for answer in answers] == ["done", "retry", "done"]
    assert answers[1].reason
    rows = caller.backend.rows("whatsapp_message_queue", campaigns__id=campaign.id)
    assert [row["status"] for row in rows] == [
        QueueStatus.AWAITING_STATUS,
        QueueStatus.PROCESSING,
        QueueStatus.AWAITING_STATUS,
    ]
    logs = caller.backend.rows("whatsapp_message_logs", campaigns__id=campaign.id)
    assert [log["wamid"] for log in logs] == [wamid_of(first), wamid_of(third)]


async def test_one_status(caller: Caller, campaign: Campaign) -> None:
    await caller.claim(campaign)
    first, second, third = campaign.row_uids
    await caller.report(accepted(campaign, first), accepted(campaign, third))
    answers = await caller.process(
        status(campaign.vendor, status_object(wamid_of(first), "sent", row_uid=first)),
        status(campaign.vendor, status_object(LONG, "sent", row_uid=second)),
        status(campaign.vendor, status_object(wamid_of(third), "read", row_uid=third)),
    )
    assert [answer.result for answer in answers] == ["done", "retry", "done"]
    logs = caller.backend.rows("whatsapp_message_logs", campaigns__id=campaign.id)
    assert [log["status"] for log in logs] == ["sent", "read"]
    left = caller.backend.rows("whatsapp_message_queue", campaigns__id=campaign.id)
    assert [row["_uid"] for row in left] == [second]
