"""The time, as it is written down and as people read it."""

import time

import pytest

from sidecar.clock import now_ms, utc_text


def test_now_is_the_unix_time_in_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1_767_225_600_123_999_999)
    assert now_ms() == 1_767_225_600_123


@pytest.mark.parametrize(
    ("at_ms", "text"),
    [
        (0, "1970-01-01 00:00:00Z"),
        (1_769_868_309_999, "2026-01-31 14:05:09Z"),
        (-1000, "1969-12-31 23:59:59Z"),
    ],
)
def test_as_people_read_it(at_ms: int, text: str) -> None:
    assert utc_text(at_ms) == text
