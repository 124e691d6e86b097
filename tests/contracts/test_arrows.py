"""Packages and rooms import each other in one direction, and no modules in a circle."""

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
    """Make packages and rooms in ``directory``; ``imports`` says which of them imports
    which."""
    (directory / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    rooms = {"contracts/openapi", "sidecar/php", "sidecar/http"}
    rooms |= {"workers/sending", "simulator/backend"}
    for name in sorted({*imports, *imports.values(), *rooms}):
        room = directory / name.replace(".", "/")
        for package in (room, room.parent):
            package.mkdir(parents=True, exist_ok=True)
            if package != directory:
                (package / "__init__.py").touch()
        (room / "part.py").touch()
    for importer, imported in imports.items():
        file = directory / importer.replace(".", "/") / "part.py"
        file.write_text(f"import {imported}.part\n")


def test_the_arrows_run_one_way() -> None:
    code, output = lint(ROOT)
    assert code == 0, output


def test_the_arrows_that_are_meant_are_allowed(tmp_path: Path) -> None:
    packages(
        tmp_path,
        {
            "workers.sending": "sidecar.php",
            "workers.inbox": "workers.sending",
            "sidecar.php": "contracts.openapi",
            "sidecar.http": "sidecar.inbox",
            "simulator.backend": "contracts.openapi",
        },
    )
    code, output = lint(tmp_path)
    assert code == 0, output


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("contracts.openapi", "sidecar.php"),
        ("contracts.openapi", "workers.sending"),
        ("contracts.openapi", "simulator.backend"),
        ("sidecar.php", "workers.sending"),
        ("sidecar.php", "simulator.backend"),
        ("workers.sending", "simulator.backend"),
        ("simulator.backend", "sidecar.php"),
        ("simulator.backend", "workers.sending"),
        # rooms: up, and to a neighbour
        ("sidecar.redis", "sidecar.php"),
        ("sidecar.sending", "sidecar.inbox"),
        ("sidecar.ops", "sidecar.commands"),
        ("workers.sending", "workers.inbox"),
        ("workers.inbox", "sidecar.http"),
    ],
)
def test_any_other_arrow_is_noticed(tmp_path: Path, importer: str, imported: str) -> None:
    packages(tmp_path, {importer: imported})
    code, output = lint(tmp_path)
    assert code == 1
    assert f"{importer}.part -> {imported}.part" in output


def test_a_circle_is_noticed(tmp_path: Path) -> None:
    packages(tmp_path, {"simulator.backend": "simulator.cloud_api"})
    (tmp_path / "simulator/cloud_api/part.py").write_text("import simulator.backend.part\n")
    code, output = lint(tmp_path)
    assert code == 1
    assert "No cycles are allowed in simulator" in output


def test_a_room_that_has_no_place_is_noticed(tmp_path: Path) -> None:
    packages(tmp_path, {"sidecar.attic": "sidecar.php"})
    code, output = lint(tmp_path)
    assert code == 1
    assert "attic" in output


def test_the_limiter_needs_neither_http_nor_actors() -> None:
    """Who reads or tests how a limit is kept has nothing else to load."""
    code = "import sys, workers.sending.limiter; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    loaded = {name.partition(".")[0] for name in run.stdout.split()}
    assert "redis" in loaded, run.stderr
    assert not loaded & {"starlette", "dramatiq", "uvicorn"}
