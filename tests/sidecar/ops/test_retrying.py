"""Counting failed messages, and putting them back."""

from collections.abc import AsyncIterator

import pytest

from contracts.backend import CampaignCounts, DueCampaign
from sidecar.format import messages
from sidecar.ops.failures import Failures
from sidecar.ops.retrying import (
    RetryRefused,
    add_pages,
    failures_of,
    left_elsewhere,
    retry_failed,
)
from sidecar.php.client import Backend, make_backend
from tests.conftest import MakeSettings
from tests.sidecar.answering_php import Answer, Call, Php, json_answer, refusal

CAMPAIGN = DueCampaign(
    campaign_uid="c-1", vendor_uid="v-1", counts=CampaignCounts(error=9, failed=2, unknown=1)
)


@pytest.fixture
async def backend(make_settings: MakeSettings, php: Php) -> AsyncIterator[Backend]:
    backend = make_backend(make_settings(backend_url=php.url))
    yield backend
    await backend.close()


def pages(call: Call) -> Answer:
    """Three pages."""
    after = int(call.json["after"] or 0)
    rows = [{"error_status": "132015", "count": 3}]
    return json_answer({"retried": 3, "rows": rows, "next": str(after + 1) if after < 2 else None})


async def test_the_first_pages_are_added_up(backend: Backend, php: Php) -> None:
    php.override = pages
    for most, retried, complete in ((2, 6, False), (3, 9, True), (20, 9, True)):
        counted = Failures()
        await add_pages(counted, retry_failed(backend, CAMPAIGN, dry_run=True), most)
        assert (counted.retried, counted.complete) == (retried, complete)


async def test_what_rows_have_failed_of(backend: Backend, php: Php) -> None:
    php.override = pages
    failures, trouble = await failures_of(backend, CAMPAIGN)
    assert [(one.status, one.count) for one in failures.all] == [("132015", 9)]
    assert (failures.complete, trouble) == (True, None)
    assert all(call.json["dry_run"] for call in php.calls)
    php.calls.clear()
    for campaign in (None, DueCampaign(campaign_uid="c-2", vendor_uid="v-1")):
        failures, trouble = await failures_of(backend, campaign)
        assert (failures.all, failures.complete, trouble) == ([], True, None)
    assert not php.calls, "PHP is not asked where no row has failed"


@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        (409, "campaign_cancelled", "campaign c-1 was cancelled, so nothing of it"),
        (409, "vendor_not_on_sidecar", "campaigns of vendor v-1 are sent by PHP's own"),
        (404, "campaign_unknown", "PHP refused the call: campaign_unknown"),
        (404, None, "update the Laravel package"),
    ],
)
async def test_why_php_does_not_do_it(
    backend: Backend, php: Php, status: int, code: str | None, says: str
) -> None:
    php.override = lambda call: refusal(status, code) if code else json_answer({}, status)
    with pytest.raises(RetryRefused, match=says):
        await add_pages(Failures(), retry_failed(backend, CAMPAIGN, dry_run=False))
    _, trouble = await failures_of(backend, CAMPAIGN)
    assert says in (trouble or "")


def test_others_that_have_not_reached_anybody() -> None:
    assert [count for _, count in left_elsewhere(CAMPAIGN.counts)] == [2, 1]
    assert list(left_elsewhere(CampaignCounts())) == []


def test_messages() -> None:
    assert [messages(count) for count in (0, 1, 1200)] == [
        "0 messages",
        "1 message",
        "1,200 messages",
    ]
