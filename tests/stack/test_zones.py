"""Tests give and get UTC, whatever the host's zone."""

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from simulator.stack.zones import local, utc

SAO_PAULO = ZoneInfo("America/Sao_Paulo")
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("in_utc", "there"),
    [
        ("2026-03-10 14:30:00", "2026-03-10 11:30:00"),
        (
            '{"expiry_at": "2026-03-10 14:30:00", "n": 1}',
            '{"expiry_at": "2026-03-10 11:30:00", "n": 1}',
        ),
        ('"2026-03-10 14:30:00"', '"2026-03-10 11:30:00"'),
    ],
)
def test_a_time_of_either_side(in_utc: str, there: str) -> None:
    assert local(in_utc, SAO_PAULO) == there
    assert utc(there, SAO_PAULO) == in_utc


@pytest.mark.parametrize(
    "value",
    [
        None,
        7,
        "at 2026-03-10 14:30:00",
        "2026-03-10T14:30:00Z",
        '{"expiry_at": "2026-03-10T14:30:00Z"}',
        "2026-13-10 14:30:00",
        "9999-12-31 23:59:59",
    ],
)
def test_what_is_no_time_of_a_column_stays(value: Any) -> None:
    assert utc(value, SAO_PAULO) == value


def test_an_hour_that_comes_twice_is_the_first() -> None:
    assert local("2026-10-25 01:30:00", BERLIN) == "2026-10-25 02:30:00"
    assert utc("2026-10-25 02:30:00", BERLIN) == "2026-10-25 00:30:00"
