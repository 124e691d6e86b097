"""A frame of ``sidecar top``, of reports that are made up."""

import io
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from contracts.backend import CampaignCounts, DueCampaign
from contracts.jobs import Lane
from sidecar.commands.top_text import MAX_CAMPAIGNS, MAX_NUMBERS, MAX_PROBLEMS, Frame, lost, page
from sidecar.ops.campaigns import Campaign
from sidecar.ops.problem import Code, Problem
from sidecar.ops.report import PhpReport, Report
from sidecar.ops.sends import RecentSends
from sidecar.ops.snapshot import LaneState
from tests.sidecar.commands.test_status_text import CAMPAIGN, NOTHING, NUMBER, OVERVIEW

GROWN = {
    "webhooks": 100.0,
    "sent": 5.0,
    "handover:messages:0.05": 10.0,
    "handover:statuses:+Inf": 10.0,
}


def shown(report: Report = NOTHING, width: int = 150, **facts: Any) -> list[str]:
    base: dict[str, Any] = {"problems": [], "campaigns": [], "grown": None, "seconds": 0.0}
    frame = Frame(report, **{**base, **facts})
    console = Console(file=io.StringIO(), width=width)
    console.print(page(frame))
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def line_of(lines: list[str], first: str) -> list[str]:
    return next(line.split() for line in lines if line.startswith(first))


def test_where_nothing_is() -> None:
    lines = shown()
    head = "whatsapp-sidecar  2026-01-31 14:05:09Z  0 processes  Redis 1.9 MB  PHP answers"
    assert lines[0] == head
    assert lines[1] == "All is well."
    assert line_of(lines, "messages") == ["messages", "0", "-", "0", "-", "-", "-", "-"]
    assert not any(line.startswith(("campaign", "number")) for line in lines)


def test_rates_and_how_long_it_takes_to_php() -> None:
    lines = shown(grown=GROWN, seconds=2.0)
    head = next(at for at, line in enumerate(lines) if "webhooks" in line and "refused" in line)
    assert lines[head + 1].split() == ["50.0/s", "0.0/s", "2.5/s", "0.0/s", "0.0/s"]
    busy = LaneState(Lane.MESSAGES, 1200, 2, 7.0, 3.0, "host:1", 5, 1, 0.5)
    named = replace(OVERVIEW, lanes={**OVERVIEW.lanes, Lane.MESSAGES: busy})
    lines = shown(replace(NOTHING, overview=named), grown=GROWN, seconds=2.0)
    found = line_of(lines, "messages")
    assert found[:5] == ["messages", "1,200", "7.0", "s", "5"]
    assert found[6] == "ms"
    assert found[-1] == "host:1"
    assert line_of(lines, "statuses")[4:6] == ["5", "min"]
    unnamed = replace(busy, holder=None)
    named = replace(OVERVIEW, lanes={**OVERVIEW.lanes, Lane.MESSAGES: unnamed})
    assert line_of(shown(replace(NOTHING, overview=named)), "messages")[-1] == "somebody"


def test_what_is_wrong_stands_first() -> None:
    texts = (f"It\x1b is full {n}." for n in range(MAX_PROBLEMS + 2))
    many = [Problem(Code.REDIS_FULL, what, "Do.") for what in texts]
    full = replace(OVERVIEW, redis=replace(OVERVIEW.redis, limit_bytes=4_000_000))
    report = replace(NOTHING, overview=full, php=PhpReport(error="HTTP 500"))
    lines = shown(report, problems=many)
    assert "Redis 1.9 MB of 3.8 MB  PHP UNAVAILABLE" in lines[0]
    assert lines[1] == "[redis-full] It  is full 0."
    assert lines[1 + MAX_PROBLEMS] == "and 2 more: sidecar status"
    late = Problem(Code.WEBHOOKS_LATE, "They are late.", "Wait.", cause=Code.REDIS_FULL)
    assert shown(report, problems=[many[0], late])[1:3] == [
        "[redis-full] It  is full 0.; so: webhooks-late",
        "",
    ]


def _campaign(uid: str, *, state: str = "running", title: str | None = "Spring") -> Campaign:
    counts = CampaignCounts(queued=50, accepted=50)
    php = DueCampaign.model_validate(
        {
            "campaign_uid": uid,
            "vendor_uid": "v",
            "title": title,
            "state": state,
            "reason": None if state == "running" else "by hand",
            "counts": counts.model_dump(),
        }
    )
    return Campaign(uid, php, CAMPAIGN, RecentSends("v", uid, per_s=78.4))


def test_campaigns_with_their_progress() -> None:
    campaigns = [
        _campaign("c-1"),
        _campaign("c-2", state="paused", title=None),
        _campaign("c-3", state="cancelled"),
        Campaign("c-4", None, CAMPAIGN),
    ]
    lines = shown(campaigns=campaigns)
    text = "\n".join(lines)
    for words in ("Spring", "50 of 100", "78.4/s", "by hand", "unknown to PHP", "━"):
        assert words in text, words
    assert line_of(lines, "c-2")[1] == "paused"
    assert text.count("50 of 100") == 2, "the cancelled one is not shown"
    lines = shown(campaigns=[_campaign(f"c-{n}") for n in range(MAX_CAMPAIGNS + 3)])
    assert "and 3 more: sidecar campaigns list" in lines


def test_numbers_with_rate_and_limit() -> None:
    slow = replace(NUMBER, effective_rate=40.0)
    lines = shown(replace(NOTHING, numbers=[slow]))
    assert line_of(lines, "110")[:3] == ["110", "40.0/s", "80.0/s"]
    lines = shown(replace(NOTHING, numbers=[NUMBER] * (MAX_NUMBERS + 1)))
    assert "and 1 more: sidecar numbers list" in lines


def test_in_a_narrow_terminal_figures_stay_and_names_are_cut() -> None:
    number = replace(NUMBER, number="200000000000001", vendor_uid="a" * 36)
    lines = shown(replace(NOTHING, numbers=[number]), width=80, campaigns=[_campaign("c" * 60)])
    assert "80.0/s" in next(line for line in lines if line.startswith("2000"))
    assert "78.4/s" in next(line for line in lines if line.startswith("Spring"))
    assert all(len(line) <= 80 for line in lines)


def test_redis_is_away() -> None:
    console = Console(file=io.StringIO(), width=100)
    console.print(lost("refused\x07"))
    assert isinstance(console.file, io.StringIO)
    assert "Redis is unavailable: refused \n" in console.file.getvalue()


@pytest.mark.parametrize(("grown", "rates"), [(None, None), (GROWN, 50.0)])
def test_rates_as_json(grown: Any, rates: float | None) -> None:
    found = Frame(NOTHING, [], [], grown, 2.0).rates
    assert (found and found["webhooks"]) == rates
