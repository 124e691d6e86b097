"""How many updates a request has, by how long PHP took for the last ones."""

import pytest

from workers.inbox.pace import SLOW_S, TOGETHER_S, WANTED_S, Pace


def test_there_is_no_limit_before_php_was_slow() -> None:
    pace = Pace()
    pace.took(1000, SLOW_S)
    assert pace.limit(1000) == 1000


def test_a_slow_request_makes_the_next_ones_as_small_as_they_should_be() -> None:
    pace = Pace()
    pace.took(1000, 4.0)
    assert pace.limit(1000) == 1000 * WANTED_S / 4.0
    assert pace.limit(50) == 50, "it is no limit to who asks for less"


def test_a_single_update_that_is_slow_says_nothing_about_several() -> None:
    pace = Pace()
    pace.took(1, 60.0)
    assert pace.limit(1000) == 1000


@pytest.mark.parametrize("seconds", [1.0, 60.0, 3600.0])
def test_a_request_has_one_update_at_least(seconds: float) -> None:
    pace = Pace()
    for _ in range(10):
        pace.took(2, seconds)
        pace.timed_out(1)
    assert pace.limit(1000) == 1


def test_without_an_answer_they_become_much_smaller() -> None:
    pace = Pace()
    pace.timed_out(1000)
    assert pace.limit(1000) == 250


def test_php_that_is_quick_again_is_given_as_much_as_ever() -> None:
    pace = Pace()
    pace.timed_out(4)
    sizes = []
    while (size := pace.limit(1000)) < 1000:
        sizes.append(size)
        pace.took(size, 0.01)
        assert len(sizes) < 30
    assert sizes == sorted(set(sizes))
    assert pace.limit(5000) == 5000, "there is no limit any more"


def test_a_small_request_that_is_quick_says_nothing_about_large_ones() -> None:
    pace = Pace()
    pace.timed_out(400)
    for _ in range(50):
        pace.took(3, 0.01)
    assert pace.limit(1000) == 100


def test_it_settles_where_php_takes_as_long_as_it_should() -> None:
    """Ten milliseconds for each update."""
    pace = Pace()
    took = []
    for _ in range(200):
        size = pace.limit(1000)
        took.append(0.01 * size)
        pace.took(size, took[-1])
    assert max(took[1:]) <= 1.25 * SLOW_S + 0.02
    assert min(took[1:]) >= 0.9 * WANTED_S


def test_several_go_together_where_php_takes_little_longer_for_them() -> None:
    pace = Pace()
    assert pace.together == 1, "nothing is known yet"
    sizes = []
    for _ in range(8):
        pace.took(pace.together, 0.015 + 0.001 * pace.together)
        sizes.append(pace.together)
    assert sizes == sorted(sizes)
    assert sizes[-1] > 20
    for _ in range(3):
        pace.took(1, 0.016)
    assert pace.together > 15, "one alone says nothing of that"


def test_those_that_take_long_are_spread() -> None:
    pace = Pace()
    pace.took(1, TOGETHER_S)
    assert pace.together == 1
    for _ in range(3):
        pace.took(20, 0.002)  # nothing was to be done with them
    assert pace.together > 20
    for _ in range(2):
        pace.took(20, 20 * TOGETHER_S)
    assert pace.together == 1
