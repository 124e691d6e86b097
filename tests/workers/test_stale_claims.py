"""Claims grow stale by the time in which their results could be told."""

import pytest

from workers.stale_claims import StaleClaims


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def stale(clock: Clock) -> StaleClaims:
    return StaleClaims(300, clock)


def test_while_all_is_well(stale: StaleClaims, clock: Clock) -> None:
    for _ in range(3):
        assert stale.after_s() == 300
        stale.worked()
        clock.now += 500


def test_what_was_claimed_before_a_maintenance_has_its_time_after_it(
    stale: StaleClaims, clock: Clock
) -> None:
    stale.worked()
    for _ in range(4):
        clock.now += 150.5
        stale.failed()
    assert stale.after_s() == 300 + 602, "only what was stale when PHP was last there"
    stale.worked()
    clock.now += 299
    assert stale.after_s() == 300 + 602 + 299
    stale.worked()
    clock.now += 1
    assert stale.after_s() == 300


def test_php_that_is_away_again_soon(stale: StaleClaims, clock: Clock) -> None:
    """What could not be told the first time may not have been told in between."""
    stale.worked()
    clock.now += 400
    stale.failed()
    stale.worked()
    clock.now += 100
    stale.failed()
    clock.now += 400
    assert stale.after_s() == 300 + 900
    stale.worked()
    clock.now += 300
    assert stale.after_s() == 300


def test_php_that_was_never_there(stale: StaleClaims, clock: Clock) -> None:
    clock.now += 60
    stale.failed()
    assert stale.after_s() == 360
