"""Notes that hold for a while and then vanish: anybody can make up vendors, and they must not
fill the memory."""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class ExpiringMap(Generic[Key]):
    """A line about each of some keys, for ``ttl_s``; ``most`` of them, where that is given."""

    def __init__(self, ttl_s: float, clock: Callable[[], float], most: int | None = None) -> None:
        self._ttl_s = ttl_s
        self._clock = clock
        self._most = most
        self._notes: dict[Key, tuple[float, str]] = {}

    def __len__(self) -> int:
        return len(self._notes)

    def add(self, key: Key, note: str) -> None:
        now = self._clock()
        self._notes.pop(key, None)
        self._notes[key] = (now + self._ttl_s, note)
        while self._notes:
            oldest = next(iter(self._notes))
            too_many = self._most is not None and len(self._notes) > self._most
            if self._notes[oldest][0] > now and not too_many:
                break
            del self._notes[oldest]

    def get(self, key: Key) -> str | None:
        until, note = self._notes.get(key, (0.0, ""))
        return note if self._clock() < until else None

    def drop(self, key: Key) -> None:
        self._notes.pop(key, None)

    def clear(self) -> None:
        self._notes.clear()
