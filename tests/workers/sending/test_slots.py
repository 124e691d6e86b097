"""How late rows may go: no two closer together than their slots, and none in the time of another
campaign's."""

import pytest

from tests.workers.rows import queued
from workers.sending.slots import Planned, Range, Ranges

LATE_S = 0.02


def in_range(count: int, slots: Range) -> list[Planned]:
    """Return rows with slots 10 ms apart, from 0 on."""
    return [Planned(place / 100, LATE_S, queued(), slots) for place in range(count)]


def test_rows_of_a_range_of_our_own_stay_as_far_apart_when_they_are_late() -> None:
    rows = in_range(20, Range(0.2))
    rows[0].catch_up(0.07)
    assert [row.due_at for row in rows] == pytest.approx([0.05 + n / 100 for n in range(20)])
    assert not any(row.is_late(row.due_at) for row in rows[:15])
    assert all(row.is_late(row.due_at + 0.001) for row in rows[15:]), "their slots would be others'"
    rows[1].catch_up(0.07)
    assert rows[1].due_at == pytest.approx(0.06), "and so they do not get later and later"


def test_a_row_is_not_put_off_for_long_whoever_has_the_slots_behind_it() -> None:
    row = Planned(0.0, LATE_S, queued(), Range(10.0))
    assert (row.is_late(0.079), row.is_late(0.081)) == (False, True)


def test_a_row_is_not_put_off_beyond_its_range() -> None:
    rows = in_range(20, slots := Range(0.2))
    rows[0].catch_up(0.25)
    assert slots.behind_s == 0
    assert all(row.is_late(0.25) for row in rows)


def test_a_row_alone_may_be_a_little_late() -> None:
    row = Planned(0.0, LATE_S, queued(), Range(0.0))
    assert (row.is_late(0.019), row.is_late(0.021)) == (False, True)


def test_a_row_that_is_written_down_waits_no_longer_than_it_may() -> None:
    row = Planned(0.0, LATE_S, queued(), Range(10.0), None, latest=0.05)
    assert (row.is_late(0.049), row.is_late(0.051)) == (False, True)


def test_slots_that_follow_one_another_are_one_range() -> None:
    ranges = Ranges()
    first = ranges.of(1.7e9, 10, 0.01, 1.0)
    assert first.end == pytest.approx(1.1)
    assert ranges.of(1.7e9 + 50, 0, 0.01, 51.0) is first, "no slots say nothing"
    assert ranges.of(1.7e9 + 0.1, 5, 0.01, 1.1) is first
    assert first.end == pytest.approx(1.15)


@pytest.mark.parametrize("others_s", [0.0001, 0.01, 5.0, -0.1])
def test_slots_of_somebody_else_in_between_make_another_range(others_s: float) -> None:
    ranges = Ranges()
    first = ranges.of(1.7e9, 10, 0.01, 1.0)
    second = ranges.of(1.7e9 + 0.1 + others_s, 10, 0.01, 1.1 + others_s)
    assert second is not first
    assert first.end == pytest.approx(1.1), "what lies behind is not ours alone"
