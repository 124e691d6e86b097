"""The counts of a run: what does not fit is said, and what a kill leaves unknown is no loss."""

from dataclasses import replace

import pytest

from simulator.comparison import Comparison
from simulator.containers.load import differences

CLEAN = Comparison(
    messages=100,
    accepted=100,
    settled=100,
    statuses_received=300,
    statuses_applied=300,
    replies_received=10,
    replies_applied=10,
    sent_twice=0,
    lost=0,
)


def test_a_clean_run() -> None:
    assert differences(CLEAN, 0) == []


def test_a_message_of_unknown_outcome_that_was_not_sent() -> None:
    assert differences(replace(CLEAN, accepted=99, settled=99), 1) == []


@pytest.mark.parametrize(
    "change",
    [
        {"accepted": 99, "settled": 99},
        {"settled": 99},
        {"statuses_applied": 299},
        {"replies_applied": 9},
        {"sent_twice": 1},
        {"lost": 1},
    ],
)
def test_what_does_not_fit(change: dict[str, int]) -> None:
    assert len(differences(replace(CLEAN, **change), 0)) == 1
