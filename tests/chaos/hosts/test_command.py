"""What the command says of its troubles. The troubles themselves are in test_hosts.py."""

from pathlib import Path
from typing import Any, Self

import orjson
import pytest
from click.testing import CliRunner, Result

from simulator.chaos.hosts import command as module
from simulator.chaos.hosts.run import Trouble
from simulator.chaos.hosts.stage import SHIPPED
from simulator.chaos.hosts.wire import CannotMake


class Stage:
    def __init__(self, folder: Path, rtt_ms: float, settings: dict[str, Any]) -> None:
        if rtt_ms < 0:
            raise CannotMake("there is no ip")
        self.shipped = settings == SHIPPED

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str, failing: Trouble | None = None) -> Result:
    def run_trouble(
        stage: Stage, trouble: Trouble, *, seed: int, **options: Any
    ) -> tuple[dict[str, Any], bool]:
        line = {"trouble": trouble.value, "seed": seed, "shipped": stage.shipped}
        return {**line, "of": (options["least_share"], options["rate"])}, trouble is not failing

    monkeypatch.setattr(module, "require_stack", lambda: None)
    monkeypatch.setattr(module, "HostsStage", Stage)
    monkeypatch.setattr(module, "run_trouble", run_trouble)
    return CliRunner().invoke(module.command, arguments)


def lines(result: Result) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in result.stdout.splitlines()]


def test_a_line_for_each_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(monkeypatch, "--seed", "40")
    assert result.exit_code == 0
    assert [line["trouble"] for line in lines(result)] == [one.value for one in Trouble]
    assert [line["seed"] for line in lines(result)] == [40, 41, 42, 43, 44]
    assert all(line["shipped"] and line["of"] == [0.98, 80.0] for line in lines(result))


def test_those_that_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(monkeypatch, "--trouble", "no-php", "--trouble", "killed", "--short")
    assert [line["trouble"] for line in lines(result)] == ["no-php", "killed"]
    assert not any(line["shipped"] for line in lines(result))


def test_a_trouble_that_breaks_a_promise(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(monkeypatch, failing=Trouble.ALONE)
    assert result.exit_code == 1
    assert len(lines(result)) == len(Trouble), "the others are tried all the same"
    assert "promises were broken: alone" in result.stderr


def test_a_machine_that_makes_no_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(monkeypatch, "--rtt-ms", "-1")
    assert result.exit_code == 1
    assert "there is no ip" in result.stderr
