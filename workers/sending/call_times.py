"""How long the Cloud API takes to answer, by number: whether it is slow."""

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median

#: An API that takes longer than this for half of its answers is slow. It is quicker by far where
#: all is well.
SLOW_S = 2.0
#: Calls that are remembered of each number, and for how long; so many make a judgement.
CALLS = 20
KEPT_S = 60.0
ENOUGH = 5
MAX_NUMBERS = 1000


@dataclass(slots=True)
class _Number:
    """``ended``: when calls ended, and how long they took. ``open``: when others began."""

    ended: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=CALLS))
    open: dict[object, float] = field(default_factory=dict)


class CallTimes:
    """Use one in each process. ``clock`` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._numbers: OrderedDict[str, _Number] = OrderedDict()

    @contextmanager
    def call(self, number: str) -> Iterator[None]:
        """Time what is done inside, a call for this number."""
        times = self._numbers.setdefault(number, _Number())
        self._numbers.move_to_end(number)
        if len(self._numbers) > MAX_NUMBERS:
            self._numbers.popitem(last=False)
        call, began_at = object(), self._clock()
        times.open[call] = began_at
        try:
            yield
        finally:
            del times.open[call]
            now = self._clock()
            times.ended.append((now, now - began_at))

    def slow(self) -> dict[str, float]:
        """Return the numbers whose calls are slow, and how long these take, in seconds: half of
        them take longer. Those that have waited for long and have no answer yet count, too."""
        now = self._clock()
        found: dict[str, float] = {}
        for number, times in self._numbers.items():
            taken = [seconds for at, seconds in times.ended if at > now - KEPT_S]
            taken += [now - at for at in times.open.values() if now - at > SLOW_S]
            if len(taken) >= ENOUGH and (usual := median(taken)) > SLOW_S:
                found[number] = round(usual, 1)
        return found
