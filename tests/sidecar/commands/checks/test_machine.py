"""Open files and disks."""

import os
import resource
import socket
from pathlib import Path

import pytest

from sidecar.commands.checks.machine import (
    Disk,
    OpenFiles,
    judge_disk,
    judge_open_files,
    most_files,
    read_disk,
    read_open_files,
)
from sidecar.ops.processes import Process
from tests.conftest import MakeSettings
from tests.sidecar.commands.checks.lines import levels

GB = 1024**3


def test_open_files_against_what_the_settings_can_use(make_settings: MakeSettings) -> None:
    settings = make_settings(campaign_concurrency=2, send_concurrency=500)
    need = most_files(settings)
    assert need > 2 * 500
    limits = [
        OpenFiles("a", need),
        OpenFiles("b", need - 1),
        OpenFiles("c", 1024),
        OpenFiles("d", 1023),
    ]
    assert levels(judge_open_files(limits, settings)) == {
        "open files of a": "OK",
        "open files of b": "WARN",
        "open files of c": "WARN",
        "open files of d": "FAIL",
    }


def test_whose_limits_are_read() -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    here = socket.gethostname()
    processes = [
        Process("1", "serve", here, os.getpid(), 0, 0.0),
        Process("2", "worker", here, 2**22 + 1, 0, 0.0),
        Process("3", "worker", "elsewhere", os.getpid(), 0, 0.0),
        Process("4", "worker", here, os.getpid(), 0, 1000.0),
    ]
    assert read_open_files(processes) == [
        OpenFiles("this command", soft),
        OpenFiles(f"serve {os.getpid()}", soft),
    ]


@pytest.mark.parametrize(
    ("free", "total", "level"),
    [(50 * GB, 100 * GB, "OK"), (14 * GB, 100 * GB, "WARN"), (GB - 1, 2 * GB, "FAIL")],
)
def test_room_on_the_disk(free: int, total: int, level: str) -> None:
    assert judge_disk(Disk(Path("/d"), free, total)).level == level


def test_a_disk_that_is_not_seen() -> None:
    line = judge_disk(None)
    assert (line.level, "Redis's machine" in line.detail) == ("OK", True)


@pytest.mark.parametrize(
    ("redis_url", "seen"),
    [
        ("redis://127.0.0.1:6379/0", True),
        ("redis://:password@localhost/0", True),
        ("unix:///run/redis.sock", True),
        ("redis://redis:6379/0", False),
        ("redis://127.0.0.1.example.com/0", False),
    ],
)
def test_which_disk(
    make_settings: MakeSettings, tmp_path: Path, redis_url: str, seen: bool
) -> None:
    disk = read_disk(make_settings(redis_url=redis_url), str(tmp_path))
    assert (disk is not None) == seen
    if disk is not None:
        assert disk.path == tmp_path
        assert 0 < disk.free < disk.total
    assert read_disk(make_settings(redis_url=redis_url), str(tmp_path / "nothing")) is None


def test_the_embedded_valkeys_disk(make_settings: MakeSettings, tmp_path: Path) -> None:
    disk = read_disk(make_settings(redis_url=None, data_dir=tmp_path), "/whatever")
    assert disk is not None
    assert disk.path == tmp_path
