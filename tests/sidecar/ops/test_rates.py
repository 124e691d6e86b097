"""What happens per second, out of what was counted."""

import pytest

from contracts.jobs import Lane
from sidecar.metrics import (
    BACKEND_REQUESTS,
    HANDOVER_SECONDS,
    SEND_CALLS,
    SEND_SECONDS,
    SUM,
    WEBHOOKS,
    MetricsRegistry,
    Series,
)
from sidecar.ops.rates import Rate, count, grown, handover_s, quantile, rates


def test_what_all_processes_have_counted_is_added_up() -> None:
    metrics = MetricsRegistry()
    for result, number in (("acknowledged", 5), ("proxied", 3), ("kept", 2), ("too_large", 7)):
        metrics.counter(WEBHOOKS, result).add(number)
    for result, code in (("accepted", ""), ("not_sent", ""), ("unknown", ""), ("pair", "131056")):
        metrics.counter(SEND_CALLS, result, code).add()
    for endpoint, result in (("a", "ok"), ("a", "refused"), ("a", "timedout"), ("b", "failed")):
        metrics.counter(BACKEND_REQUESTS, endpoint, result).add()
    metrics.histogram(SEND_SECONDS).observe(1.0)
    metrics.histogram(HANDOVER_SECONDS, "messages").observe(0.02, 4)
    metrics.histogram(HANDOVER_SECONDS, "statuses").observe(1000.0)
    assert count(metrics.read()) == {
        Rate.WEBHOOKS: 10,
        Rate.WEBHOOKS_REFUSED: 7,
        Rate.SENT: 1,
        Rate.SEND_FAILURES: 3,
        Rate.PHP_FAILURES: 2,
        "handover:messages:0.025": 4,
        "handover:statuses:+Inf": 1,
    }
    assert set(count({Series(HANDOVER_SECONDS.name, ("messages",), SUM): 9.0})) == set(Rate)


def test_a_counter_that_has_fallen_began_anew() -> None:
    assert grown({"a": 5, "b": 7, "gone": 3}, {"a": 8, "b": 2, "new": 4}) == {
        "a": 3,
        "b": 2,
        "new": 4,
    }


def test_rates_are_per_second() -> None:
    assert rates({Rate.SENT: 30}, 60.0)[Rate.SENT] == 0.5
    assert rates({}, 60.0) == dict.fromkeys(Rate, 0.0)


def test_within_which_time_php_had_a_share_of_updates() -> None:
    more = {"handover:messages:0.025": 50.0, "handover:messages:0.05": 50.0}
    assert handover_s(more, Lane.MESSAGES, 0.5) == pytest.approx(0.025)
    assert handover_s(more, Lane.MESSAGES, 0.75) == pytest.approx(0.0375)
    assert handover_s(more, Lane.STATUSES, 0.5) is None


@pytest.mark.parametrize(
    ("buckets", "share", "expected"),
    [
        ([0, 0, 0], 0.5, None),
        ([10, 0, 0], 0.5, 0.5),
        ([10, 0, 0], 1.0, 1.0),
        ([0, 4, 0], 0.5, 1.5),
        ([1, 1, 0], 0.5, 1.0),
        ([0, 0, 3], 0.5, 2.0),
        ([98, 1, 1], 0.99, 2.0),
    ],
)
def test_quantiles(buckets: list[float], share: float, expected: float | None) -> None:
    found = quantile((1.0, 2.0), buckets, share)
    assert found == (None if expected is None else pytest.approx(expected))
