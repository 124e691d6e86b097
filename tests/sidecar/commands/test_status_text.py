"""``sidecar status`` in words, of reports that are made up."""

from dataclasses import replace
from typing import Any

import pytest

from contracts.backend import CampaignState
from contracts.effects import EffectKind
from contracts.jobs import Lane
from contracts.modes import Modes, VendorModes
from sidecar.commands.status_text import MAX_SHOWN, render, render_problems
from sidecar.ops.backlog import CampaignWork, Deferred
from sidecar.ops.effects_backlog import WaitingEffects
from sidecar.ops.problem import Code, Problem
from sidecar.ops.processes import Process
from sidecar.ops.report import PhpReport, Report
from sidecar.ops.snapshot import LaneState, Overview, RedisState
from sidecar.sending.halts import Halt
from sidecar.sending.numbers import Held, LastOutage, NumberState

NOW = 1_769_868_309_000
IDLE = {lane: LaneState(lane, 0, 0, 0.0, None, None, 0, 0, None) for lane in Lane}
OVERVIEW = Overview(
    now=NOW,
    redis=RedisState("Valkey 9.1", 2_000_000, 0, evicts=False, durable=True, writes_ok=True),
    lanes=IDLE,
    dead_letters=0,
    oldest_dead_letter_s=0.0,
    backend_ok_s=None,
    reconciler=True,
    paused={},
    campaigns={},
    ledgers={},
    accounting=[],
    processes=[],
    metrics={},
)
NOTHING = Report(
    overview=OVERVIEW,
    deferred={lane: Deferred({}, {}, 0.0, 0, 0) for lane in Lane},
    effects=[],
    campaigns=[],
    numbers=[],
    paused=[],
    php=PhpReport(),
    unbalanced=[],
)
CAMPAIGN = CampaignWork("c-1", "v", True, None, None, None, None, 0, 0, 0)
NUMBER = NumberState("110", None, 80.0, 80.0, 1.0, None, None, None, None, 0)


def section(report: Report, title: str) -> list[str]:
    """Return the lines below a title."""
    lines = render(report, []).splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith(title)) + 1
    found = []
    for line in lines[start:]:
        if not line:
            break
        found.append(line.removeprefix("  "))
    return found


def test_where_nothing_is() -> None:
    lines = render(NOTHING, []).splitlines()
    assert lines[0] == "whatsapp-sidecar at 2026-01-31 14:05:09Z"
    assert lines[2] == "All is well."
    assert section(NOTHING, "PROCESSES") == section(NOTHING, "CAMPAIGNS") == ["none"]
    assert section(NOTHING, "PHP") == ["available, no updates accepted yet"]
    assert section(NOTHING, "NUMBERS") == ["none has sent within 24 hours"]
    assert section(NOTHING, "ACCOUNTING") == ["nothing has come in yet"]


def test_problems_stand_first_each_with_what_to_do() -> None:
    one = Problem(Code.REDIS_FULL, "It is full.", "Empty it.")
    assert render_problems([one])[:3] == [
        "1 PROBLEM",
        "  1. [redis-full] It is full.",
        "     -> Empty it.",
    ]
    assert render_problems([one, one])[0] == "2 PROBLEMS"
    assert render_problems([one, replace(one, cause=one.code)])[:4] == [
        "1 PROBLEM",
        "  1. [redis-full] It is full.",
        "     -> Empty it.",
        "     so: [redis-full] It is full.",
    ]
    assert render(NOTHING, [one]).index("PROBLEM") < render(NOTHING, [one]).index("PROCESSES")


@pytest.mark.parametrize(
    ("redis", "words"),
    [
        ({}, "2.0 MB used, no limit set  every write is on disk"),
        ({"limit_bytes": 4_000_000}, "2.0 MB used of 4 MB (50%)  every write is on disk"),
        ({"durable": False}, "NOT ON DISK"),
        ({"writes_ok": False}, "NOT ON DISK"),
    ],
)
def test_redis(redis: dict[str, Any], words: str) -> None:
    overview = replace(OVERVIEW, redis=replace(OVERVIEW.redis, **redis))
    [line] = section(replace(NOTHING, overview=overview), "REDIS")
    assert line.endswith(words)


def test_processes() -> None:
    alive = Process("a", "worker", "h", 7, NOW - 7_200_000, 0.0, 50_000_000, queues=["messages"])
    silent = Process("b", "serve", "h", 8, NOW, heartbeat_age_s=300.0)
    overview = replace(OVERVIEW, processes=[alive, silent])
    assert section(replace(NOTHING, overview=overview), "PROCESSES") == [
        "worker messages  (h:7)  runs for 2 h, 50 MB",
        "serve  (h:8)  silent for 5 min",
    ]


def test_modes_are_php_s_to_tell() -> None:
    known = PhpReport(vendors=[VendorModes(vendor_uid="v", modes=Modes())])
    assert section(replace(NOTHING, php=known), "MODES")[0] == "webhooks  1 php"
    unknown = replace(NOTHING, php=PhpReport(error="away"))
    assert section(unknown, "MODES") == ["unknown: PHP keeps them"]
    assert section(unknown, "PHP")[0].startswith("UNAVAILABLE")


def test_webhooks_that_wait_and_why() -> None:
    lane = LaneState(Lane.MESSAGES, 1200, 3, 90.0, 5.0, "h:7", 2, 2, -4.0)
    reasons = {f"reason {number}": number for number in (4, 3, 2, 1)}
    report = replace(
        NOTHING,
        overview=replace(OVERVIEW, lanes={**IDLE, Lane.MESSAGES: lane}),
        deferred={**NOTHING.deferred, Lane.MESSAGES: Deferred(reasons, {}, 600.0, 0, 0)},
    )
    lines = section(report, "WEBHOOKS")
    assert lines[0] == "messages  1,200 in the inbox, the oldest for 90 s; drained by h:7"
    assert "2 contacts wait for a retry, 2 due now" in lines[1]
    assert [line.strip() for line in lines[2:5]] == [
        "4 x reason 4",
        "3 x reason 3",
        "2 x reason 2",
    ]
    assert lines[-1] == "dead letters: 0"


def test_effects() -> None:
    waiting = WaitingEffects(EffectKind.FORWARD, 9, 2, 3, 40.0, {"x" * 200: 1})
    first, second = section(replace(NOTHING, effects=[waiting]), "EFFECTS")
    assert first == "forward      9 wait of 2 vendors, 3 due, the first for 40 s"
    assert second.strip() == "1 x ..."


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "c-1  running  no worker has it  nothing in flight"),
        (
            {"held_s": 60.0, "holder": "h:7", "claimed": 1, "sending": 2, "known": 3},
            "c-1  running  by h:7 for 60 s  1 claimed, 2 sending, 3 to be reported",
        ),
        (
            {"halt": Halt(CampaignState.PAUSED, "payment problem")},
            "c-1  paused (payment problem)    nothing in flight",
        ),
    ],
)
def test_campaigns(changes: dict[str, Any], words: str) -> None:
    campaign = replace(CAMPAIGN, **changes)
    assert section(replace(NOTHING, campaigns=[campaign]), "CAMPAIGNS") == [words]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "110  80/s"),
        (
            {"held": Held(NOW / 1000 + 300, "maintenance"), "campaigns_wanting": 2},
            "110  80/s, held for 5 min (maintenance), 2 campaigns want more",
        ),
        ({"campaigns_wanting": 1}, "110  80/s, 1 campaign wants more"),
        (
            {"effective_rate": 40.1908, "vendor_uid": "v"},
            "110 of vendor v  40.2/s of 80/s (throttled not long ago; the rate is climbing)",
        ),
        (
            {"last_outage": LastOutage("502", 1_749_999_980, 1_750_000_000)},
            "110  80/s; the Cloud API was down for 20 s until 2025-06-15 15:06:40Z",
        ),
    ],
)
def test_numbers(changes: dict[str, Any], words: str) -> None:
    number = replace(NUMBER, **changes)
    assert section(replace(NOTHING, numbers=[number]), "NUMBERS") == [words]


def test_some_are_shown_and_the_others_counted() -> None:
    count = MAX_SHOWN + 3
    report = replace(NOTHING, campaigns=[CAMPAIGN] * count, numbers=[NUMBER] * count)
    for title in ("CAMPAIGNS", "NUMBERS"):
        lines = section(report, title)
        assert len(lines) == MAX_SHOWN + 1
        assert lines[-1] == "and 3 more; --json shows all"
