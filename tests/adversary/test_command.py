"""What the command does with its options. The rounds themselves are in test_adversary.py."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner

from simulator.adversary import command as module
from simulator.adversary.plan import Plan, draw_plan
from tests.planks import Planks, set_up


@pytest.mark.parametrize(
    ("arguments", "shapes"),
    [([], ()), (["--shape", "php_500", "--shape", "contacts"], ("php_500", "contacts"))],
)
def test_who_attacks(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], shapes: tuple[str, ...]
) -> None:
    def run_round(stage: Planks, plan: Plan, histories: Path) -> tuple[dict[str, Any], bool]:
        return {"seed": plan.seed, "attackers": plan.attackers}, True

    set_up(monkeypatch, module, "AdversaryStage")
    monkeypatch.setattr(module, "run_round", run_round)
    result = CliRunner().invoke(module.command, ["--rounds", "2", "--seed", "40", *arguments])
    assert result.exit_code == 0
    plans = [draw_plan(seed, shapes) for seed in (40, 41)]
    assert [orjson.loads(line) for line in result.stdout.splitlines()] == [
        orjson.loads(orjson.dumps({"seed": plan.seed, "attackers": plan.attackers}))
        for plan in plans
    ]
    assert "nobody but the attackers" in result.stderr
