"""Campaigns in words."""

from dataclasses import replace

from contracts.backend import CampaignCounts, CampaignErrors, DueCampaign
from contracts.campaigns import CampaignState
from sidecar.commands.campaigns_text import (
    NAMES,
    described,
    failed,
    failed_later,
    row,
    stays,
)
from sidecar.ops.backlog import CampaignWork
from sidecar.ops.campaigns import Campaign
from sidecar.ops.failures import Failure
from sidecar.ops.sends import RecentSends

COUNTS = CampaignCounts(queued=1000, error=3, unknown=2, accepted=4000, failed=5)


def campaign(state: CampaignState = CampaignState.RUNNING, waits: str | None = None) -> Campaign:
    php = DueCampaign(
        campaign_uid="c-1",
        vendor_uid="v-1",
        title="Spring",
        state=state,
        reason="the price" if state is CampaignState.PAUSED else None,
        due=900,
        next_due_at=1_750_000_000_000,
        counts=COUNTS,
    )
    work = CampaignWork("c-1", "v-1", True, None, waits, 61.0, "host:1", 10, 2, 1)
    reasons = {"unknown": {"no answer in time": 2}, "failed": {}}
    recent = RecentSends("v-1", "c-1", 4000, 3, 0, 2, 78.4, reasons)
    return Campaign("c-1", php, work, recent)


def test_a_row_stands_below_its_names() -> None:
    found = dict(zip(NAMES, row(campaign()), strict=True))
    for name, value in (("STATE", "running"), ("SENT", "4,005 of 5,010"), ("PER S", "78.4")):
        assert found[name] == value
    assert (found["TITLE"], found["WHY"]) == ("Spring", "")


def test_why_it_does_not_send() -> None:
    assert row(campaign(waits="131057"))[-1] == "131057"
    assert row(campaign(CampaignState.PAUSED))[-1] == "the price"


def test_everything_about_one() -> None:
    text = "\n".join(described(campaign(waits="131057"), []))
    for words in (
        'campaign  c-1  "Spring"',
        "waits     131057",
        "1,000 queued (900 due, more at 2025-06-15 15:06:40Z), 0 claimed, 3 failed",
        "5 failed later",
        "worker    host:1 has it, for 61 s; in its ledger 10 claimed, 2 sending, 1 to be reported",
        "left      13 s at this speed",
        "speed     78.4 per second; in the last ten minutes 4,000 accepted, 3 failed",
        "unknown: 2 x no answer in time",
    ):
        assert words in text, words


def test_one_that_does_not_send() -> None:
    php = DueCampaign(campaign_uid="c-1", vendor_uid="v-1", state=CampaignState.PAUSED)
    text = "\n".join(described(Campaign("c-1", php, None, RecentSends("v-1", "c-1")), []))
    assert "speed     0.0 per second" in text
    assert "left  " not in text
    assert "unknown list" not in text


def test_one_that_php_does_not_know() -> None:
    gone = Campaign("c-1", None)
    assert row(gone)[:3] == ("c-1", "-", "unknown to PHP")
    assert "\n".join(described(gone, [])).endswith("state     unknown to PHP")


def test_errors_and_what_to_do() -> None:
    failures = [Failure("132015", 1200, None), Failure("131000", 3, None, "maybe_sent")]
    first, do, second, _ = failed(failures, complete=True)
    assert first.split() == ["1,200", "x", "132015", "template", "paused"]
    assert "-> correct the template" in do
    assert second.endswith("(stays failed)")
    assert list(stays(failures, DueCampaign(campaign_uid="c", vendor_uid="v"))) == [
        "         3 left out: it may have been sent"
    ]
    assert "the first of many" in list(failed(failures, complete=False))[-1]


def test_errors_that_statuses_have_told() -> None:
    errors = [
        CampaignErrors(error_status="132015", count=2),
        CampaignErrors(error_status="131026", count=3, later=True),
    ]
    php = DueCampaign(campaign_uid="c-1", vendor_uid="v-1", errors=errors)
    head_, first, _ = failed_later(Campaign("c-1", php))
    assert head_ == "failed after Meta had accepted them:"
    assert first.split()[:3] == ["3", "x", "131026"]
    assert list(failed_later(Campaign("c-1", None))) == []


def test_one_that_is_finished_has_no_speed_any_more() -> None:
    """Its last minute was not of its sending."""
    one = campaign()
    assert one.php is not None
    counts = COUNTS.model_copy(update={"queued": 0, "unknown": 0})
    one = replace(one, php=one.php.model_copy(update={"counts": counts}))
    text = "\n".join(described(one, []))
    assert "state     finished" in text
    assert "per second" not in text
    assert "sent      in the last ten minutes 4,000 accepted" in text
    assert dict(zip(NAMES, row(one), strict=True))["PER S"] == "0.0"
