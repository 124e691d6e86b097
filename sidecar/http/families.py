"""Metric families, made of their samples."""

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

#: Values of the labels, and the value.
Samples = Iterable[tuple[tuple[str, ...], float]]


def gauge(name: str, help_: str, samples: Samples, labels: tuple[str, ...] = ()) -> Metric:
    """Return how something stands: a value for the labels of each sample."""
    family = GaugeMetricFamily(name, help_, labels=labels)
    for values, value in samples:
        family.add_metric(values, float(value))
    return family


def counter(name: str, help_: str, samples: Samples, labels: tuple[str, ...] = ()) -> Metric:
    """Return what has been counted: a sum for the labels of each sample."""
    family = CounterMetricFamily(name, help_, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family
