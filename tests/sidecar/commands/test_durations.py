"""Durations as options take them."""

import click
import pytest

from sidecar.commands.durations import Duration, DurationType


@pytest.mark.parametrize(
    ("text", "seconds", "shown"),
    [
        *(("90s", 90, "90s"), ("30m", 1800, "30m"), ("12h", 43_200, "12h")),
        *(("7d", 604_800, "7d"), ("90", 90, "90s"), ("0", 0, "0s")),
    ],
)
def test_a_number_and_its_unit(text: str, seconds: int, shown: str) -> None:
    assert DurationType().convert(text, None, None) == Duration(seconds, shown)


@pytest.mark.parametrize("text", ["", "x", "-1h", "1w", "1.5h", "1 h", "٣h", "1234567890"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a duration; write 90s, 30m, 12h or 7d"):
        DurationType().convert(text, None, None)
