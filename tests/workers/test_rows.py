"""Claimed rows that wait to be sent."""

from tests.workers.rows import queued
from workers.rows import QueuedRow, Rows


def number_of(row: QueuedRow) -> str:
    return row.row.from_phone_number_id or ""


def test_rows_come_out_in_order() -> None:
    rows = Rows()
    first, second, third = queued(), queued(), queued()
    rows.append([first, second])
    rows.append([third])
    assert len(rows) == 3
    assert rows.take(2) == [first, second]
    assert rows.take(5) == [third]
    assert not rows


def test_a_row_that_was_not_sent_is_the_next() -> None:
    rows = Rows()
    first, second = queued(), queued()
    rows.append([second])
    rows.put_back(first)
    assert rows.take(2) == [first, second]


def test_only_rows_of_one_number_go_together() -> None:
    rows = Rows()
    for number in ("1", "1", "2", "1"):
        rows.append([queued(from_phone_number_id=number)])
    assert [number_of(row) for row in rows.first(10, number_of)] == ["1", "1"]
    assert len(rows.first(1, number_of)) == 1
    assert len(rows) == 4, "it looks, and takes nothing"
    assert Rows().first(3, number_of) == []


def test_whoever_waits_is_told_of_every_change() -> None:
    rows = Rows()
    for change in (
        lambda: rows.append([queued()]),
        lambda: rows.put_back(queued()),
        lambda: rows.take(1),
    ):
        rows.changed.clear()
        change()
        assert rows.changed.is_set()
