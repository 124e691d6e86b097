"""What a system takes of a processor when nothing happens."""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from bench.context import Context, installed
from bench.figures import Figures
from bench.peers.crons import CronStack
from bench.peers.hybrid import HybridStack
from bench.stacks import SidecarStack, Stack
from simulator import process_group
from simulator.process_group import members, memory_bytes

#: What a system adds to Redis, PHP, MariaDB and nginx.
_OWN = ("sidecar", "receiver", "workers")
#: What is done once after a start is done by then.
_SETTLED_S = 2.0


def run(context: Context) -> Figures:
    seconds = context.size(8.0, 1.0)
    figures: Figures = {}
    for workers in (1, 4):
        with installed(SidecarStack) as stack:
            figures[f"sidecar, workers: {workers}"] = _idle(stack, workers, seconds)
    with installed(HybridStack) as stack:
        figures["hybrid"] = _idle(stack, 1, seconds)
    with installed(CronStack) as stack:
        # A cron is a process that ends, and only its parent's account has it then.
        figures["crons"] = _idle(stack, 1, seconds, process_group.cpu_s)
    return figures


def run_s(group: int) -> float:
    """Return how long the threads of a process group have run, in seconds, by the scheduler's own
    account: exact, where :func:`simulator.process_group.cpu_s` counts hundredths."""
    ran = 0
    for pid in members(group):
        for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            with suppress(OSError):  # it has just ended
                ran += int(task.read_text().split()[0])
    return ran / 1e9


def _idle(
    stack: Stack, workers: int, seconds: float, spent: Callable[[int], float] = run_s
) -> dict[str, float]:
    """Return percent of one processor by group, and megabytes of memory."""
    stack.start_all(workers=workers)
    time.sleep(min(_SETTLED_S, seconds))
    groups = {name: process.pid for name, process in stack.processes.items() if name != "cloud-api"}
    before, started = {name: spent(pid) for name, pid in groups.items()}, time.monotonic()
    time.sleep(seconds)
    percent: dict[str, float] = {}
    for name, pid in groups.items():
        kind = "workers" if name.startswith("worker") else name
        share = (spent(pid) - before[name]) / (time.monotonic() - started) * 100
        percent[kind] = percent.get(kind, 0.0) + share
    ours = [pid for name, pid in groups.items() if name in _OWN or name.startswith("worker")]
    return {
        **{f"{name}_percent": share for name, share in percent.items()},
        "own_percent": sum(share for name, share in percent.items() if name in _OWN),
        "all_percent": sum(percent.values()),
        "memory_mb": max(memory_bytes(pid) for group in ours for pid in members(group)) / 1e6,
    }
