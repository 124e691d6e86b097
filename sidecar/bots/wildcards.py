"""Triggers in which ``*`` stands for anything, as in Laravel's ``Str::is``."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sidecar.bots.prefixes import Prefixes


@dataclass(frozen=True, slots=True)
class Wildcard:
    """What a trigger wants around and between its asterisks. ``slot``: which trigger this is."""

    slot: int
    prefix: bytes
    middles: tuple[bytes, ...]
    suffix: bytes

    @classmethod
    def parse(cls, slot: int, trigger: bytes) -> "Wildcard":
        prefix, *middles, suffix = trigger.split(b"*")
        return cls(slot, prefix, tuple(filter(None, middles)), suffix)

    def matches(self, text: bytes, spans_lines: bool) -> bool:
        """Return whether a text has the pieces in their order. Each is taken where it first comes;
        with ``spans_lines`` unset nothing between them is a line break."""
        position, end = len(self.prefix), len(text) - len(self.suffix)
        if position > end or not (text.startswith(self.prefix) and text.endswith(self.suffix)):
            return False
        for middle in self.middles:
            if spans_lines:
                position = text.find(middle, position, end)
            else:
                position = _find_in_line(text, middle, position, end)
            if position < 0:
                return False
            position += len(middle)
        return spans_lines or b"\n" not in text[position:end]


def _find_in_line(text: bytes, middle: bytes, position: int, end: int) -> int:
    """Return where a piece first comes without a line break before it; -1 if it does not."""
    line_end = text.find(b"\n", position, end)
    if line_end < 0:
        return text.find(middle, position, end)
    first_line = middle.find(b"\n")
    if first_line < 0:
        return text.find(middle, position, line_end)
    # Its first line break can only be this one.
    start = line_end - first_line
    fits = start >= position and start + len(middle) <= end
    return start if fits and text.startswith(middle, start) else -1


class Wildcards:
    """The wildcard triggers of a vendor, found by the longest piece of each."""

    def __init__(self, wildcards: Iterable[Wildcard], spans_lines: bool) -> None:
        self._spans_lines = spans_lines
        self._by_prefix: dict[bytes, list[Wildcard]] = {}
        #: By the reversed suffix.
        self._by_suffix: dict[bytes, list[Wildcard]] = {}
        self._by_middle: dict[bytes, list[Wildcard]] = {}
        self._bare: list[Wildcard] = []
        #: The pieces to look for in a text.
        self.middles: set[bytes] = set()
        for wildcard in wildcards:
            self._add(wildcard)
        self._prefixes = Prefixes(self._by_prefix)
        self._suffixes = Prefixes(self._by_suffix)

    def _add(self, wildcard: Wildcard) -> None:
        self.middles.update(wildcard.middles)
        longest = max((wildcard.prefix, wildcard.suffix, *wildcard.middles), key=len)
        if not longest:
            self._bare.append(wildcard)
        elif longest == wildcard.prefix:
            self._by_prefix.setdefault(longest, []).append(wildcard)
        elif longest == wildcard.suffix:
            self._by_suffix.setdefault(longest[::-1], []).append(wildcard)
        else:
            self._by_middle.setdefault(longest, []).append(wildcard)

    def find(self, text: bytes, middles: set[bytes]) -> Iterator[int]:
        """Return the slots of the triggers that match. ``middles``: those that occur in the text,
        and maybe other strings."""
        spans_lines = self._spans_lines or b"\n" not in text
        for wildcard in self._candidates(text, middles):
            if middles.issuperset(wildcard.middles) and wildcard.matches(text, spans_lines):
                yield wildcard.slot

    def _candidates(self, text: bytes, middles: set[bytes]) -> Iterator[Wildcard]:
        yield from self._bare
        for prefix in self._prefixes.of(text):
            yield from self._by_prefix[prefix]
        for suffix in self._suffixes.of(text[::-1]):
            yield from self._by_suffix[suffix]
        for middle in self._by_middle.keys() & middles:
            yield from self._by_middle[middle]
