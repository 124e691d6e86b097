"""What the command says of its runs. The runs themselves are in test_run.py."""

from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from simulator.embedded import EmbeddedInstallation
from simulator.installation import Installation
from simulator.outages import command as module
from simulator.outages.figures import Figures
from simulator.outages.plan import SHAPES, Plan
from tests.simulator.outages.test_figures import figures


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str, failing: str = "") -> Result:
    def run_one(plan: Plan, installation: Installation) -> Figures:
        assert isinstance(installation, EmbeddedInstallation)
        assert not (plan.shape == "reset" and plan.accepted)
        return figures(shape=plan.shape, rows=plan.messages, failed=int(plan.shape == failing))

    monkeypatch.setattr(module, "_run", run_one)
    return CliRunner().invoke(module.command, arguments)


def test_a_line_for_each_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(monkeypatch, "--accepted", "--messages", "7")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [[shape, "7"] for shape in SHAPES]


def test_a_run_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(monkeypatch, "--shape", "reset", "--shape", "html_502", failing="html_502")
    assert result.exit_code == 1
    assert "html_502: 1 failed" in result.stderr
    assert "reset:" not in result.stderr


def test_figures_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file, kept = tmp_path / "figures.json", tmp_path / "kept"
    run(monkeypatch, "--shape", "reset", "--json", str(file), "--keep", str(kept))
    [found] = orjson.loads(file.read_bytes())
    assert (found["shape"], found["faults"]) == ("reset", [])
    assert (kept / "reset").is_dir()
    again = run(monkeypatch, "--shape", "reset", "--keep", str(kept))
    assert again.exit_code == 1
    assert "is there already" in again.stderr
