"""Time as the simulator sees it."""

import time


class Clock:
    """Unix time in seconds that never jumps: the wall clock at the start, and monotonic since."""

    __slots__ = ("_offset",)

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def now(self) -> float:
        return time.monotonic() + self._offset
