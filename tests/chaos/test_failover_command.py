"""What the command does with its options. The rounds themselves are in test_failover_round.py."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner

from simulator.chaos import failover_command as module
from simulator.chaos.command import KEPT
from tests.planks import Planks, set_up


@pytest.mark.parametrize(
    ("arguments", "settings"), [([], {"redis_replicas_in_sync": 1}), (["--not-in-sync"], {})]
)
def test_what_replicas_have(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], settings: dict[str, Any]
) -> None:
    def run_failover(stage: Planks, seed: int, histories: Path) -> tuple[dict[str, Any], bool]:
        return {"seed": seed, "settings": stage.arguments[1]}, True

    set_up(monkeypatch, module, "FailoverStage")
    monkeypatch.setattr(module, "run_failover", run_failover)
    result = CliRunner().invoke(module.command, ["--rounds", "2", "--seed", "40", *arguments])
    assert result.exit_code == 0
    assert [orjson.loads(line) for line in result.stdout.splitlines()] == [
        {"seed": seed, "settings": settings} for seed in (40, 41)
    ]
    assert KEPT in result.stderr
