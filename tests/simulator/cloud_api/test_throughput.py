from random import Random

import pytest

from simulator.cloud_api.throughput import Throughput


def test_nothing_yet() -> None:
    throughput = Throughput()
    assert (throughput.count, throughput.worst_second) == (0, 0)
    assert throughput.first_at is None
    assert throughput.average_per_s() is None


def test_average_counts_intervals() -> None:
    throughput = Throughput()
    for at in range(81):
        throughput.record(at / 80)
    assert throughput.average_per_s() == pytest.approx(80)
    assert (throughput.first_at, throughput.last_at) == (0.0, 1.0)


def test_window_is_open_at_its_start() -> None:
    throughput = Throughput()
    for at in (0.0, 0.5, 1.0):
        throughput.record(at)
    assert throughput.worst_second == 2


def test_worst_second_is_the_worst_of_all_windows() -> None:
    rng = Random(3)
    times = sorted(rng.uniform(0, 20) for _ in range(2000))
    throughput = Throughput()
    for at in times:
        throughput.record(at)
    worst = max(sum(1 for one in times if end - 1 < one <= end) for end in times)
    assert throughput.worst_second == worst
