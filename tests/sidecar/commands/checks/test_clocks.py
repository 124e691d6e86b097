"""Clocks."""

import pytest

from sidecar.commands.checks.clocks import Reading, judge_clock

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
