"""What the calls of effects have in common."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from workers.effects.calls import may_come_again, result_of, retry_after_s


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("0", None),
        ("-5", None),
        ("1.5", None),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("60", 60.0),
        ("61", 60.0),
        ("9" * 5000, 60.0),
        ("Sun, 06 Nov 1994 08:49:37 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 60.0),
        ("Fri, 99 Dec 9999 23:59:59 GMT", None),
        ("٧", None),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    assert retry_after_s(value, 60.0) == seconds


def test_retry_after_as_a_date() -> None:
    at = datetime.now(UTC) + timedelta(seconds=30)
    found = retry_after_s(format_datetime(at, usegmt=True), 60.0)
    assert found is not None
    assert 20 < found <= 30


@pytest.mark.parametrize(
    ("status", "result", "again"),
    [
        (200, "ok", False),
        (204, "ok", False),
        (301, "refused", False),
        (400, "refused", False),
        (408, "not_now", True),
        (410, "refused", False),
        (425, "not_now", True),
        (429, "not_now", True),
        (500, "server_error", True),
        (599, "server_error", True),
    ],
)
def test_statuses(status: int, result: str, again: bool) -> None:
    assert (result_of(status), may_come_again(status)) == (result, again)
