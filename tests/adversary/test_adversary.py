"""A short form of make adversary: those shapes that have done the most harm. A round that fails
names the folder with its history, and can be run again alone: make adversary ROUNDS=1 SEED=1
ARGS="--shape php_500"."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator.adversary.cast import CAMPAIGN, CUSTOMERS
from simulator.adversary.plan import Plan
from simulator.adversary.round import run_round
from simulator.adversary.stage import AdversaryStage
from tests.stack.packages import require_stack

#: Several attackers in one round, so that the suite is done soon; each by its seed.
ROUNDS: dict[int, tuple[tuple[str, ...], ...]] = {
    # PHP fails, and large webhooks.
    1: (("php_500",), ("php_400", "php_late"), ("one_sender", "wide_envelope")),
    # Another's name.
    3: (
        ("frames", "meddles"),
        ("foreign_account", "empty_statuses"),
        ("slow_clients", "strangers"),
    ),
    # Odd answers and bytes.
    4: (("cloud_api_garbage", "mutations"), ("odd_values", "forward_hang"), ("empty_changes",)),
}

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdversaryStage]:
    require_stack()
    # Other tests run beside it.
    with AdversaryStage(tmp_path_factory.mktemp("adversary"), slowness=2.5) as stage:
        yield stage


@pytest.mark.parametrize("seed", ROUNDS)
def test_round(stage: AdversaryStage, tmp_path: Path, seed: int) -> None:
    plan = Plan(seed, ROUNDS[seed], report=seed % 2 == 0, garbage="nested")
    line, kept = run_round(stage, plan, tmp_path)
    assert kept, line
    # The victim has worked, and the attack has come through.
    assert line["sent"] == CAMPAIGN
    assert line["acknowledged"] == line["applied"] == CUSTOMERS + 3 * CAMPAIGN
    assert line["in_mb"] > 0
