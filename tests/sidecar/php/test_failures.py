"""What PHP fails on is told while it does, and no longer."""

from sidecar.php.failures import FRESH_S, Failures


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_some_in_a_row() -> None:
    failures = Failures(clock := Clock())
    failures.failed("claim-messages", "answered 500")
    assert failures.report() == {}, "one may be chance"
    failures.failed("claim-messages", "answered 502")
    failures.failed("modes", "answered 500")
    assert failures.report() == {"claim-messages": "answered 502"}
    failures.worked("claim-messages")
    failures.failed("claim-messages", "answered 500")
    assert failures.report() == {}
    failures.failed("claim-messages", "answered 500")
    clock.now += FRESH_S + 1
    assert failures.report() == {}, "nobody has asked since"
    longer = Failures(clock, fresh_s=60.0)
    for _ in range(2):
        longer.failed("vendor", "answered 401")
    clock.now += 59
    assert longer.report() == {"vendor": "answered 401"}
    clock.now += 2
    assert longer.report() == {}


def test_for_how_long_nothing_has_worked() -> None:
    failures = Failures(clock := Clock())
    assert failures.away_s() == 0
    failures.failed("modes", "no answer in time", took_s=3.0)
    assert failures.away_s() == 3.0
    clock.now += 4
    failures.failed("bots", "cannot connect")
    assert failures.away_s() == 7.0
    clock.now += FRESH_S + 1
    assert failures.away_s() == 0, "nobody has asked since"
    failures.failed("bots", "cannot connect")
    assert failures.away_s() == 0, "that was another time"
    clock.now += 1
    failures.failed("bots", "cannot connect")
    assert failures.away_s() == 1.0
    failures.worked("modes")
    assert failures.away_s() == 0
    failures.failed("bots", "cannot connect")
    assert failures.away_s() == 0
