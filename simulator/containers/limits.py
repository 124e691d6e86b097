"""Whether what the compose file says of a service is in force: asked of the kernel, for every
process of its container."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_CGROUPS = Path("/sys/fs/cgroup")
_UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
_CHECK = {
    "Interval": "interval",
    "Timeout": "timeout",
    "StartPeriod": "start_period",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What a container may use. ``cpus``: processors' worth of time."""

    memory_bytes: int
    pids: int
    cpus: float


@dataclass(frozen=True, slots=True)
class Confinement:
    """What a process may do. ``capabilities``: the union of all its sets, as bits; ``root_mode``:
    how its root is mounted, ``ro`` or ``rw``."""

    uid: int
    gid: int
    groups: frozenset[int]
    capabilities: int
    no_new_privileges: bool
    core_bytes: int | None
    root_mode: str


def wanted_limits(service: Mapping[str, Any]) -> Limits:
    """Return what the compose file says of a service."""
    limits = service["deploy"]["resources"]["limits"]
    return Limits(size(limits["memory"]), int(limits["pids"]), float(limits["cpus"]))


def wanted_confinement(service: Mapping[str, Any]) -> Confinement:
    """Likewise."""
    uid, gid = map(int, service["user"].split(":"))
    return Confinement(
        uid=uid,
        gid=gid,
        groups=frozenset({gid, *map(int, service.get("group_add", ()))}),
        capabilities=0 if service["cap_drop"] == ["ALL"] else -1,
        no_new_privileges="no-new-privileges:true" in service["security_opt"],
        core_bytes=service["ulimits"]["core"],
        root_mode="ro" if service["read_only"] else "rw",
    )


def wanted_check(service: Mapping[str, Any]) -> dict[str, Any]:
    """Return a service's health check as the engine keeps it: times in nanoseconds."""
    check = service["healthcheck"]
    times = {name: int(seconds(check.get(key, "0s")) * 1e9) for name, key in _CHECK.items()}
    return {"Test": check["test"], "Retries": check["retries"], **times}


def found_limits(pid: int) -> Limits:
    """Return what is in force for the container of this process."""
    groups = cgroups(Path(f"/proc/{pid}/cgroup").read_text())
    if "" in groups:
        folder = _CGROUPS / groups[""]
        return Limits(
            memory_bytes=_number(folder / "memory.max"),
            pids=_number(folder / "pids.max"),
            cpus=share((folder / "cpu.max").read_text()),
        )
    cpu = _CGROUPS / "cpu" / groups["cpu"]
    times = [(cpu / f"cpu.cfs_{what}_us").read_text().strip() for what in ("quota", "period")]
    return Limits(
        memory_bytes=_number(_CGROUPS / "memory" / groups["memory"] / "memory.limit_in_bytes"),
        pids=_number(_CGROUPS / "pids" / groups["pids"] / "pids.max"),
        cpus=share(" ".join(times)),
    )


def found_confinements(pid: int) -> dict[str, Confinement]:
    """Return what is in force for each process of the container of this one, by its command."""
    groups = cgroups(Path(f"/proc/{pid}/cgroup").read_text())
    folder = _CGROUPS / groups[""] if "" in groups else _CGROUPS / "pids" / groups["pids"]
    found = {}
    for member in (folder / "cgroup.procs").read_text().split():
        process = Path("/proc", member)
        try:
            texts = [(process / name).read_text() for name in ("status", "limits", "mountinfo")]
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended meanwhile
        name = re.findall(r"^Name:\s*(.*)$", texts[0], re.M)[0]
        found[f"{name} ({member})"] = confinement(*texts)
    return found


def confinement(status: str, limits: str, mountinfo: str) -> Confinement:
    """Read a process's files of these names."""
    lines = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    sets = [int(lines[f"Cap{name}"], 16) for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")]
    core = re.findall(r"^Max core file size +(\S+) +(\S+)", limits, re.M)[0]
    [root] = [line.split() for line in mountinfo.splitlines() if line.split()[4] == "/"]
    uids, gids = ({int(one) for one in lines[name].split()} for name in ("Uid", "Gid"))
    return Confinement(
        # Real, effective, saved and of files: the least is root's, where one of them is.
        uid=min(uids),
        gid=min(gids),
        groups=frozenset(gids | {int(one) for one in lines["Groups"].split()}),
        capabilities=sets[0] | sets[1] | sets[2] | sets[3] | sets[4],
        no_new_privileges=lines["NoNewPrivs"].strip() == "1",
        core_bytes=None if "unlimited" in core else max(map(int, core)),
        root_mode="ro" if "ro" in root[5].split(",") else "rw",
    )


def cgroups(text: str) -> dict[str, str]:
    """Return the group of each controller, by its name; of all, by the empty one, where the
    machine has but one hierarchy (version 2)."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        _, controllers, group = line.split(":", 2)
        found |= {name: group.lstrip("/") for name in controllers.split(",")}
    if found.keys() > {""}:  # version 1, with an empty version 2 beside it
        del found[""]
    return found


def share(text: str) -> float:
    """Return the processors' worth of ``QUOTA PERIOD``; infinite for no quota."""
    quota, period = text.split()
    return float("inf") if quota in ("max", "-1") else int(quota) / int(period)


def size(text: str) -> int:
    """Return the bytes of a size such as ``512m``."""
    number, unit = re.fullmatch(r"(\d+)([kmg]?)b?", text.lower()).groups()  # type: ignore[union-attr]
    return int(number) * _UNITS[unit]


def seconds(text: str) -> float:
    """Return the seconds of a duration such as ``45s``."""
    number, unit = re.fullmatch(r"(\d+)(ms|s|m|h)", text).groups()  # type: ignore[union-attr]
    return int(number) * _SECONDS[unit]


def _number(file: Path) -> int:
    """Return what a limit's file says; -1 for no limit."""
    text = file.read_text().strip()
    return int(text) if text.isdigit() else -1
