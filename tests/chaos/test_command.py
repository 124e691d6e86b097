"""What the command says of its rounds. The rounds themselves are in test_chaos.py."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import orjson
import pytest
from click.testing import CliRunner, Result

from simulator.chaos import command as module


class Stage:
    def __init__(self, folder: Path, *, host_routine: bool) -> None:
        self.host_routine = host_routine
        self.installation = SimpleNamespace(description=lambda: "a stage of planks")
        self.clocks = SimpleNamespace(names={"redis"})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str, failing: int | None = None) -> Result:
    def run_round(
        stage: Stage, seed: int, histories: Path, longest_s: float
    ) -> tuple[dict[str, Any], bool]:
        line = {"seed": seed, "lost": int(seed == failing), "longest_s": longest_s}
        line["host_routine"] = stage.host_routine
        return line, seed != failing

    monkeypatch.setattr(module, "missing", list)
    monkeypatch.setattr(module, "Stage", Stage)
    monkeypatch.setattr(module, "run_round", run_round)
    return CliRunner().invoke(module.command, arguments)


def test_a_line_for_each_round(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(monkeypatch, "--rounds", "3", "--seed", "40")
    assert result.exit_code == 0
    lines = [orjson.loads(line) for line in result.stdout.splitlines()]
    assert [line["seed"] for line in lines] == [40, 41, 42]
    assert "nothing lost" in result.stderr


def test_a_round_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(monkeypatch, "--rounds", "3", "--seed", "40", failing=41)
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 3
    assert "seeds [41]" in result.stderr


def test_how_long_outages_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(monkeypatch, "--rounds", "1", "--longest", "5")
    assert orjson.loads(result.stdout)["longest_s"] == 5.0


@pytest.mark.parametrize(("arguments", "is_hosts"), [([], True), (["--schema-engine"], False)])
def test_who_handles_messages(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], is_hosts: bool
) -> None:
    result = run(monkeypatch, "--rounds", "1", *arguments)
    assert orjson.loads(result.stdout)["host_routine"] is is_hosts


def test_a_machine_without_the_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "missing", lambda: ["nginx"])
    result = CliRunner().invoke(module.command, [])
    assert result.exit_code == 1
    assert "without nginx" in result.stderr
