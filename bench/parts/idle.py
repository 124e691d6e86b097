"""What a system takes of a processor when nothing happens."""

import time

from bench.context import Context, installed
from bench.figures import Figures
from bench.peers.crons import CronStack
from bench.peers.hybrid import HybridStack
from bench.stacks import SidecarStack, Stack
from simulator.cost import Cost
from simulator.process_group import members, memory_bytes


def run(context: Context) -> Figures:
    seconds = context.size(10.0, 1.0)
    figures: Figures = {}
    for workers in (1, 4):
        with installed(SidecarStack) as stack:
            figures[f"sidecar, workers: {workers}"] = _idle(stack, workers, seconds)
    for kind in (HybridStack, CronStack):
        with installed(kind) as stack:
            figures[kind.name] = _idle(stack, 1, seconds)
    return figures


def _idle(stack: Stack, workers: int, seconds: float) -> dict[str, float]:
    """Return percent of one processor by group, and megabytes of memory. ``own_percent`` is what
    the system itself adds: its receiver and workers, without Redis, PHP and MariaDB."""
    stack.start_all(workers=workers)
    time.sleep(min(3.0, seconds))  # what is done once after a start is done
    before, started = Cost.of(stack), time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - started
    percent = {
        name: spent / took * 100
        for name, spent in Cost.of(stack).since(before).cpu_s.items()
        if name != "cloud-api"
    }
    own = [name for name in percent if name in ("sidecar", "receiver", "workers")]
    memory = max(
        memory_bytes(pid)
        for name, process in stack.processes.items()
        if name in ("sidecar", "receiver") or name.startswith("worker")
        for pid in members(process.pid)
    )
    return {
        **{f"{name}_percent": share for name, share in percent.items()},
        "own_percent": sum(percent[name] for name in own),
        "all_percent": sum(percent.values()),
        "memory_mb": memory / 1e6,
    }
