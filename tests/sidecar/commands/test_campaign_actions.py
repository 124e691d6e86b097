"""``sidecar campaigns pause``, ``resume`` and ``cancel``."""

import pytest
import redis as blocking_redis

from sidecar.commands.moving import me
from sidecar.redis import keys
from tests.contract.embedded import EmbeddedBackend
from tests.contract.under_test import Campaign
from tests.sidecar.commands.campaign_rows import AWAY, listed, state
from tests.sidecar.commands.conftest import RunCampaigns

pytestmark = pytest.mark.usefixtures("own_environment", "configured")


def test_pause_resume_and_cancel(
    embedded_php: EmbeddedBackend, campaign: Campaign, run_campaigns: RunCampaigns
) -> None:
    paused = run_campaigns("pause", campaign.uid, "--reason", "the price is wrong")
    assert paused.exit_code == 0, paused.output
    assert "is paused: the price is wrong; 2 queued" in paused.stdout
    assert state(embedded_php, campaign) == ("paused", "the price is wrong")
    resumed = run_campaigns("resume", campaign.uid, "--json")
    assert [one["state"] for one in listed(resumed)] == ["running"]
    assert state(embedded_php, campaign)[0] == "running"
    refused = run_campaigns("cancel", campaign.uid, answer="n\n")
    assert refused.exit_code == 1
    assert state(embedded_php, campaign)[0] == "running"
    unanswered = run_campaigns("cancel", campaign.uid)
    assert (unanswered.exit_code, unanswered.stderr.splitlines()[-1]) == (
        1,
        "Error: nobody is there to answer: --yes asks nothing",
    )
    cancelled = run_campaigns("cancel", campaign.uid, answer="y\n")
    assert cancelled.exit_code == 0
    name, reason = state(embedded_php, campaign)
    assert (name, reason) == ("cancelled", f"by {me()}")
    for action in ("pause", "resume"):
        again = run_campaigns(action, campaign.uid)
        assert (again.exit_code, again.stdout) == (1, "")
        assert "it was cancelled, and stays so" in again.stderr


def test_several_of_which_one_does_not_exist(
    embedded_php: EmbeddedBackend, campaign: Campaign, run_campaigns: RunCampaigns
) -> None:
    result = run_campaigns("pause", "nothing", campaign.uid)
    assert result.exit_code == 1
    assert result.stderr == "campaign nothing: PHP knows no campaign nothing\n"
    assert state(embedded_php, campaign)[0] == "paused"


@pytest.mark.parametrize("action", ["pause", "cancel"])
def test_a_stop_while_redis_is_away(
    embedded_php: EmbeddedBackend, campaign: Campaign, run_campaigns: RunCampaigns, action: str
) -> None:
    result = run_campaigns(action, campaign.uid, *(["--yes"] if action == "cancel" else []), **AWAY)
    assert result.exit_code == 1
    assert state(embedded_php, campaign)[0] == {"pause": "paused", "cancel": "cancelled"}[action]
    assert "Do it again when Redis is back" in result.stderr


def test_a_start_while_redis_is_away(
    embedded_php: EmbeddedBackend, campaign: Campaign, run_campaigns: RunCampaigns
) -> None:
    run_campaigns("pause", campaign.uid)
    result = run_campaigns("resume", campaign.uid, **AWAY)
    assert result.exit_code == 1
    assert f"campaign {campaign.uid}: Redis is unavailable: " in result.stderr


def test_a_stop_while_php_is_away(
    embedded_php: EmbeddedBackend, campaign: Campaign, run_campaigns: RunCampaigns, redis_url: str
) -> None:
    with blocking_redis.Redis.from_url(redis_url) as client:
        client.hset(keys.CAMPAIGNS, campaign.uid, campaign.vendor.uid)
    result = run_campaigns("pause", campaign.uid, SIDECAR_BACKEND_URL="http://127.0.0.1:9")
    assert result.exit_code == 1
    assert "stopped; PHP does not know it yet, and a worker tells it" in result.stderr
    [found] = listed(run_campaigns("list", "--json"))
    assert found["state"] == "paused"


def test_a_reason_that_is_too_long(
    embedded_php: EmbeddedBackend, campaign: Campaign, run_campaigns: RunCampaigns
) -> None:
    result = run_campaigns("pause", campaign.uid, "--reason", "x" * 501)
    assert (result.exit_code, "at most 500 characters" in result.stderr) == (2, True)
