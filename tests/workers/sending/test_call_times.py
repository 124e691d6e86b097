"""Whether the Cloud API is slow is judged by enough calls, lately, and by those that wait."""

from contextlib import suppress

import pytest

from workers.sending import call_times
from workers.sending.call_times import ENOUGH, KEPT_S, CallTimes


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def call(times: CallTimes, clock: Clock, seconds: float, number: str = "1") -> None:
    with times.call(number):
        clock.now += seconds


def test_half_of_the_answers_take_long() -> None:
    times = CallTimes(clock := Clock())
    for seconds in [3.0] * (ENOUGH - 1):
        call(times, clock, seconds)
    assert times.slow() == {}, "too few to tell"
    call(times, clock, 3.0, number="2")
    call(times, clock, 3.0)
    assert times.slow() == {"1": 3.0}
    for _ in range(ENOUGH + 1):
        call(times, clock, 0.1)
    assert times.slow() == {}
    for _ in range(20):
        call(times, clock, 5.0)
    assert times.slow() == {"1": 5.0}
    clock.now += KEPT_S + 1
    assert times.slow() == {}, "that was long ago"


def test_calls_without_an_answer_count() -> None:
    times = CallTimes(clock := Clock())
    waiting = [times.call("1") for _ in range(ENOUGH)]
    for one in waiting:
        one.__enter__()
    clock.now += 1.0
    assert times.slow() == {}
    clock.now += 3.0
    assert times.slow() == {"1": 4.0}
    for one in waiting:
        one.__exit__(None, None, None)
    assert times.slow() == {"1": 4.0}


def test_a_call_that_raises_has_ended_too() -> None:
    times = CallTimes(clock := Clock())
    for _ in range(ENOUGH):
        with suppress(ValueError), times.call("1"):
            clock.now += 4
            raise ValueError
    assert times.slow() == {"1": 4.0}


def test_it_stays_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_times, "MAX_NUMBERS", 2)
    times = CallTimes(clock := Clock())
    for number in ("1", "2", "1", "3"):
        for _ in range(ENOUGH):
            call(times, clock, 3.0, number)
    assert set(times.slow()) == {"1", "3"}
