"""``sidecar campaigns dry-run``: what would be sent, and nothing that is."""

import asyncio
from typing import Any

import orjson
import pytest
from aiohttp import ClientSession

from contracts.backend import SendError
from sidecar.redis.client import connect
from sidecar.sending.suppression import Suppressed
from tests.contract.caller import Caller
from tests.contract.embedded import EmbeddedBackend
from tests.contract.under_test import Campaign
from tests.sidecar.answering_php import Php, json_answer
from tests.sidecar.commands.campaign_rows import AWAY, TABLE
from tests.sidecar.commands.conftest import RunBesidePhp, RunCampaigns
from workers.sending.cloud_api import message_body

pytestmark = pytest.mark.usefixtures("own_environment", "configured")


@pytest.fixture
def queued(embedded_php: EmbeddedBackend) -> Campaign:
    """Five rows, of which each is due."""
    embedded_php.delete(TABLE)
    return embedded_php.seed_campaign(embedded_php.seed_vendor(messages_per_second=10), 5)


def looked_at(run: RunCampaigns, campaign: Campaign, *options: str) -> dict[str, Any]:
    result = run("dry-run", campaign.uid, "--json", *options)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = orjson.loads(result.stdout)
    return found


def test_what_would_be_sent(
    embedded_php: EmbeddedBackend, queued: Campaign, run_campaigns: RunCampaigns
) -> None:
    before = embedded_php.rows(TABLE), embedded_php.rows("campaigns")
    found = looked_at(run_campaigns, queued, "--show", "2")
    [number] = queued.vendor.phone_number_ids
    assert (found["messages"], found["complete"], found["seconds"]) == (5, True, 0.5)
    assert found["numbers"] == [{"number": number, "messages": 5, "per_s": 9.9}]
    assert (found["skipped"], found["later"]) == ({}, 0)
    assert [(one["number"], one["path"]) for one in found["requests"]] == [(number, "messages")] * 2
    bodies = [one["body"] for one in found["requests"]]
    assert [one["to"] for one in bodies] == [f"+{to}" for to in queued.recipients[:2]]
    assert [one["biz_opaque_callback_data"] for one in bodies] == list(queued.row_uids[:2])
    assert (embedded_php.rows(TABLE), embedded_php.rows("campaigns")) == before


async def test_the_request_is_the_one_that_is_sent(
    embedded_php: EmbeddedBackend, queued: Campaign, run_campaigns: RunCampaigns
) -> None:
    """Byte for byte what a worker makes of what PHP's claim gives it."""
    found = await asyncio.to_thread(looked_at, run_campaigns, queued, "--show", "5")
    async with ClientSession() as session:
        claim = await Caller(embedded_php, session).claim(queued)
    assert [orjson.dumps(one["body"]) for one in found["requests"]] == [
        message_body(row) for row in claim.rows
    ]


def test_what_is_skipped_and_what_is_due_later(
    embedded_php: EmbeddedBackend,
    queued: Campaign,
    run_campaigns: RunCampaigns,
    redis_url: str,
) -> None:
    rows = embedded_php.rows(TABLE, campaigns__id=queued.id)
    embedded_php.change(TABLE, {"__data.expiry_at": "2001-01-01 00:00:00"}, _id=rows[0]["_id"])
    embedded_php.change("contacts", {"whatsapp_opt_out": 1}, _id=rows[1]["contacts__id"])
    embedded_php.change(TABLE, {"scheduled_at": "2037-01-01 00:00:00"}, _id=rows[2]["_id"])

    async def suppress() -> None:
        redis = connect(redis_url, timeout_s=5)
        barred = {rows[3]["phone_with_country_code"]: SendError(code=131026, message="away")}
        await Suppressed(redis, 60).add(queued.vendor.uid, barred)
        await redis.aclose()

    asyncio.run(suppress())
    found = looked_at(run_campaigns, queued)
    assert found["skipped"] == {
        "campaign_expired_error": 1,
        "contact_opted_out_error": 1,
        "suppressed": 1,
    }
    assert (found["messages"], found["later"]) == (2, 1)
    assert found["last_due_at"] == 2_114_380_800_000
    text = run_campaigns("dry-run", queued.uid).stdout
    for words in (
        "messages  2 to be sent",
        "1 are not due yet, the last at 2037-01-01 00:00:00Z",
        "1: the contact has opted out",
        "1: expired",
        "1: suppressed: an earlier message was refused",
        "2 at 9.9 per second, 0.2 s",
        "request   POST /",
    ):
        assert words in text, words


def test_a_vendor_whose_campaigns_php_sends_and_a_campaign_that_is_paused(
    embedded_php: EmbeddedBackend, queued: Campaign, run_campaigns: RunCampaigns
) -> None:
    run_campaigns("pause", queued.uid)
    embedded_php.leave_to_php(queued.vendor)
    text = run_campaigns("dry-run", queued.uid).stdout
    assert f"campaign  {queued.uid}" in text
    assert "paused" in text
    assert "whose campaigns PHP's cron sends" in text
    assert "5 to be sent" in text


def test_only_the_first_ones_are_looked_at(queued: Campaign, run_campaigns: RunCampaigns) -> None:
    found = looked_at(run_campaigns, queued, "--most", "3", "--show", "0")
    assert (found["messages"], found["complete"], found["requests"]) == (3, False, [])
    assert "of the first ones" in run_campaigns("dry-run", queued.uid, "--most", "3").stdout
    assert looked_at(run_campaigns, queued, "--most", "5")["complete"] is True


def test_redis_is_away(queued: Campaign, run_campaigns: RunCampaigns) -> None:
    result = run_campaigns("dry-run", queued.uid, **AWAY)
    assert result.exit_code == 1
    assert "5 to be sent" in result.stdout
    assert "Redis is unavailable" in result.output


def test_one_that_nobody_knows(embedded_php: EmbeddedBackend, run_campaigns: RunCampaigns) -> None:
    result = run_campaigns("dry-run", "nothing")
    assert result.exit_code == 1
    assert "PHP knows no campaign nothing" in result.output


async def test_a_package_without_the_call(php: Php, run_beside_php: RunBesidePhp) -> None:
    php.add_campaign("c-1", php.add_vendor("v-1"))
    missing = json_answer({"message": "Not Found"}, 404)
    php.override = lambda call: missing if "preview" in call.target else None
    result = await run_beside_php("campaigns", "dry-run", "c-1")
    assert result.exit_code == 1
    assert "update the Laravel package" in result.output
