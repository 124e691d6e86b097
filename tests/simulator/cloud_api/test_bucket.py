from random import Random

import pytest

from simulator.cloud_api.bucket import TokenBucket


def _taken(bucket: TokenBucket, times: list[float]) -> list[float]:
    taken = []
    for now in times:
        if bucket.has_token(now):
            bucket.take()
            taken.append(now)
    return taken


def test_depth_goes_at_once_and_then_the_rate() -> None:
    bucket = TokenBucket(rate_per_s=80, burst_s=0.2, now=0.0)
    assert bucket.depth == 16
    assert len(_taken(bucket, [0.0] * 100)) == 16
    # From then on one every 12.5 ms, however often it is tried.
    taken = _taken(bucket, [at / 1000 for at in range(1, 10_001)])
    assert len(taken) == 800


def test_exact_pace_is_never_refused() -> None:
    bucket = TokenBucket(rate_per_s=80, burst_s=0, now=0.0)
    assert bucket.depth == 1
    times = [at / 80 for at in range(8000)]
    assert _taken(bucket, times) == times


@pytest.mark.parametrize("rate", [1.0, 20.0, 80.0, 1000.0])
def test_no_window_sees_more_than_rate_and_depth(rate: float) -> None:
    rng = Random(int(rate))
    bucket = TokenBucket(rate, burst_s=0.2, now=0.0)
    times = sorted(rng.uniform(0, 10) for _ in range(int(rate * 30)))
    taken = _taken(bucket, times)
    for start in range(len(taken)):
        inside = sum(1 for at in taken[start:] if at <= taken[start] + 1)
        assert inside <= rate + bucket.depth + 1e-6


def test_debt_is_paid_back() -> None:
    bucket = TokenBucket(rate_per_s=10, burst_s=0, now=0.0)
    for _ in range(6):
        bucket.take()
    assert not bucket.has_token(0.5)
    assert bucket.has_token(0.6)
