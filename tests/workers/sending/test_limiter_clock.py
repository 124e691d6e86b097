"""Redis's time, as its answers tell it."""

import pytest

from workers.sending.limiter import RedisClock

#: What Redis's clock is ahead of the process's.
AHEAD = 5000.0


class Process:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def process() -> Process:
    return Process()


@pytest.fixture
def clock(process: Process) -> RedisClock:
    return RedisClock(process, lambda: 7.0)


def test_as_long_as_redis_has_told_nothing_it_is_the_machines(clock: RedisClock) -> None:
    assert clock.now() == 7.0


def test_a_quick_answer_counts_at_once_and_a_slow_one_hardly(
    clock: RedisClock, process: Process
) -> None:
    clock.told(process.now + AHEAD - 0.3)
    assert clock.now() == pytest.approx(process.now + AHEAD - 0.3)
    clock.told(process.now + AHEAD - 0.001)
    assert clock.now() == pytest.approx(process.now + AHEAD - 0.001)
    process.now += 1
    clock.told(process.now + AHEAD - 0.5)
    assert clock.now() == pytest.approx(process.now + AHEAD - 0.002)


def test_it_follows_a_clock_that_drifts(clock: RedisClock, process: Process) -> None:
    clock.told(process.now + AHEAD)
    for _ in range(1000):
        process.now += 1
        clock.told(process.now + AHEAD - 0.5)
    assert clock.now() == pytest.approx(process.now + AHEAD - 0.5, abs=0.002)


def test_how_often_it_is_told_does_not_matter(clock: RedisClock, process: Process) -> None:
    clock.told(process.now + AHEAD)
    for _ in range(10_000):
        process.now += 0.0001
        clock.told(process.now + AHEAD - 0.5)
    assert clock.now() == pytest.approx(process.now + AHEAD - 0.001, abs=0.0001)


def test_times_of_redis_on_the_process_clock(clock: RedisClock, process: Process) -> None:
    clock.told(process.now + AHEAD)
    assert clock.local(process.now + AHEAD + 2) == pytest.approx(process.now + 2)


def test_a_clock_that_is_set_back_is_followed_at_once(clock: RedisClock, process: Process) -> None:
    """It would take weeks otherwise, and all slots would be in the past meanwhile."""
    clock.told(process.now + AHEAD, process.now - 0.001)
    process.now += 1
    clock.told(process.now + AHEAD - 1200, process.now - 0.001)
    assert clock.now() == pytest.approx(process.now + AHEAD - 1200)


def test_an_answer_that_took_long_is_no_clock_that_was_set_back(
    clock: RedisClock, process: Process
) -> None:
    clock.told(process.now + AHEAD, process.now)
    asked_at = process.now
    process.now += 5
    clock.told(asked_at + AHEAD, asked_at)
    assert clock.now() == pytest.approx(process.now + AHEAD, abs=0.01)
