"""Charts: their lines, and what they say in words."""

import re

import pytest

from sidecar.console.charts import HEIGHT, WIDTH, Chart, make_chart
from sidecar.console.filters import count, rate
from sidecar.ops.history import Point


def points(*values: float | None) -> list[Point]:
    """Return points, one a minute, from 10:00."""
    return [Point((36_000 + 60 * n) * 1000, value) for n, value in enumerate(values)]


def chart(*values: float | None) -> Chart:
    return make_chart("Webhooks", {"taken": points(*values)}, rate)


def test_a_line() -> None:
    made = chart(0, 5, 10)
    assert made.title == "Webhooks"
    assert (made.since, made.until, made.top) == ("10:00", "10:02", "10/s")
    assert made.lines[0].path == "M-2.0 119.0h2L300.0 60.0L600.0 1.0"
    assert made.summary == "taken: last 10/s, highest 10/s at 10:02"


def test_a_gap_is_no_zero() -> None:
    made = chart(4, None, 4, None)
    assert made.lines[0].path == "M-2.0 24.6h2M398.0 24.6h2"
    assert made.summary == "taken: last not known, highest 4/s at 10:00"


def test_nothing_at_all_and_nothing_known() -> None:
    assert chart(0, 0).summary == "taken: none"
    assert chart(None, None).summary == "nothing is known of this time"
    assert chart(None).lines[0].path == ""
    two = make_chart("x", {"a": points(1, 2), "b": points(None, None)}, count)
    assert two.summary == "a: last 2, highest 2 at 10:01; b: none"
    assert [line.name for line in two.lines] == ["a", "b"]


@pytest.mark.parametrize(
    ("highest", "top"),
    [(0.0004, "0/s"), (0.3, "0.5/s"), (1, "1/s"), (1.5, "2/s"), (7, "10/s"), (1040, "2,000/s")],
)
def test_the_edge_is_a_round_number(highest: float, top: str) -> None:
    assert chart(0, highest).top == top


@pytest.mark.parametrize("values", [(1e-9, 3e9), (0.0,), (5.0,), (1.0,) * 144])
def test_all_of_a_line_is_inside(values: tuple[float, ...]) -> None:
    found = re.findall(r"[ML](-?[\d.]+) ([\d.]+)", chart(*values).lines[0].path)
    assert len(found) == len(values)
    assert all(-2 <= float(x) <= WIDTH and 0 <= float(y) <= HEIGHT for x, y in found)
