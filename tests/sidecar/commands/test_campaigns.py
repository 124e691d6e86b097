"""``sidecar campaigns list`` and ``show``."""

import asyncio

import orjson
import pytest
import redis as blocking_redis

from contracts.campaigns import CampaignState
from sidecar.redis import keys
from sidecar.redis.client import connect
from sidecar.sending.halts import Halt, Halts
from tests.contract.embedded import EmbeddedBackend
from tests.contract.under_test import Campaign
from tests.sidecar.commands.campaign_rows import AWAY, TABLE, listed, state
from tests.sidecar.commands.conftest import RunCampaigns
from tests.workers.simulated_time import held_lease
from tests.workers.slots import limits
from workers.sending.limiter import Limiter

pytestmark = pytest.mark.usefixtures("own_environment", "configured")


# -- list --


def test_list(
    embedded_php: EmbeddedBackend, campaign: Campaign, run_campaigns: RunCampaigns
) -> None:
    head, one = run_campaigns("list").stdout.splitlines()
    assert head.split()[:3] == ["CAMPAIGN", "VENDOR", "STATE"]
    assert one.split()[:3] == [campaign.uid, campaign.vendor.uid, "running"]
    assert "0 of 5" in one
    [found] = listed(run_campaigns("list", "--json"))
    assert (found["campaign_uid"], found["total"], found["sent"]) == (campaign.uid, 5, 0)
    assert found["php"]["counts"]["unknown"] == 1


def test_one_that_is_due_tomorrow_and_one_that_only_php_knows_to_be_paused(
    embedded_php: EmbeddedBackend, campaign: Campaign, run_campaigns: RunCampaigns, redis_url: str
) -> None:
    """As after Redis was emptied."""
    embedded_php.run(f"UPDATE {TABLE} SET scheduled_at = datetime('now', '+1 days')")
    run_campaigns("pause", campaign.uid, "--reason", "the price is wrong")
    with blocking_redis.Redis.from_url(redis_url) as client:
        client.flushall()
    [found] = listed(run_campaigns("list", "--json"))
    assert (found["state"], found["reason"]) == ("paused", "the price is wrong")
    run_campaigns("resume", campaign.uid)
    assert [one["state"] for one in listed(run_campaigns("list", "--json"))] == ["running"]


def test_nothing_to_list(embedded_php: EmbeddedBackend, run_campaigns: RunCampaigns) -> None:
    embedded_php.delete(TABLE)
    assert run_campaigns("list").stdout == "every campaign is over, or was cancelled\n"
    assert listed(run_campaigns("list", "--json")) == []


def test_which_are_listed(
    embedded_php: EmbeddedBackend, campaign: Campaign, run_campaigns: RunCampaigns
) -> None:
    other = embedded_php.seed_campaign(embedded_php.seed_vendor(), 1)
    gone = embedded_php.seed_campaign(other.vendor, 1)
    for uid, action in ((other.uid, "pause"), (gone.uid, "cancel")):
        assert (
            run_campaigns(action, uid, "--yes" if action == "cancel" else "--json").exit_code == 0
        )
    for options, uids in (
        ((), [campaign.uid, other.uid]),
        (("--state", "paused"), [other.uid]),
        (("--state", "cancelled"), [gone.uid]),
        (("--vendor", campaign.vendor.uid), [campaign.uid]),
        (("--vendor", "nobody"), []),
    ):
        assert [
            one["campaign_uid"] for one in listed(run_campaigns("list", "--json", *options))
        ] == uids


def test_why_one_does_not_send(
    embedded_php: EmbeddedBackend, campaign: Campaign, run_campaigns: RunCampaigns, redis_url: str
) -> None:
    with blocking_redis.Redis.from_url(redis_url) as client:
        client.hset(keys.CAMPAIGNS, campaign.uid, campaign.vendor.uid)
        client.set(keys.wait(campaign.uid), "131057 maintenance")
        assert run_campaigns("list").stdout.endswith("  131057 maintenance\n")
    run_campaigns("pause", campaign.uid, "--reason", "the price is wrong")
    assert run_campaigns("list").stdout.endswith("  the price is wrong\n")


def test_a_halt_that_php_does_not_know_is_what_counts(
    embedded_php: EmbeddedBackend, campaign: Campaign, run_campaigns: RunCampaigns, redis_url: str
) -> None:
    async def halt() -> None:
        client = connect(redis_url, timeout_s=5.0)
        stop = Halt(CampaignState.PAUSED, "132015 template paused")
        await Halts(client).put(campaign.uid, campaign.vendor.uid, stop)
        await client.aclose()

    asyncio.run(halt())
    [found] = listed(run_campaigns("list", "--json"))
    assert (found["state"], found["reason"]) == ("paused", "132015 template paused")
    assert state(embedded_php, campaign)[0] == "running"


@pytest.mark.parametrize("command", ["list", "show"])
def test_without_redis_what_php_knows_is_told(
    embedded_php: EmbeddedBackend, campaign: Campaign, run_campaigns: RunCampaigns, command: str
) -> None:
    result = run_campaigns(command, *([campaign.uid] if command == "show" else []), **AWAY)
    assert result.exit_code == 1
    assert campaign.uid in result.stdout
    assert result.stderr.startswith("Error: this is only what PHP knows: Redis is unavailable: ")


# -- show --


def test_show(
    embedded_php: EmbeddedBackend, campaign: Campaign, run_campaigns: RunCampaigns, redis_url: str
) -> None:
    number = campaign.vendor.phone_number_ids[0]

    async def ask() -> None:
        client = connect(redis_url, timeout_s=5.0)
        lease = await held_lease(client, campaign.uid)
        line = limits(80.0, number, line=f"{campaign.vendor.uid}/{number}")
        await Limiter(client).grant(lease, campaign.uid, line, ["999"])
        await client.hset(keys.CAMPAIGNS, campaign.uid, campaign.vendor.uid)
        await client.aclose()

    asyncio.run(ask())
    result = run_campaigns("show", campaign.uid)
    assert result.exit_code == 0, result.output
    for words in (
        f"campaign  {campaign.uid}",
        f"vendor    {campaign.vendor.uid}",
        "state     running",
        "messages  5: 0 sent, 2 queued (2 due), 0 claimed, 2 failed, 0 expired, 1 of unknown",
        f"sidecar unknown list --campaign {campaign.uid}",
        "worker    ",
        f"number    {number} of vendor {campaign.vendor.uid}: sends at full rate",
        "1 x 131026 message undeliverable",
        "1 x 132015 template paused",
        "correct the template or the campaign, then send them again: sidecar campaigns retry",
    ):
        assert words in result.stdout, words
    found = orjson.loads(run_campaigns("show", campaign.uid, "--json").stdout)
    assert {one["error_status"]: one["count"] for one in found["failures"]} == {
        "131026": 1,
        "132015": 1,
    }
    assert found["numbers"] == [number]
    assert found["failures_complete"]


def test_show_what_nobody_knows(embedded_php: EmbeddedBackend, run_campaigns: RunCampaigns) -> None:
    result = run_campaigns("show", "nothing")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "Error: PHP knows no campaign nothing\n"
