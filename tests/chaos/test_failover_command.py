"""What the command says of its rounds. The rounds themselves are in test_failover_round.py."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import orjson
import pytest
from click.testing import CliRunner, Result

from simulator.chaos import failover_command as module


class Stage:
    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.installation = SimpleNamespace(description=lambda: "a stage of planks")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str, failing: int | None = None) -> Result:
    def run_failover(stage: Stage, seed: int, histories: Path) -> tuple[dict[str, Any], bool]:
        return {"seed": seed, "settings": stage.settings}, seed != failing

    monkeypatch.setattr(module, "require_stack", lambda: None)
    monkeypatch.setattr(module, "FailoverStage", Stage)
    monkeypatch.setattr(module, "run_failover", run_failover)
    return CliRunner().invoke(module.command, arguments)


def test_a_line_for_each_round(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(monkeypatch, "--rounds", "2", "--seed", "40")
    assert result.exit_code == 0
    assert [orjson.loads(line) for line in result.stdout.splitlines()] == [
        {"seed": seed, "settings": {"redis_replicas_in_sync": 1}} for seed in (40, 41)
    ]
    assert "nothing lost" in result.stderr


def test_a_round_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(monkeypatch, "--rounds", "3", failing=2)
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 3
    assert "seeds [2]" in result.stderr


def test_without_a_replica_in_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(monkeypatch, "--rounds", "1", "--not-in-sync")
    assert orjson.loads(result.stdout)["settings"] == {}
