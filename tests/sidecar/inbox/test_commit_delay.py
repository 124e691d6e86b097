"""How long a group commit waits for company, at rates of every kind."""

from collections.abc import Callable
from random import Random

import pytest

from sidecar.inbox.commit_delay import MAX_DELAY_S, MAX_EXPECTED, CommitDelay

COMMIT_S = 0.001


def poisson(rate: float) -> Callable[[], float]:
    random = Random(1)
    return lambda: random.expovariate(rate)


def run(delay: CommitDelay, gap: Callable[[], float], webhooks: int = 2000) -> tuple[float, float]:
    """Play webhooks that arrive in these gaps, against commits that take a millisecond. Return how
    many share a commit, and how many of the commits wait."""
    arrivals, at = [], 0.0
    for _ in range(webhooks):
        at += gap()
        arrivals.append(at)
    commits = waits = taken = 0
    now = 0.0
    while taken < webhooks:
        now = max(now, arrivals[taken])
        here = sum(1 for at in arrivals[taken : taken + 200] if at <= now)
        if left := delay.left(now, arrivals[taken], here):
            assert 0 < left <= MAX_DELAY_S
            waits += 1
            now += left
            joined = sum(1 for at in arrivals[taken + here : taken + 200] if at <= now)
            delay.waited(joined)
            here += joined
        delay.committed(now, here)
        taken += here
        commits += 1
        now += COMMIT_S
    return webhooks / commits, waits / commits


@pytest.mark.parametrize("rate", [1, 20, 80, 120])
def test_when_little_comes_next_to_nothing_waits(rate: float) -> None:
    assert run(CommitDelay(), poisson(rate))[1] < 0.01


def test_a_lone_webhook_after_a_flood_is_committed_at_once() -> None:
    delay = CommitDelay()
    run(delay, poisson(5000))
    assert delay.left(1000.0, 1000.0, 1) == 0
    delay.committed(1000.0, 1)
    assert delay.left(1000.5, 1000.5, 1) == 0


@pytest.mark.parametrize(("rate", "shared"), [(240, 1.6), (500, 2.2), (1000, 2.4)])
def test_at_some_hundreds_a_second_several_share_a_commit(rate: float, shared: float) -> None:
    assert run(CommitDelay(), poisson(rate))[0] >= shared


@pytest.mark.parametrize("rate", [5000, 30_000])
def test_under_load_they_share_it_anyway(rate: float) -> None:
    shared, waits = run(CommitDelay(), poisson(rate), 20_000)
    assert shared > 3
    assert waits < 0.2


def test_the_wait_becomes_shorter_the_more_comes() -> None:
    lefts = []
    for rate in (200, 450, 1000, 2000):
        delay = CommitDelay()
        for number in range(rate):
            delay.committed(number / rate, 1)
        lefts.append(delay.left(1.0, 1.0, 1))
    assert lefts[:2] == [pytest.approx(MAX_DELAY_S)] * 2
    assert lefts[2:] == [pytest.approx(MAX_EXPECTED / rate, rel=0.1) for rate in (1000, 2000)]


def test_the_wait_counts_from_the_first_webhook() -> None:
    delay = CommitDelay()
    for number in range(450):
        delay.committed(number / 450, 1)
    assert delay.left(1.0, 0.999, 1) == pytest.approx(MAX_DELAY_S - 0.001)
    assert delay.left(1.0, 0.99, 1) == 0


def test_a_sender_that_waits_for_each_answer_is_not_kept_waiting() -> None:
    """It sends the next one when it has the answer: nobody ever joins."""
    delay, now, waits = CommitDelay(), 0.0, 0
    for _ in range(1000):
        if left := delay.left(now, now, 1):
            waits += 1
            now += left
            delay.waited(0)
        delay.committed(now, 1)
        now += COMMIT_S
    assert waits < 1000 * 0.15


def test_a_clock_that_stands_still_does_no_harm() -> None:
    delay = CommitDelay()
    delay.committed(5.0, 10)
    assert 0 <= delay.left(4.0, 4.0, 1) <= MAX_DELAY_S
