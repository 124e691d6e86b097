"""What a process counts and times."""

import pytest

from sidecar.metrics import (
    ACK_SECONDS,
    FAMILIES,
    INF,
    SLOTS,
    SUM,
    WEBHOOKS,
    MetricsRegistry,
    Series,
)


def test_nothing_was_counted() -> None:
    metrics = MetricsRegistry()
    metrics.counter(SLOTS)
    metrics.histogram(ACK_SECONDS)
    assert metrics.read() == {}


def test_counters_are_kept_apart_by_their_labels() -> None:
    metrics = MetricsRegistry()
    metrics.counter(WEBHOOKS, "acknowledged").add()
    metrics.counter(WEBHOOKS, "acknowledged").add(2)
    metrics.counter(WEBHOOKS, "body_too_large").add()
    metrics.counter(SLOTS).add(0.5)
    assert metrics.read() == {
        Series("sidecar_webhooks", ("acknowledged",)): 3,
        Series("sidecar_webhooks", ("body_too_large",)): 1,
        Series("sidecar_limiter_slots", ()): 0.5,
    }


@pytest.mark.parametrize(
    ("value", "bucket"),
    [(0.0, "0.001"), (0.001, "0.001"), (0.0011, "0.0025"), (2.5, "2.5"), (2.6, INF), (1e9, INF)],
)
def test_a_value_is_in_the_bucket_whose_bound_it_does_not_exceed(value: float, bucket: str) -> None:
    metrics = MetricsRegistry()
    metrics.histogram(ACK_SECONDS).observe(value)
    found = {series.part: count for series, count in metrics.read().items()}
    assert found.pop(SUM, 0.0) == value
    assert found == {bucket: 1}


def test_a_series_survives_redis() -> None:
    for series in (Series("a", ()), Series("a", ('"x"', "ü"), "0.5"), Series("a", ("",), SUM)):
        assert Series.load(series.dump()) == series


def test_every_family_says_what_it_is() -> None:
    for name, family in FAMILIES.items():
        assert name == family.name
        assert name.startswith("sidecar_")
        assert not name.endswith("_total")
        assert family.help.endswith(".")
        assert list(family.bounds) == sorted(set(family.bounds))
