"""The parts of an installation, as child processes.

A part may have children of its own, as nginx and PHP-FPM have. It leads a process group, and what
is done to it (killed, suspended, resumed) is done to the group. Should this program be killed, its
:mod:`~simulator.guardian` ends the parts.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from simulator import process_group, warm
from simulator.guardian import guardian

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 40.0
_POLL_S = 0.01


class ProcessFailed(Exception):
    """A part did not start, or has ended when it should not. The message has its last words."""


class ProcessHangs(ProcessFailed):
    """A part runs, but is not ready in time."""


def python(*arguments: str) -> list[str]:
    """Return the command for one of our own modules."""
    return [sys.executable, "-m", *arguments]


class Process:
    """One part, which can be started again after it has ended: with the same command, on the same
    files, and on the port that it had.

    ``{port}`` in ``command`` and ``environment`` stands for the port, which is 0 before the part
    has chosen one and said so. Standard error goes to ``log``, output to a file beside it.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        port: int = 0,
    ) -> None:
        self.name = name
        self.command = list(command)
        self.environment = dict(environment or {})
        self.log = log
        self.output = log.with_suffix(".out")
        self.port = port
        self._popen: warm.Popen | None = None
        self._output_start = 0

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where it listens, if it speaks HTTP."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Its process id, and its group's; that of the last start, if it has ended."""
        assert self._popen is not None, f"{self.name} was never started"
        return self._popen.pid

    @property
    def running(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    def start(self) -> Self:
        """Start it, and return when it is ready. Raises :class:`ProcessFailed`."""
        if self.running:
            raise ValueError(f"{self.name} runs already")
        self._spawn()
        try:
            self._wait_until_ready()
        except BaseException:
            self.kill()
            raise
        return self

    def is_ready(self) -> bool:
        """Tell whether it does its work. Our own modules say ``listening on URL`` or ``working on
        QUEUES``; others look in their own way."""
        with self.output.open(errors="replace") as output:
            output.seek(self._output_start)
            for line in output:
                if line.startswith("listening on ") and line.endswith("\n"):
                    self.port = int(line.strip().rpartition(":")[2])
                    return True
                if line.startswith("working on ") and line.endswith("\n"):
                    return True
        return False

    def _spawn(self) -> None:
        port = str(self.port)
        environment = {k: v.replace("{port}", port) for k, v in self.environment.items()}
        with self.log.open("ab") as log, self.output.open("ab") as output:
            self._output_start = output.tell()
            command = [argument.replace("{port}", port) for argument in self.command]
            self._popen = warm.spawn(command, {**os.environ, **environment}, output, log)
        guardian().watch(self.pid)

    def _wait_until_ready(self) -> None:
        assert self._popen is not None
        end = time.monotonic() + START_TIMEOUT_S
        while not self.is_ready():
            if not self.running:
                raise ProcessFailed(f"{self.name} did not start:\n{self.last_words()}")
            if time.monotonic() > end:
                raise ProcessHangs(
                    f"{self.name} is not ready in {START_TIMEOUT_S:.0f} s:\n{self.last_words()}"
                )
            with suppress(subprocess.TimeoutExpired):
                self._popen.wait(_POLL_S)

    def last_words(self) -> str:
        """Return the end of what it has written."""
        lines: list[str] = []
        for file in (self.output, self.log):
            if file.exists():
                lines += file.read_text(errors="replace").splitlines()[-15:]
        return "\n".join(lines)

    def memory_bytes(self) -> int:
        """Return the resident memory of the process, without its children."""
        return process_group.memory_bytes(self.pid)

    def cpu_s(self) -> float:
        """Return the processor time that it and its children have used, in seconds; nothing if it
        has ended."""
        return process_group.cpu_s(self.pid) if self.running else 0.0

    def suspend(self) -> None:
        """Have it and its children stand still, until :meth:`resume`."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it and its children at once, as a crash would. Returns when all are gone; nothing
        happens if they are."""
        self._signal(signal.SIGKILL)
        if self._popen is not None:
            self._popen.wait()
            self._wait_until_gone()
            guardian().forget(self.pid)

    def _wait_until_gone(self) -> None:
        end = time.monotonic() + STOP_TIMEOUT_S
        while left := process_group.members(self.pid):
            if time.monotonic() > end:
                raise ProcessFailed(f"processes {left} of {self.name} do not end")
            time.sleep(_POLL_S)

    def stop(self) -> int:
        """Ask it to end, and return its exit code. What does not end in time is killed."""
        if self._popen is None:
            return 0
        if self.running:
            self._popen.terminate()
            self.resume()
            with suppress(subprocess.TimeoutExpired):
                self._popen.wait(STOP_TIMEOUT_S)
        self.kill()
        return self._popen.wait()

    def _signal(self, number: signal.Signals) -> None:
        """Send a signal to the group, if it is still ours: an id that has become free may have
        been given to a stranger."""
        if self._popen is None or (not self.running and Path(f"/proc/{self.pid}").exists()):
            return
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)
