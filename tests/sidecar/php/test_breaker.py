"""The breaker towards PHP."""

import pytest
from structlog.testing import capture_logs

from sidecar.php.breaker import FRESH_S, Breaker


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def breaker(clock: Clock, jitter: float = 0.5) -> Breaker:
    """Return a breaker whose pauses are as long as they are said to be, at a jitter of 0.5."""
    return Breaker("php.failing", first_s=1.0, longest_s=5.0, clock=clock, jitter=lambda: jitter)


def test_it_is_closed_at_first(clock: Clock) -> None:
    assert breaker(clock).wait_s == 0


def test_it_opens_for_a_pause_that_passes(clock: Clock) -> None:
    one = breaker(clock)
    one.failed("no")
    assert one.wait_s == 1.0
    clock.now += 0.4
    assert one.wait_s == pytest.approx(0.6)
    clock.now += 1.0
    assert one.wait_s == 0


def told(one: Breaker) -> tuple[str | None, str | None]:
    return one.reason, one.fresh_reason


def test_its_reason_is_told_while_it_is_tried(clock: Clock) -> None:
    one = breaker(clock)
    assert told(one) == (None, None)
    one.failed("no")
    clock.now += FRESH_S - 1
    assert told(one) == ("no", "no")
    clock.now += 1
    assert told(one) == ("no", None), "nobody has tried since"
    one.failed("no")
    assert told(one) == ("no", "no")
    one.worked()
    assert told(one) == (None, None)


def test_the_pause_doubles_up_to_the_longest(clock: Clock) -> None:
    one = breaker(clock)
    pauses = []
    for _ in range(5):
        one.failed("no")
        pauses.append(one.wait_s)
        clock.now += one.wait_s
    assert pauses == [1.0, 2.0, 4.0, 5.0, 5.0]


def test_it_closes_at_once_and_begins_anew(clock: Clock) -> None:
    one = breaker(clock)
    one.failed("no")
    one.failed("no")
    one.worked()
    assert one.wait_s == 0
    one.failed("no")
    assert one.wait_s == 1.0


@pytest.mark.parametrize(("jitter", "pause_s"), [(0.0, 0.75), (1.0, 1.25)])
def test_pauses_are_spread(clock: Clock, jitter: float, pause_s: float) -> None:
    one = breaker(clock, jitter)
    one.failed("no")
    assert one.wait_s == pause_s


def test_a_reason_is_logged_once_and_so_is_the_end(clock: Clock) -> None:
    one = breaker(clock)
    with capture_logs() as logs:
        for _ in range(1000):
            one.failed("cannot connect")
        one.failed("answered 500")
        one.worked()
        one.worked()
    assert [(log["event"], log["reason"]) for log in logs] == [
        ("php.failing", "cannot connect"),
        ("php.failing", "answered 500"),
        ("php.failing.resolved", "answered 500"),
    ]


def test_the_reason_stands_while_it_is_open(clock: Clock) -> None:
    one = breaker(clock)
    reasons = [one.reason]
    one.failed("answered 503")
    reasons.append(one.reason)
    one.worked()
    reasons.append(one.reason)
    assert reasons == [None, "answered 503", None]


def test_another_has_the_same_pauses_but_for_the_longest(clock: Clock) -> None:
    one = breaker(clock)
    with capture_logs() as logs:
        other = one.another("php_slow", longest_s=2.0, lane="messages")
        pauses = []
        for _ in range(3):
            other.failed("no")
            pauses.append(other.wait_s)
    assert pauses == [1.0, 2.0, 2.0]
    assert (one.wait_s, one.reason) == (0, None), "it is one of its own"
    assert [(log["event"], log["lane"]) for log in logs] == [("php_slow", "messages")]
