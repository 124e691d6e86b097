"""Rounds of the chaos suite. A round that fails names the folder with its history, and can be run
again alone: make chaos ROUNDS=1 SEED=<seed>."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator.chaos.round import run_round
from simulator.chaos.stage import Stage
from tests.chaos.seeds import LONGEST_S, SEEDS
from tests.stack.packages import require_stack

#: A round that fails waits for a minute before it says so.
pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    require_stack()
    with Stage(tmp_path_factory.mktemp("stage")) as stage:
        yield stage


@pytest.fixture(scope="module")
def histories(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("histories")


@pytest.mark.parametrize("seed", SEEDS)
def test_round(stage: Stage, histories: Path, seed: int) -> None:
    line, kept = run_round(stage, seed, histories, LONGEST_S)
    assert kept, line
    assert line["sent"] > 0
    assert line["acknowledged"] == line["applied"] + line["dead_lettered"] > 0
