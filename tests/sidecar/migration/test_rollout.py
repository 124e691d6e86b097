"""Percentages of vendors: always the same ones, and larger ones contain the smaller."""

import uuid

from sidecar.migration.rollout import percentile

VENDORS = [str(uuid.UUID(int=number)) for number in range(5000)]


def test_it_is_always_the_same() -> None:
    assert percentile("d650c337-a5ff-5514-b9fa-edbb2b47c128") == 56.79


def test_a_larger_percentage_contains_the_smaller() -> None:
    within = [{v for v in VENDORS if percentile(v) < percent} for percent in (0, 10, 50, 100)]
    assert within[0] == set()
    assert within[1] < within[2] < within[3] == set(VENDORS)


def test_percentages_are_about_right() -> None:
    for percent in (1, 10, 50):
        found = sum(percentile(vendor) < percent for vendor in VENDORS)
        assert 0.7 * percent < 100 * found / len(VENDORS) < 1.3 * percent
