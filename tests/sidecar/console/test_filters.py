"""How pages write numbers and times."""

from collections.abc import Callable
from typing import Any

import pytest

from sidecar.console.filters import FILTERS, age, count, percent, rate, seconds, when


@pytest.mark.parametrize(
    ("write", "value", "text"),
    [
        (age, 0.04, "0.0 s"),
        (age, 250, "4 min"),
        (age, -3, "0.0 s"),
        (count, 1234567, "1,234,567"),
        (count, 0, "0"),
        (rate, 0, "0/s"),
        (rate, 0.25, "0.25/s"),
        (rate, 12.5, "12.5/s"),
        (rate, 40.0, "40/s"),
        (rate, 1040.4, "1,040/s"),
        (percent, 0.123, "12%"),
        (seconds, 0.0042, "4 ms"),
        (seconds, 0.35, "0.35 s"),
        (seconds, 2.13, "2.1 s"),
        (seconds, 250, "4 min"),
    ],
)
def test_what_is_written(write: Callable[[float], str], value: float, text: str) -> None:
    assert write(value) == text


@pytest.mark.parametrize("write", [age, count, rate, percent, seconds, when])
def test_what_nobody_knows(write: Callable[[Any], str]) -> None:
    assert write(None) == "–"


def test_a_time_is_for_people_and_for_machines() -> None:
    assert when(1_770_000_000_123) == (
        '<time datetime="2026-02-02T02:40:00.123+00:00">2026-02-02 02:40:00Z</time>'
    )


def test_they_are_filters_of_the_templates() -> None:
    assert FILTERS.keys() >= {"age", "count", "rate", "percent", "seconds", "size", "when"}
