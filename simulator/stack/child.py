"""Servers as children of the tests."""

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Event

_START_S = 60.0
_STOP_S = 20.0


class Child:
    """A process with a log of its own. Stopped by its id."""

    def __init__(
        self, arguments: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.log = log
        self._name = arguments[0]
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                list(arguments),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=None if environment is None else dict(environment),
            )

    def wait_until(self, ready: Callable[[], bool]) -> None:
        """Return once ``ready`` says so; raise what the log says if the process ends before."""
        end = time.monotonic() + _START_S
        while not ready():
            if self._process.poll() is not None or time.monotonic() > end:
                self.stop()
                raise RuntimeError(f"{self._name} did not start:\n{self.log.read_text()}")
            Event().wait(0.02)

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
