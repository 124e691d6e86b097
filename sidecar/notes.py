"""Notes that hold for a while and then vanish: anybody can make up vendors, and they must not fill
the memory."""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class Notes(Generic[Key]):
    """A line about each of some keys, for ``ttl_s``."""

    def __init__(self, ttl_s: float, clock: Callable[[], float]) -> None:
        self._ttl_s = ttl_s
        self._clock = clock
        self._notes: dict[Key, tuple[float, str]] = {}

    def __len__(self) -> int:
        return len(self._notes)

    def add(self, key: Key, note: str) -> None:
        now = self._clock()
        self._notes.pop(key, None)
        self._notes[key] = (now + self._ttl_s, note)
        while self._notes:
            oldest = next(iter(self._notes))
            if self._notes[oldest][0] > now:
                break
            del self._notes[oldest]

    def get(self, key: Key) -> str | None:
        until, note = self._notes.get(key, (0.0, ""))
        return note if self._clock() < until else None

    def drop(self, key: Key) -> None:
        self._notes.pop(key, None)

    def clear(self) -> None:
        self._notes.clear()
