"""``sidecar campaigns retry-failed``."""

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
import redis as blocking_redis

from contracts.backend import RetryMessagesAnswer
from sidecar.php.client import BackendUnavailable
from sidecar.redis import keys
from tests.contract.embedded import EmbeddedBackend
from tests.contract.under_test import Campaign
from tests.sidecar.commands.campaign_rows import fail, listed, state, statuses
from tests.sidecar.commands.conftest import RunCampaigns

pytestmark = pytest.mark.usefixtures("own_environment", "configured")


def test_what_failed_is_sent_again(
    embedded_php: EmbeddedBackend, campaign: Campaign, run_campaigns: RunCampaigns
) -> None:
    asked = run_campaigns("retry-failed", campaign.uid, answer="n\n")
    assert asked.exit_code == 1
    assert "1 x 132015 template paused" in asked.stderr
    assert "Send 2 messages again?" in asked.stderr
    assert f"see sidecar unknown list --campaign {campaign.uid}" in asked.stderr
    assert statuses(embedded_php, campaign) == [2, 2, 6, 1, 1]
    done = run_campaigns("retry-failed", campaign.uid, answer="y\n")
    assert (done.exit_code, done.stdout) == (0, "2 messages in the queue again\n")
    assert statuses(embedded_php, campaign) == [1, 1, 6, 1, 1]
    again = run_campaigns("retry-failed", campaign.uid, "--yes")
    assert (again.exit_code, again.stdout) == (0, "no failed message can be sent again\n")


def test_only_one_error(
    embedded_php: EmbeddedBackend, campaign: Campaign, run_campaigns: RunCampaigns, redis_url: str
) -> None:
    options = ("--code", "132015", "--code", "999")
    counted = run_campaigns("retry-failed", campaign.uid, *options, "--dry-run")
    assert counted.stdout == "1 message can be sent again; nothing was done\n"
    assert statuses(embedded_php, campaign) == [2, 2, 6, 1, 1]
    [done] = listed(run_campaigns("retry-failed", campaign.uid, *options, "--yes", "--json"))
    assert (done["found"], done["done"], done["complete"]) == (1, 1, True)
    with blocking_redis.Redis.from_url(redis_url) as client:
        [[_, fields]] = client.xrange(keys.AUDIT)
    entry = orjson.loads(fields[b"entry"])
    assert (entry["action"], entry["target"]) == ("campaign.retry_failed", campaign.uid)
    assert entry["details"] == {"codes": ["132015", "999"], "messages": 1}
    assert statuses(embedded_php, campaign) == [2, 1, 6, 1, 1]


def test_what_may_have_been_sent_is_left_out_with_the_reason(
    embedded_php: EmbeddedBackend, campaign: Campaign, run_campaigns: RunCampaigns
) -> None:
    fail(embedded_php, campaign.row_uids[0], "131000", sent=True)
    fail(embedded_php, campaign.row_uids[2], "unknown_given_up_error")
    result = run_campaigns("retry-failed", campaign.uid, "--yes")
    assert result.stdout == "1 message in the queue again\n"
    assert "1 left out: it may have been sent" in result.stderr
    assert "1 left out: nobody knows whether it was sent, and a person gave it up" in result.stderr
    assert statuses(embedded_php, campaign) == [2, 1, 2, 1, 1]


@pytest.mark.parametrize(
    ("options", "answer", "becomes"),
    [
        (("--yes",), None, "paused"),
        (("--yes", "--start"), None, "running"),
        ((), "y\nn\n", "paused"),
        ((), "y\ny\n", "running"),
        (("--start",), "y\n", "running"),
    ],
)
def test_a_paused_one_starts_only_if_a_person_says_so(
    embedded_php: EmbeddedBackend,
    campaign: Campaign,
    run_campaigns: RunCampaigns,
    options: tuple[str, ...],
    answer: str | None,
    becomes: str,
) -> None:
    run_campaigns("pause", campaign.uid, "--reason", "132015 template paused")
    result = run_campaigns("retry-failed", campaign.uid, *options, answer=answer)
    assert result.exit_code == 0, result.output
    assert state(embedded_php, campaign)[0] == becomes
    assert statuses(embedded_php, campaign) == [1, 1, 6, 1, 1]
    if becomes == "paused":
        assert f"sidecar campaigns resume {campaign.uid}" in result.stderr


def test_of_a_cancelled_one_nothing_is_sent_again(
    embedded_php: EmbeddedBackend, campaign: Campaign, run_campaigns: RunCampaigns
) -> None:
    run_campaigns("cancel", campaign.uid, "--yes")
    result = run_campaigns("retry-failed", campaign.uid, "--yes")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "was cancelled, so nothing of it is sent again" in result.stderr
    assert statuses(embedded_php, campaign) == [2, 2, 6, 1, 1]
    shown = run_campaigns("show", campaign.uid)
    assert shown.exit_code == 0
    assert "state     cancelled" in shown.stdout
    assert "errors by code are not known: " in shown.stderr


def test_of_a_vendor_on_php_nothing_is_sent_again(
    embedded_php: EmbeddedBackend, campaign: Campaign, run_campaigns: RunCampaigns
) -> None:
    embedded_php.leave_to_php(campaign.vendor)
    result = run_campaigns("retry-failed", campaign.uid, "--yes")
    assert result.exit_code == 1
    assert "sidecar cutover" in result.stderr
    assert "PHP's cron sends" in run_campaigns("show", campaign.uid).stdout


def test_retry_of_a_campaign_that_does_not_exist(
    embedded_php: EmbeddedBackend, run_campaigns: RunCampaigns
) -> None:
    result = run_campaigns("retry-failed", "nothing", "--yes")
    assert result.stderr == "Error: PHP knows no campaign nothing\n"


def test_php_fails_half_way(
    embedded_php: EmbeddedBackend,
    campaign: Campaign,
    run_campaigns: RunCampaigns,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was done is said, and that it is not all."""

    async def pages(*_: Any, dry_run: bool) -> AsyncIterator[RetryMessagesAnswer]:
        yield RetryMessagesAnswer(retried=2, next="7")
        if not dry_run:
            raise BackendUnavailable("gone")
        yield RetryMessagesAnswer(retried=1)

    monkeypatch.setattr("sidecar.commands.retry_failed.retry_failed", pages)
    result = run_campaigns("retry-failed", campaign.uid, "--yes")
    assert (result.exit_code, result.stdout) == (1, "2 messages in the queue again\n")
    assert "This is not all: repeat the command to go on." in result.stderr
    assert "PHP call failed: gone" in result.stderr
