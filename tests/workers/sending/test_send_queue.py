"""Claimed rows that wait to be sent."""

from collections.abc import Callable

import pytest

from tests.workers.rows import queued
from workers.sending.send_queue import SendQueue


def test_a_person_is_known_by_the_number_or_else_by_the_user_id() -> None:
    assert queued(to="999", recipient="GB.1").addressee == "999"
    assert queued(to=None, recipient="GB.1").addressee == "GB.1"
    assert queued(to=None).addressee == ""
    assert queued(to="5511987654321").addressee == queued(to="551187654321").addressee


def test_rows_come_out_in_order() -> None:
    rows = SendQueue()
    first, second, third = queued(), queued(), queued()
    rows.append([first, second])
    rows.append([third])
    assert len(rows) == 3
    assert rows.take(2, 0) == [first, second]
    assert rows.take(5, 0) == [third]
    assert not rows


def test_rows_that_were_not_sent_are_the_next_in_their_order() -> None:
    rows = SendQueue()
    first, second, third = queued(), queued(), queued()
    rows.append([third])
    rows.put_back([first, second])
    assert rows.take(3, 0) == [first, second, third]


def test_what_is_parked_waits_apart_and_then_comes_first() -> None:
    rows = SendQueue()
    early, late, other = queued(), queued(), queued()
    rows.append([other])
    rows.park(late, 20.0)
    rows.park(early, 10.0)
    assert (len(rows), rows.parked, rows.unparks_at) == (1, 2, 10.0)
    assert rows.take(1, 9.9) == [other]
    assert rows.take(5, 9.9) == []
    assert rows.take(5, 10.0) == [early]
    assert rows.unparks_at == 20.0
    assert rows.take(5, 30.0) == [late]
    assert rows.unparks_at is None


def test_everything_can_be_taken_back() -> None:
    rows = SendQueue()
    one, parked = queued(), queued()
    rows.append([one])
    rows.park(parked, 20.0)
    assert rows.take_all() == [one, parked]
    assert rows.take_all() == []
    assert (len(rows), rows.parked) == (0, 0)


@pytest.mark.parametrize(
    "change",
    [lambda rows: rows.append([queued()]), lambda rows: rows.put_back([queued()])],
    ids=["append", "put_back"],
)
def test_whoever_waits_is_told_of_what_comes(change: Callable[[SendQueue], None]) -> None:
    rows = SendQueue()
    rows.changed.clear()
    change(rows)
    assert rows.changed.is_set()
