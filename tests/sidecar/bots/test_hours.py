"""When a vendor's bots answer."""

from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from contracts.bots import BotHours, TriggerType
from sidecar.bots.hours import OpeningHours


def hours(start: str, end: str, zone: str = "UTC", types: list[str] | None = None) -> OpeningHours:
    given = {"start": start, "end": end, "timezone": zone, "trigger_types": types}
    return OpeningHours(BotHours.model_validate(given), "v-1")


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-07-01T{text}").replace(tzinfo=UTC)


def test_without_hours_they_always_answer() -> None:
    assert OpeningHours(None, "v-1").closed(at("03:00")) == frozenset()


@pytest.mark.parametrize(
    ("start", "end", "now", "is_open"),
    [
        ("09:00", "17:00", "08:59:59", False),
        ("09:00", "17:00", "09:00", True),
        ("09:00", "17:00", "16:59:59", True),
        ("09:00", "17:00", "17:00", False),
        ("22:00", "06:00", "23:00", True),
        ("22:00", "06:00", "05:59", True),
        ("22:00", "06:00", "06:00", False),
        ("22:00", "06:00", "21:59", False),
        ("08:00", "08:00", "07:00", True),
    ],
)
def test_from_the_start_until_before_the_end(start: str, end: str, now: str, is_open: bool) -> None:
    closed = hours(start, end).closed(at(now))
    assert closed == (frozenset() if is_open else frozenset(TriggerType))


def test_the_clock_of_the_zone_counts() -> None:
    kolkata = hours("09:00", "17:00", "Asia/Kolkata")  # UTC+5:30
    assert kolkata.closed(at("03:29"))
    assert not kolkata.closed(at("03:30"))
    assert kolkata.closed(at("11:30"))


def test_of_some_types_the_others_answer_at_any_time() -> None:
    assert hours("09:00", "17:00", types=["welcome"]).closed(at("20:00")) == {"welcome"}


@pytest.mark.parametrize(
    ("start", "zone", "said"),
    [
        ("9:00", "UTC", "'9:00' is not HH:MM"),
        ("24:00", "UTC", "'24:00' is not HH:MM"),
        ("09:00\n", "UTC", "is not HH:MM"),
        ("09:00", "Mars/Olympus", "'Mars/Olympus' is not known"),
        ("09:00", "Europe", "'Europe' is not known"),
        ("09:00", "../etc/passwd", "is not known"),
        ("09:00", "", "'' is not known"),
    ],
)
def test_wrong_ones_are_logged_and_count_as_none(start: str, zone: str, said: str) -> None:
    with capture_logs() as logs:
        wrong = hours(start, "17:00", zone)
    [line] = logs
    assert line["event"] == "bot.hours_invalid"
    assert line["vendor_uid"] == "v-1"
    assert said in line["error"]
    assert wrong.closed(at("03:00")) == frozenset()
