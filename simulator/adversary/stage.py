"""The installation that the rounds share. Each round has processes of the sidecar's of its own."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from simulator.chaos.stage import WORKERS, Stage
from simulator.processes import Process

#: Of the sidecar's own, what the attack is about; they end with each round.
OURS = ("sidecar", *WORKERS)
REDIS_BYTES = 256 * 1024 * 1024

#: Where this differs from chaos: nothing is killed here, so leases last as long as they do by
#: default; and what fails is given up within a round.
SETTINGS = {
    "lease_ttl_ms": 10_000,
    "shutdown_timeout_s": 30,
    "update_max_attempts": 4,
    "update_retry_first_ms": 200,
    "effect_max_attempts": 3,
}
#: The file that allows messages to tell the application how to fail (FaultListener.php).
_FAULTS = "faults"

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Stopped:
    """How a process ended that was told to."""

    seconds: float
    exit_code: int


class AdversaryStage(Stage):
    """Use as a context manager. On a machine that does other work, all may take ``slowness`` times
    as long."""

    def __init__(self, folder: Path, *, slowness: float = 1.0) -> None:
        super().__init__(folder, SETTINGS, direct=True, host_routine=False)
        self.slowness = slowness

    def clear(self) -> None:
        """End the sidecar's processes, and leave an empty Redis and no vendors."""
        self.stop_ours()
        with self.redis() as client:
            client.flushall()
            client.config_set("maxmemory", REDIS_BYTES)
            client.config_resetstat()
        for table in ("whatsapp_webhook_queue", "vendors"):  # everything else is a vendor's
            self.installation.database.rows(f"DELETE FROM {table}")
        self.installation.restart("php-fpm")
        # It would go on handing webhooks to PHP for two seconds, because ours were away.
        self.installation.processes["nginx"].stop()
        self.installation.start("nginx")
        (self.installation.application.storage / _FAULTS).touch()

    def start_ours(self, settings: dict[str, str]) -> None:
        """Start the sidecar's processes, with these settings on top."""
        for part in self._ours():
            part.environment.update(self.installation.environment | settings)
        _at_once([part.start for part in self._ours()])

    def stop_ours(self) -> dict[str, Stopped]:
        """Return the sidecar's processes to end, all at the same time. Return how they did."""
        running = [part for part in self._ours() if part.running]
        ended = _at_once([partial(_stop, part) for part in running])
        return {part.name: how for part, how in zip(running, ended, strict=True)}

    def _ours(self) -> list[Process]:
        return [self.installation.processes[name] for name in OURS]


def _stop(part: Process) -> Stopped:
    began = time.monotonic()
    code = part.stop()
    return Stopped(time.monotonic() - began, code)


def _at_once(works: list[Callable[[], Result]]) -> list[Result]:
    with ThreadPoolExecutor(max(1, len(works))) as threads:
        return [future.result() for future in [threads.submit(work) for work in works]]
