"""Bisection, for any items that PHP fails or hangs on."""

import asyncio
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.php.bisect import MAX_FAILURES, MAX_TIMEOUTS, TIMEOUT_PIECES, Bisection
from sidecar.php.client import (
    BackendError,
    BackendFailed,
    BackendRefused,
    BackendTimedOut,
    BackendUnavailable,
)

FAILED, HUNG = BackendFailed("failed"), BackendTimedOut("hung")


@dataclass
class Php:
    """Fails or hangs on a request with certain items, and leaves others undone."""

    fails_on: frozenset[int] = frozenset()
    hangs_on: frozenset[int] = frozenset()
    leaves: frozenset[int] = frozenset()
    #: What it answers to a request of this place in the row instead.
    instead: dict[int, BackendError] = field(default_factory=dict)
    requests: list[list[int]] = field(default_factory=list)
    taken: list[int] = field(default_factory=list)
    #: What was left undone, and how many requests had been made by then.
    left: list[tuple[int, int]] = field(default_factory=list)

    async def ask(self, part: list[int]) -> list[int]:
        self.requests.append(part)
        if error := self.instead.get(len(self.requests)):
            raise error
        if self.hangs_on.intersection(part):
            raise HUNG
        if self.fails_on.intersection(part):
            raise FAILED
        self.taken += [item for item in part if item not in self.leaves]
        left = [item for item in part if item in self.leaves]
        self.left += [(item, len(self.requests)) for item in left]
        return left


def run(search: Bisection[int], items: list[int]) -> Bisection[int]:
    asyncio.run(search.run(items))
    return search


def alone(search: Bisection[int]) -> list[int]:
    return [item for item, _ in search.alone]


def given_up(search: Bisection[int]) -> list[int]:
    return [item for part, _ in search.given_up for item in part]


sizes = st.integers(1, 1000)


@given(sizes)
def test_what_works_is_asked_once(size: int) -> None:
    php = Php()
    search = run(Bisection(php.ask), list(range(size)))
    assert php.requests == [list(range(size))]
    assert (search.worked, search.error, search.alone, search.given_up) == (True, None, [], [])


def test_nothing_is_asked_about_nothing() -> None:
    php = Php()
    assert not run(Bisection(php.ask), []).worked
    assert not php.requests


@given(st.data(), sizes, st.sampled_from([FAILED, HUNG]))
def test_the_one_that_php_fails_or_hangs_on_stands_alone(
    data: st.DataObject, size: int, error: BackendError
) -> None:
    bad = data.draw(st.integers(0, size - 1))
    one = frozenset([bad])
    php = Php(hangs_on=one) if error is HUNG else Php(fails_on=one)
    search = run(Bisection(php.ask), list(range(size)))
    assert search.alone == [(bad, error)]
    assert php.taken == [item for item in range(size) if item != bad]
    assert not search.given_up
    cuts = 4 if error is HUNG else 10
    assert search.failures + search.timeouts <= 1 + cuts


@given(st.integers(1, 6), st.sets(st.integers(0, 5)))
def test_all_that_php_fails_on_is_found_in_a_few(size: int, bad: set[int]) -> None:
    php = Php(fails_on=frozenset(bad))
    search = run(Bisection(php.ask), list(range(size)))
    assert alone(search) == [item for item in range(size) if item in bad]
    assert php.taken == [item for item in range(size) if item not in bad]


@given(sizes, st.sets(st.integers(0, 999)), st.sets(st.integers(0, 999)))
def test_each_is_done_or_alone_or_given_up(size: int, fails: set[int], hangs: set[int]) -> None:
    php = Php(frozenset(fails), frozenset(hangs))
    search = run(Bisection(php.ask), list(range(size)))
    assert sorted([*php.taken, *alone(search), *given_up(search)]) == list(range(size))
    assert set(alone(search)) <= fails | hangs
    assert not (fails | hangs).intersection(php.taken)


@given(sizes, st.integers(1, 1000))
def test_once_something_has_worked_all_are_found(size: int, every: int) -> None:
    """However many there are, if the first can be taken."""
    bad = frozenset(range(1, size, every))
    php = Php(fails_on=bad)
    search = run(Bisection(php.ask), list(range(size)))
    assert set(alone(search)) == bad
    assert not search.given_up


def test_once_something_has_worked_all_that_php_hangs_on_is_found() -> None:
    bad = frozenset(range(500, 1000, 50))
    assert len(bad) > MAX_TIMEOUTS
    php = Php(hangs_on=bad)
    search = run(Bisection(php.ask), list(range(1000)))
    assert set(alone(search)) == bad
    assert set(php.taken) == set(range(1000)) - bad


@given(sizes)
def test_a_php_that_is_ill_is_not_asked_about_each(size: int) -> None:
    php = Php(fails_on=frozenset(range(size)))
    search = run(Bisection(php.ask), list(range(size)))
    assert len(php.requests) < min(2 * MAX_FAILURES, 2 * size)
    assert alone(search)[:1] == [0], "something is tried each time"
    assert not search.worked


@given(sizes)
def test_a_php_that_hangs_is_asked_a_few_times(size: int) -> None:
    php = Php(hangs_on=frozenset(range(size)))
    search = run(Bisection(php.ask), list(range(size)))
    assert len(php.requests) <= MAX_TIMEOUTS
    assert alone(search)[:1] == [0]
    assert len(php.requests[1:]) == 0 or len(php.requests[1]) == -(-size // TIMEOUT_PIECES)


def test_a_run_of_bad_ones_at_the_front_does_not_keep_the_others_from_being_taken() -> None:
    """PHP seems to be ill by then, and is asked about what is left without being sure."""
    php = Php(fails_on=frozenset(range(30)))
    search = run(Bisection(php.ask), list(range(1000)))
    assert set(range(500, 1000)) <= set(php.taken)
    assert search.worked


@given(
    st.lists(st.integers(0, 5), max_size=60),
    st.sets(st.integers(0, 59)),
    st.sets(st.integers(0, 59)),
    st.sets(st.integers(0, 59)),
)
def test_nothing_goes_after_what_was_not_done_of_its_order_key(
    keys: list[int], fails: set[int], hangs: set[int], leaves: set[int]
) -> None:
    php = Php(frozenset(fails), frozenset(hangs), frozenset(leaves))
    run(Bisection(php.ask, order_key=keys.__getitem__), list(range(len(keys))))
    for item, requests in php.left:
        later = {keys[one] for request in php.requests[requests:] for one in request}
        assert keys[item] not in later
    for key in set(keys):
        taken = [item for item in php.taken if keys[item] == key]
        assert taken == sorted(set(taken)), "in order, and once"
    bad = fails | hangs
    for item in php.taken:
        before = [one for one in range(item) if keys[one] == keys[item]]
        assert not bad.intersection(before)


@given(sizes, st.integers(1, 5), st.sampled_from([401, 403, 404, 429, 503]))
def test_it_ends_when_php_cannot_be_asked(size: int, place: int, status: int) -> None:
    error: BackendError = BackendRefused(status, "code", "no")
    if status == 503:
        error = BackendUnavailable("503")
    php = Php(fails_on=frozenset([0]), instead={place: error})
    search = run(Bisection(php.ask), list(range(size)))
    if len(php.requests) >= place:
        assert len(php.requests) == place
        assert search.unavailable
        assert set(php.requests[-1]) <= set(given_up(search))
    assert sorted([*php.taken, *alone(search), *given_up(search)]) == list(range(size))


def test_another_refusal_may_be_about_one_of_them() -> None:
    php = Php(instead={1: BackendRefused(422, "invalid", "no")})
    search = run(Bisection(php.ask), [0, 1])
    assert php.requests == [[0, 1], [0], [1]]
    assert isinstance(search.error, BackendFailed)
    assert search.reason == "invalid: no"


@pytest.mark.parametrize("bad", range(4))
def test_time_outs_that_are_not_cut(bad: int) -> None:
    php = Php(hangs_on=frozenset([bad]))
    search = run(Bisection(php.ask, cut_timeouts=False), list(range(4)))
    assert php.requests == [[0, 1, 2, 3]]
    assert search.given_up == [([0, 1, 2, 3], HUNG)]


def test_nothing_is_cut_where_no_failure_is_allowed() -> None:
    php = Php(fails_on=frozenset([0]))
    search = run(Bisection(php.ask, max_failures=0), [0, 1])
    assert php.requests == [[0, 1]]
    assert given_up(search) == [0, 1]
