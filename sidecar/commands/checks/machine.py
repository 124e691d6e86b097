"""This machine: open files, and room on the disk."""

import os
import re
import resource
import shutil
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sidecar.commands.checks.line import Line, fail, ok, warn
from sidecar.commands.checks.redis import CONNECTIONS
from sidecar.effects.outbound import CONNECTIONS as OUTBOUND_CONNECTIONS
from sidecar.format import size
from sidecar.ops.processes import Process
from sidecar.settings import Settings

#: Connections to PHP, log files, sockets that listen, and so on.
_OTHER_FILES = 100

#: Below this not even an idle process is safe.
_FEWEST_FILES = 1024

#: A disk with less is full by tomorrow.
_LEAST_BYTES = 1024**3


@dataclass(frozen=True, slots=True)
class OpenFiles:
    """A process's soft limit of open files."""

    process: str
    limit: int


def read_open_files(processes: Iterable[Process]) -> list[OpenFiles]:
    """Return the limits of this process and of the sidecar's that run on this machine."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    found = [OpenFiles("this command", soft)]
    for process in processes:
        if process.alive and process.host == socket.gethostname():
            limit = _limit_of(process.pid)
            if limit is not None:
                found.append(OpenFiles(f"{process.role} {process.pid}", limit))
    return found


def _limit_of(pid: int) -> int | None:
    try:
        text = Path(f"/proc/{pid}/limits").read_text()
    except OSError:
        return None  # in another container, or somebody else's
    found = re.search(r"^Max open files\s+(\d+)", text, re.M)
    return int(found[1]) if found else None


def most_files(settings: Settings) -> int:
    """Return how many files a worker may have open when everything is used to its limits."""
    sends = settings.campaign_concurrency * settings.send_concurrency
    return CONNECTIONS["worker"] + sends + OUTBOUND_CONNECTIONS + _OTHER_FILES


def judge_open_files(limits: list[OpenFiles], settings: Settings) -> Iterator[Line]:
    need = most_files(settings)
    for one in limits:
        what = f"open files of {one.process}"
        do = f"set LimitNOFILE=65536 in the unit (or ulimit -n), at least {need:,}"
        if one.limit < _FEWEST_FILES:
            yield fail(what, f"the limit is {one.limit:,}", do)
        elif one.limit < need:
            yield warn(
                what,
                f"the limit is {one.limit:,}; with these campaign_concurrency and "
                f"send_concurrency a worker may need {need:,}",
                do,
            )
        else:
            yield ok(what, f"the limit is {one.limit:,}; a worker needs at most {need:,}")


@dataclass(frozen=True, slots=True)
class Disk:
    path: Path
    free: int
    total: int


def read_disk(settings: Settings, redis_folder: str | None) -> Disk | None:
    """Return the disk that the inbox is on: the embedded Valkey's, or that of a Redis whose folder
    is on this machine. None where it is elsewhere."""
    folder = settings.data_dir if settings.redis_url is None else Path(redis_folder or "/nowhere")
    if settings.redis_url is not None and not _is_here(settings.redis_url):
        return None
    if not os.path.isdir(folder):
        return None
    usage = shutil.disk_usage(folder)
    return Disk(folder.resolve(), usage.free, usage.total)


def _is_here(redis_url: str) -> bool:
    return redis_url.startswith("unix:") or bool(
        re.match(r"rediss?://([^@/]*@)?(127\.0\.0\.1|localhost|\[::1\])[:/]", f"{redis_url}/")
    )


def judge_disk(disk: Disk | None) -> Line:
    what = "disk of the inbox"
    if disk is None:
        return ok(what, "not visible from here: check it on Redis's machine")
    text = f"{size(disk.free)} of {size(disk.total)} free in {disk.path}"
    do = "free some space: when it is full, webhooks are refused"
    if disk.free < _LEAST_BYTES:
        return fail(what, text, do)
    if disk.free < 0.15 * disk.total:
        return warn(what, text, do)
    return ok(what, text)
