"""The packages import each other in one direction: workers -> sidecar -> contracts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINT = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True))"


def lint(directory: Path) -> tuple[int, str]:
    """Run import-linter on the packages in ``directory``, with the configuration there."""
    environment = os.environ | {"PYTHONPATH": str(directory)}
    run = subprocess.run(
        [sys.executable, "-c", LINT], cwd=directory, env=environment, capture_output=True, text=True
    )
    return run.returncode, run.stdout + run.stderr


def packages(directory: Path, imports: dict[str, str]) -> None:
    """Make four packages in ``directory``; ``imports`` says which imports which."""
    (directory / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    for name in ("contracts", "sidecar", "workers", "simulator"):
        (directory / name).mkdir()
        (directory / name / "__init__.py").write_text("")
        (directory / name / "part.py").write_text("")
    for importer, imported in imports.items():
        (directory / importer / "part.py").write_text(f"import {imported}.part\n")


def test_the_arrows_run_one_way() -> None:
    code, output = lint(ROOT)
    assert code == 0, output


def test_the_arrows_that_are_meant_are_allowed(tmp_path: Path) -> None:
    packages(tmp_path, {"workers": "sidecar", "sidecar": "contracts", "simulator": "contracts"})
    code, output = lint(tmp_path)
    assert code == 0, output


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("contracts", "sidecar"),
        ("contracts", "workers"),
        ("contracts", "simulator"),
        ("sidecar", "workers"),
        ("sidecar", "simulator"),
        ("workers", "simulator"),
        ("simulator", "sidecar"),
        ("simulator", "workers"),
    ],
)
def test_any_other_arrow_is_noticed(tmp_path: Path, importer: str, imported: str) -> None:
    packages(tmp_path, {importer: imported})
    code, output = lint(tmp_path)
    assert code == 1
    assert f"{importer}.part -> {imported}.part" in output
