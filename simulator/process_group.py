"""What the system knows of a process group: a process and the children that it has started."""

import os
from collections.abc import Iterator
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def members(group: int) -> list[int]:
    """Return the ids of the processes of a group that have not ended."""
    return [pid for pid, fields in _stats() if fields[2] == str(group) and fields[0] != "Z"]


def cpu_s(group: int) -> float:
    """Return the processor time of a group in seconds, that of children that have ended
    included."""
    ticks = 0
    for _, fields in _stats():
        if fields[2] == str(group):
            ticks += sum(int(field) for field in fields[11:15])
    return ticks / _TICKS_PER_S


def memory_bytes(pid: int) -> int:
    """Return the resident memory of a process; 0 if it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    for line in status.splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def _stats() -> Iterator[tuple[int, list[str]]]:
    """Yield every process's id, and the fields of its ``stat`` that follow its name: state, parent
    and group, and from the twelfth on its times (user, system, and both of its children's)."""
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal():
            try:
                text = Path(entry.path, "stat").read_text(errors="replace")
            except OSError:
                continue  # it has just ended
            yield int(entry.name), text.rpartition(")")[2].split()
