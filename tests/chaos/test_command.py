"""What the command does with its options. The rounds themselves are in test_chaos.py."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result

from simulator.chaos import command as module
from tests.planks import Planks, set_up


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str, failing: int | None = None) -> Result:
    def run_round(
        stage: Planks, seed: int, histories: Path, longest_s: float
    ) -> tuple[dict[str, Any], bool]:
        return {"seed": seed, "longest_s": longest_s, **stage.options}, seed != failing

    def run_campaign(folder: Path, *, seed: int, **options: Any) -> tuple[dict[str, Any], bool]:
        return {"seed": seed, **options}, seed != failing

    set_up(monkeypatch, module, "Stage")
    monkeypatch.setattr(module, "run_round", run_round)
    monkeypatch.setattr(module, "run_wipe", run_campaign)
    monkeypatch.setattr(module, "run_snapshot", run_campaign)
    return CliRunner().invoke(module.command, arguments)


def lines(result: Result) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.parametrize(
    ("arguments", "seeds"),
    [
        (["--rounds", "3"], [40, 41, 42]),
        (["--rounds", "3", "--snapshot"], [40, 41, 42]),
        (["--wipe"], [40]),
    ],
)
def test_a_line_for_each_round(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], seeds: list[int]
) -> None:
    result = run(monkeypatch, "--seed", "40", *arguments)
    assert result.exit_code == 0
    assert [line["seed"] for line in lines(result)] == seeds
    assert module.KEPT in result.stderr


@pytest.mark.parametrize("kind", [[], ["--snapshot"], ["--wipe"]])
def test_a_round_that_fails(monkeypatch: pytest.MonkeyPatch, kind: list[str]) -> None:
    result = run(monkeypatch, "--seed", "40", *kind, failing=40)
    assert result.exit_code == 1
    assert "seeds [40]" in result.stderr


def test_the_size_of_a_campaign(monkeypatch: pytest.MonkeyPatch) -> None:
    [line] = lines(run(monkeypatch, "--wipe", "--messages", "70", "--rate", "20"))
    assert (line["messages"], line["rate"]) == (70, 20.0)


def test_how_long_outages_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    [line] = lines(run(monkeypatch, "--rounds", "1", "--longest", "5"))
    assert line["longest_s"] == 5.0


@pytest.mark.parametrize(("arguments", "is_hosts"), [([], True), (["--schema-engine"], False)])
def test_who_handles_messages(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], is_hosts: bool
) -> None:
    [line] = lines(run(monkeypatch, "--rounds", "1", *arguments))
    assert line["host_routine"] is is_hosts
