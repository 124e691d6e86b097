"""Clocks of parts that can be set, each by a file that says how far it is off.

Only the time of day moves. The monotonic clock, by which programs wait, stays what it is, as on a
machine whose clock is set.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from simulator.processes import python

#: Debian's package libfaketime.
_LIBRARIES = Path("/usr/lib")
_LIBRARY = "*/faketime/libfaketimeMT.so.1"
#: How long a part goes by what it has read last, at most, in seconds.
NOTICED_S = 1.0


def library() -> Path | None:
    """Return the path of libfaketime, or None where it is not installed."""
    return next(iter(sorted(_LIBRARIES.glob(_LIBRARY))), None)


class Clocks:
    """Clocks by the parts' names, with their files in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._library = library()
        #: Those that can be set.
        self.names: set[str] = set()

    def redis(self, name: str) -> dict[str, str]:
        """Return the variables with which Debian's Redis goes by a clock of its own; none where
        there is no libfaketime.

        It gets libc's malloc, for jemalloc asks for the time while libfaketime asks it for memory,
        and Redis never starts.
        """
        if self._library is None:
            return {}
        self._add(name)
        return {
            "LD_PRELOAD": f"{self._library} libc.so.6",
            "FAKETIME_TIMESTAMP_FILE": str(self._file(name)),
            "FAKETIME_CACHE_DURATION": f"{NOTICED_S:.0f}",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def python(self, name: str, *arguments: str) -> list[str]:
        """Return the command for one of our own modules by a clock of its own."""
        self._add(name)
        return python("simulator.chaos.clocked", str(self._file(name)), *arguments)

    @contextmanager
    def off(self, name: str, seconds: int) -> Iterator[None]:
        """Have a part's clock be off by so many seconds for a block."""
        self._set(name, seconds)
        try:
            yield
        finally:
            self._set(name, 0)

    def _add(self, name: str) -> None:
        self.names.add(name)
        self._set(name, 0)

    def _set(self, name: str, seconds: int) -> None:
        file = self._file(name)
        new = file.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n")
        new.replace(file)

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.clock"
