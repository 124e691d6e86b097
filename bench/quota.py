"""A share of a processor for some processes, so that two cores look like many: what is limited
leaves them free."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from simulator.process_group import members
from simulator.processes import Process

_CGROUPS = Path("/sys/fs/cgroup")
_PERIOD_US = 10_000


@contextmanager
def limited(processes: Sequence[Process], share: float) -> Iterator[bool]:
    """Give each of these, with its children, so much of a processor, for a block. Tell whether the
    system lets us: as root, by control groups of either version."""
    made = []
    with suppress(OSError):
        for process in processes:
            made.append(_make(process, round(share * _PERIOD_US)))
    try:
        yield len(made) == len(processes)
    finally:
        for folder in made:
            _remove(folder)


def _make(process: Process, quota_us: int) -> Path:
    first = (_CGROUPS / "cpu").is_dir()
    folder = (_CGROUPS / "cpu" if first else _CGROUPS) / f"bench-{os.getpid()}-{process.pid}"
    folder.mkdir()
    if first:
        (folder / "cpu.cfs_period_us").write_text(str(_PERIOD_US))
        (folder / "cpu.cfs_quota_us").write_text(str(quota_us))
    else:
        (folder / "cpu.max").write_text(f"{quota_us} {_PERIOD_US}")
    for pid in members(process.pid):
        (folder / "cgroup.procs").write_text(str(pid))
    return folder


def _remove(folder: Path) -> None:
    """Give back what is in the group, and remove it."""
    for pid in (folder / "cgroup.procs").read_text().split():
        with suppress(OSError):  # it has just ended
            (folder.parent / "cgroup.procs").write_text(pid)
    folder.rmdir()
