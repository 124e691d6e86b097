"""Strings that a text may start or end with."""

from collections.abc import Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Affixes(Generic[Item]):
    """Items by a string that is not empty. A look costs one access for each length of them."""

    def __init__(self) -> None:
        self._items: dict[bytes, list[Item]] = {}
        self._lengths: set[int] = set()

    def add(self, affix: bytes, item: Item) -> None:
        self._items.setdefault(affix, []).append(item)
        self._lengths.add(len(affix))

    def of_start(self, text: bytes) -> Iterator[Item]:
        """Return the items whose string the text starts with."""
        for length in self._lengths:
            if length <= len(text) and (items := self._items.get(text[:length])):
                yield from items

    def of_end(self, text: bytes) -> Iterator[Item]:
        """Return the items whose string the text ends with."""
        for length in self._lengths:
            if length <= len(text) and (items := self._items.get(text[-length:])):
                yield from items
