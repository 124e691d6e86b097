"""Lists that are read whole and shown a page at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Generic, TypeVar

T = TypeVar("T")


def page_number(text: str) -> int:
    """Return the number of a page as an address has it; 1 for what is none."""
    is_number = text.isascii() and text.isdigit() and len(text) < 6
    return max(1, int(text)) if is_number else 1


@dataclass(frozen=True, slots=True)
class Paged(Generic[T]):
    """``neighbours``: the numbers of the pages before and behind this one, None for none."""

    items: Sequence[T]
    number: int
    neighbours: tuple[int | None, int | None]

    @classmethod
    def of(cls, items: Sequence[T], number: int, per_page: int) -> "Paged[T]":
        """Return a page, or the last if there are not so many."""
        last = max(1, ceil(len(items) / per_page))
        number = min(number, last)
        before, behind = number - 1 or None, number + 1 if number < last else None
        return cls(items[(number - 1) * per_page : number * per_page], number, (before, behind))
