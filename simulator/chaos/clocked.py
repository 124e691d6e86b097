"""``python -m simulator.chaos.clocked FILE MODULE ARGUMENT...`` runs a module by a clock that is
off by the seconds in a file, which is read again and again.

Only the time of day is off, as on a machine whose clock is set. libfaketime does not do: under
it Python's ``time.sleep``, which waits until a time of the monotonic clock, fails with EINVAL.
"""

import runpy
import sys
import time
from pathlib import Path

#: How often the file is read, in seconds.
READ_S = 0.1


class Clock:
    """The time of day, off by what ``file`` says."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._time_ns = time.time_ns
        self._monotonic = time.monotonic
        self._off_ns = 0
        self._read_at = -READ_S

    def time_ns(self) -> int:
        now = self._monotonic()
        if now - self._read_at >= READ_S:
            self._read_at = now
            self._off_ns = int(self._file.read_text()) * 1_000_000_000
        return self._time_ns() + self._off_ns

    def time(self) -> float:
        return self.time_ns() / 1e9


def main() -> None:
    file, module, *arguments = sys.argv[1:]
    clock = Clock(Path(file))
    time.time, time.time_ns = clock.time, clock.time_ns
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
