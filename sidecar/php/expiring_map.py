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
        self._values: dict[Key, tuple[float, str]] = {}

    def __len__(self) -> int:
        return len(self._values)

    def add(self, key: Key, value: str) -> None:
        now = self._clock()
        self._values.pop(key, None)
        self._values[key] = (now + self._ttl_s, value)
        while self._values:
            oldest = next(iter(self._values))
            too_many = self._most is not None and len(self._values) > self._most
            if self._values[oldest][0] > now and not too_many:
                break
            del self._values[oldest]

    def get(self, key: Key) -> str | None:
        until, value = self._values.get(key, (0.0, ""))
        return value if self._clock() < until else None

    def drop(self, key: Key) -> None:
        self._values.pop(key, None)

    def clear(self) -> None:
        self._values.clear()
