"""The version before this one, out of the repository's history. ``PREVIOUS`` names its commit: at
each release, that of the last one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMIT = (Path(__file__).with_name("PREVIOUS")).read_text().strip()
PACKAGES = ("contracts", "sidecar", "workers")


def unpack(folder: Path) -> Path:
    """Unpack its packages into a folder, and return that. Skips the test, or fails it where ``CI``
    is set, if the history does not go back so far."""
    folder.mkdir()
    archive = folder / "previous.tar"
    done = subprocess.run(
        ["git", "-C", str(ROOT), "archive", f"--output={archive}", COMMIT, *PACKAGES],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        refuse = pytest.fail if os.environ.get("CI") else pytest.skip
        refuse(
            f"the version before ({COMMIT[:8]}) is not in this clone's history, git fetch "
            f"--unshallow gets it: {done.stderr.strip()}"
        )
    subprocess.run(["tar", "--extract", f"--file={archive}", f"--directory={folder}"], check=True)
    archive.unlink()
    return folder


def runs_from(command: list[str], folder: Path) -> list[str]:
    """Return a command of Python's for the modules that are in a folder: there they are found
    first."""
    return ["env", f"--chdir={folder}", *command]


def loaded_from(folder: Path) -> set[Path]:
    """Return where such a command finds the packages."""
    code = f"import {', '.join(PACKAGES)}; print({', '.join(f'{p}.__file__' for p in PACKAGES)})"
    command = [sys.executable, "-c", code]
    found = subprocess.run(runs_from(command, folder), capture_output=True, text=True, check=True)
    return {Path(file).parents[1] for file in found.stdout.split()}
