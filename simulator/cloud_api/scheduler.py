"""Everything that happens later, in one heap with one timer."""

import asyncio
import heapq
import itertools
from collections.abc import Callable
from typing import Any

from simulator.cloud_api.clock import Clock

#: The timer fires at most this often, and then runs all that has fallen due.
_TICK_S = 0.002

#: Most calls in one go, so that a backlog does not keep requests from being answered.
_MAX_CALLS = 200


class Scheduler:
    """Calls back at a time. Calls that are due together run in the order in which they were
    asked for. Nothing runs before :meth:`start`, or after :meth:`stop`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: list[tuple[float, int, Callable[[Any], object], Any]] = []
        self._sequence = itertools.count()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0.0

    def __len__(self) -> int:
        return len(self._heap)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._arm()

    def stop(self) -> None:
        self._loop = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def after(self, delay_s: float, callback: Callable[[Any], object], argument: object) -> None:
        self.at(self._clock.now() + delay_s, callback, argument)

    def at(self, due: float, callback: Callable[[Any], object], argument: object) -> None:
        """Call ``callback(argument)`` at ``due``, in unix seconds."""
        heapq.heappush(self._heap, (due, next(self._sequence), callback, argument))
        if self._timer is None or due < self._timer_due - _TICK_S:
            self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._loop is not None and self._heap:
            self._timer_due = self._heap[0][0]
            delay_s = max(_TICK_S, self._timer_due - self._clock.now())
            self._timer = self._loop.call_later(delay_s, self._run)

    def _run(self) -> None:
        now = self._clock.now()
        heap = self._heap
        try:
            for _ in range(_MAX_CALLS):
                if not heap or heap[0][0] > now:
                    break
                _, _, callback, argument = heapq.heappop(heap)
                callback(argument)
        finally:
            self._arm()
