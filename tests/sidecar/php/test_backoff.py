"""Pauses that double."""

from hypothesis import given
from hypothesis import strategies as st

from sidecar.php.backoff import Backoff

lengths = st.floats(0.001, 1e6)
counts = st.integers(0, 10_000)


def test_the_first_pause_is_as_long_as_it_is_said_to_be() -> None:
    assert [Backoff(1.0, 5.0).pause(failures) for failures in range(6)] == [1, 1, 2, 4, 5, 5]


@given(lengths, lengths, counts)
def test_pauses_double_up_to_the_longest(first: float, longest: float, failures: int) -> None:
    backoff = Backoff(first, longest)
    pause, next_ = backoff.pause(failures), backoff.pause(failures + 1)
    assert 0 < pause <= longest
    assert next_ == (pause if failures < 1 else min(longest, 2 * pause))


@given(lengths, lengths, counts)
def test_a_spread_pause_is_up_to_a_quarter_shorter_or_longer(
    first: float, longest: float, failures: int
) -> None:
    pause = Backoff(first, longest).pause(failures)
    assert 0.75 * pause <= Backoff(first, longest).spread(failures) <= 1.25 * pause


@given(lengths, lengths, counts, st.floats(0, 1))
def test_the_jitter_says_how_much(
    first: float, longest: float, failures: int, jitter: float
) -> None:
    backoff = Backoff(first, longest, lambda: jitter)
    assert backoff.spread(failures) == backoff.pause(failures) * (0.75 + jitter / 2)
