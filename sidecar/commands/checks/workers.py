"""The sidecar's own processes: somebody serves, and somebody works on every queue."""

import platform
from collections.abc import Iterator

from contracts.jobs import Queue
from sidecar.commands.checks.line import Line, fail, ok, warn
from sidecar.format import duration
from sidecar.ops.processes import Process
from sidecar.version import VERSION

#: A process that died longer ago is history.
_RECENT_S = 600.0


def judge_processes(processes: list[Process]) -> Iterator[Line]:
    alive = [process for process in processes if process.alive]
    yield _version(alive)
    served = [process for process in alive if process.role == "serve"]
    if served:
        yield ok("sidecar serve", ", ".join(process.name for process in served))
    else:
        yield fail("sidecar serve", "not running", "run systemctl start sidecar, or sidecar serve")
    for queue in Queue:
        works = [process.name for process in alive if queue.value in process.queues]
        if works:
            yield ok(f"worker for {queue}", ", ".join(works))
        else:
            yield fail(
                f"worker for {queue}",
                "not running: its work waits",
                f"run systemctl start sidecar-worker, or sidecar worker {queue}",
            )
    for process in processes:
        if not process.alive and process.heartbeat_age_s < _RECENT_S:
            yield warn(
                f"{process.role} {process.name}",
                f"silent for {duration(process.heartbeat_age_s)}: it was killed, or hangs",
                "check its log, and the kernel's for the OOM killer",
            )


def _version(alive: list[Process]) -> Line:
    others = [process for process in alive if process.version not in ("", VERSION)]
    if others:
        names = ", ".join(f"{process.name} is {process.version}" for process in others)
        return warn("sidecar version", f"{VERSION} here, but {names}", "restart them")
    return ok("sidecar version", f"{VERSION} on Python {platform.python_version()}")
