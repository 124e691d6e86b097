"""Redis goes back to how it was some seconds ago, in the middle of a campaign, with whoever else
dies; and what is planned."""

from pathlib import Path

import pytest

from simulator.chaos.snapshot import Plan, run_snapshot
from simulator.chaos.stage import WORKERS
from tests.stack.packages import require_stack

MESSAGES = 1500
RATE = 150.0


#: One in which the workers die with it; make chaos-snapshot has others.
SEED = 1


@pytest.mark.timeout(300)
def test_redis_goes_back(tmp_path: Path) -> None:
    require_stack()
    line, kept = run_snapshot(tmp_path, seed=SEED, messages=MESSAGES, rate=RATE)
    assert kept, line
    assert line["named"]
    assert line["replies"], "customers were answered"


def test_seeds_kill_everybody_and_nobody() -> None:
    plans = [Plan.of(seed, 1000) for seed in range(40)]
    assert {plan.killed for plan in plans} == {
        (),
        WORKERS,
        ("sidecar",),
        (*WORKERS, "sidecar"),
    }
    assert {plan.killed_again_after_s is None for plan in plans} == {True, False}
    assert all(0 < plan.copied_after < 1000 for plan in plans)
    assert all(plan.goes_on_s > 2.0 for plan in plans), "what is promised"
