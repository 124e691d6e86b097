"""An engine keeps to its folder, and knows what is left there."""

import os
from pathlib import Path

import pytest

from simulator.containers import engine
from simulator.containers.engine import Engine, EngineFailed, mounts_below

MOUNTS = """\
22 1 254:0 / / rw - ext4 /dev/vda rw
23 22 0:5 / /var/one/storage/merged/proc rw - proc proc rw
24 22 0:6 / /var/one/storage/merged rw - overlay overlay rw
25 22 0:7 / /var/one-more rw - tmpfs tmpfs rw
"""


def test_mounts_below_a_folder() -> None:
    assert mounts_below(Path("/var/one"), MOUNTS) == [
        "/var/one/storage/merged",
        "/var/one/storage/merged/proc",
    ]


def test_everything_is_in_the_folder(tmp_path: Path) -> None:
    made = Engine(tmp_path)
    for variable in ("CONTAINERS_CONF", "CONTAINERS_STORAGE_CONF"):
        text = Path(made.environment[variable]).read_text()
        paths = [line.partition("= ")[2].strip('"') for line in text.splitlines() if "/" in line]
        assert paths
        assert all(path.startswith(str(tmp_path)) for path in paths)


def test_a_program_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(EngineFailed, match="because"):
        Engine(tmp_path).run(["sh", "-c", "echo because >&2; exit 3"])


def test_a_program_that_hangs_is_ended(tmp_path: Path) -> None:
    with pytest.raises(EngineFailed, match="takes over 0 s"):
        Engine(tmp_path).run(["sleep", "60"], timeout_s=0.05)


def test_why_containers_cannot_be_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "root" in (engine.why_not() or "")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", "/nowhere")
    reason = engine.why_not() or ""
    assert "podman" in reason
    assert "scripts/install-containers" in reason
    assert "\n" not in reason
