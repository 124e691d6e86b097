"""Redis's primary goes under load: killed with its disk, standing still, or cut off. The rounds
themselves are few here; make chaos-failover has more."""

from collections.abc import Iterator
from math import inf
from pathlib import Path

import pytest

from simulator.chaos.failover_command import IN_SYNC
from simulator.chaos.failover_round import BEGIN_S, CUT_OFF_S, draw_failover, run_failover
from simulator.chaos.fault import Kind
from simulator.chaos.redis_failover import FailoverStage, How
from tests.stack.packages import require_stack

#: Of both in which the primary has what nobody else has, by test_the_rounds_of_the_suite.
SEEDS = (1, 2)
MANY = range(200)

#: A round that fails waits for a minute before it says so.
pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FailoverStage]:
    require_stack()
    folder = tmp_path_factory.mktemp("stage")
    # How long it takes tells here how busy the machine is; that it ends, the verdict says.
    with FailoverStage(folder, dict(IN_SYNC), recovery_s=inf) as stage:
        yield stage


@pytest.fixture(scope="module")
def histories(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("histories")


@pytest.mark.parametrize("seed", SEEDS)
def test_round(stage: FailoverStage, histories: Path, seed: int) -> None:
    line, kept = run_failover(stage, seed, histories)
    assert kept, line
    assert line["sent"] > 0
    assert line["acknowledged"] == line["applied"] + line["dead_lettered"] > 0
    assert 0 < line["failover_after_s"] <= line["webhook_after_s"]
    assert line["failover_after_s"] <= line["send_after_s"]


def test_a_seed_stands_for_one_failover() -> None:
    for seed in MANY:
        fault = draw_failover(seed)
        assert fault == draw_failover(seed)
        assert fault.kind is Kind.FAILOVER
        assert BEGIN_S[0] <= fault.at_s <= BEGIN_S[1]
        if fault.target == How.KILLED:
            assert fault.for_s == 0
        else:
            assert CUT_OFF_S[0] <= fault.for_s <= CUT_OFF_S[1]


def test_the_rounds_of_the_suite() -> None:
    assert [draw_failover(seed).target for seed in SEEDS] == [How.KILLED, How.ISOLATED]
    assert {draw_failover(seed).target for seed in MANY} == set(How)
    assert str(draw_failover(SEEDS[0])).startswith(f"{draw_failover(SEEDS[0]).at_s:.2f}s failover ")
