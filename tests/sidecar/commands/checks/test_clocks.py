"""Clocks."""

from typing import Any

import pytest

from contracts.diagnosis import PhpFacts
from sidecar.commands.checks.clocks import Reading, judge_clock, judge_time_zone

FACTS: dict[str, Any] = {"package": "1", "php": "8.2", "signing_key_ids": [], "signing_window_s": 9}
NOW = 1_700_000_000_000


@pytest.mark.parametrize(
    ("off_s", "took_s", "window_s", "level"),
    [
        (0, 0, 300, "OK"),
        (5, 0, 300, "OK"),
        (-5.1, 0, 300, "WARN"),
        (300, 0, 300, "WARN"),
        (300.1, 0, 300, "FAIL"),
        (-300.1, 0, 300, "FAIL"),
        # It may have been read at the beginning or at the end.
        (301, 4, 300, "WARN"),
        (6, 4, 300, "OK"),
        (1.1, 0, 10, "WARN"),
        (11, 0, 10, "FAIL"),
    ],
)
def test_how_far_they_are_apart(off_s: float, took_s: float, window_s: int, level: str) -> None:
    answered = NOW + int(took_s * 1000)
    theirs = (NOW + answered) // 2 + int(off_s * 1000)
    line = judge_clock(Reading("PHP", theirs, NOW, answered), window_s)
    assert (line.what, line.level) == ("clock of PHP", level)
    assert f"{abs(off_s):.2f} s {'ahead of' if off_s > 0 else 'behind'} ours" in line.detail
    assert f"allow {window_s} s" in line.detail


@pytest.mark.parametrize(
    ("ahead_s", "level", "said"),
    [
        (0, "OK", "America/Sao_Paulo"),
        (300, "OK", ""),
        (10_800, "FAIL", "180 minutes in the future"),
    ],
)
def test_the_zone_of_the_tables_times(ahead_s: int, level: str, said: str) -> None:
    facts = PhpFacts(**FACTS, timezone="America/Sao_Paulo", rows_ahead_s=ahead_s)
    [line] = judge_time_zone(facts)
    assert (line.what, line.level) == ("time zone of the tables", level)
    assert said in line.detail
    assert level == "OK" or "WHATSAPP_SIDECAR_TIMEZONE" in (line.do or "")


def test_a_package_that_does_not_say_its_zone() -> None:
    assert list(judge_time_zone(PhpFacts(**FACTS))) == []
