"""Strings that other strings begin with."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator


class Prefixes:
    """Byte strings, each with the longest other one that it begins with."""

    def __init__(self, strings: Iterable[bytes]) -> None:
        # Sorted, a string comes after those that it begins with.
        self._sorted = sorted(set(strings))
        self._parents: dict[bytes, bytes | None] = {}
        #: How many others each begins with.
        self.depths: dict[bytes, int] = {}
        begun: list[bytes] = []
        for string in self._sorted:
            while begun and not string.startswith(begun[-1]):
                begun.pop()
            self._parents[string] = begun[-1] if begun else None
            self.depths[string] = len(begun)
            begun.append(string)

    def parent(self, string: bytes) -> bytes | None:
        """Return the longest other string that one of them begins with."""
        return self._parents[string]

    def of(self, text: bytes) -> Iterator[bytes]:
        """Return those that a text begins with, the longest first."""
        place = bisect_right(self._sorted, text)
        # What the text begins with, its predecessor begins with too: all between them does.
        string = self._sorted[place - 1] if place else None
        while string is not None:
            if text.startswith(string):
                yield string
            string = self._parents[string]
