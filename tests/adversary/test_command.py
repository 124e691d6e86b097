"""What the command says of its rounds. The rounds themselves are in test_adversary.py."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import orjson
import pytest
from click.testing import CliRunner, Result

from simulator.adversary import command as module
from simulator.adversary.plan import Plan


class Stage:
    def __init__(self, folder: Path) -> None:
        self.installation = SimpleNamespace(description=lambda: "a stage of planks")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str, failing: int | None = None) -> Result:
    def run_round(stage: Stage, plan: Plan, histories: Path) -> tuple[dict[str, Any], bool]:
        return {"seed": plan.seed, "attackers": plan.attackers}, plan.seed != failing

    monkeypatch.setattr(module, "missing", list)
    monkeypatch.setattr(module, "AdversaryStage", Stage)
    monkeypatch.setattr(module, "run_round", run_round)
    return CliRunner().invoke(module.command, arguments)


def test_a_line_for_each_round(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(monkeypatch, "--rounds", "3", "--seed", "40")
    assert result.exit_code == 0
    lines = [orjson.loads(line) for line in result.stdout.splitlines()]
    assert [line["seed"] for line in lines] == [40, 41, 42]
    assert "nobody but the attackers" in result.stderr


def test_shapes_that_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(monkeypatch, "--rounds", "1", "--shape", "php_500", "--shape", "contacts")
    assert orjson.loads(result.stdout)["attackers"] == [["php_500", "contacts"]]


def test_a_round_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(monkeypatch, "--rounds", "3", "--seed", "40", failing=41)
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 3
    assert "seeds [41]" in result.stderr


def test_a_machine_without_the_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "missing", lambda: ["nginx"])
    result = CliRunner().invoke(module.command, [])
    assert result.exit_code == 1
    assert "without nginx" in result.stderr
