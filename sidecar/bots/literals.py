"""Which of many byte strings occur in a text."""

from collections.abc import Iterable

from ahocorasick_rs import BytesAhoCorasick, MatchKind

from sidecar.bots.prefixes import Prefixes

#: How many of the strings that begin at the same place the plain search finds. It returns all hits:
#: without this bound, strings like ``a``, ``aa``, ``aaa`` would give one of each for every byte.
_NESTED = 4
#: Strings longer than this (bytes) are searched one by one: such long windows would cost too much.
_LONGEST = 1024


class LiteralSearch:
    """Strings to search for, compiled once.

    A search takes time linear in the text, whatever the strings are: at most ``_NESTED`` hits per
    byte, and a look at the ``_LONGEST`` bytes after it if more strings may begin there.
    """

    def __init__(self, literals: Iterable[bytes]) -> None:
        literals = set(literals)
        self._long = [literal for literal in literals if len(literal) > _LONGEST]
        self._prefixes = Prefixes(literals.difference(self._long))
        depths = self._prefixes.depths
        self._shallow = [literal for literal, depth in depths.items() if depth < _NESTED]
        self._deep = [literal for literal, depth in depths.items() if depth >= _NESTED]
        #: Where one of these begins, a deep one may.
        self._gates = {literal for literal, depth in depths.items() if depth == _NESTED - 1}
        self._gates &= {self._prefixes.parent(literal) for literal in self._deep}
        self._window = max(map(len, self._deep), default=0)
        self._search = BytesAhoCorasick(self._shallow)
        self._longest = BytesAhoCorasick(self._deep, matchkind=MatchKind.LeftmostLongest)

    def find(self, text: bytes) -> set[bytes]:
        """Return the strings that occur in a text."""
        hits = self._search.find_matches_as_indexes(text, overlapping=True)
        found = {self._shallow[index] for index, _, _ in hits}
        if not self._gates.isdisjoint(found):
            # Texts that repeat themselves have many places, yet few windows.
            windows = {
                text[start : start + self._window]
                for index, start, _ in hits
                if self._shallow[index] in self._gates
            }
            for window in windows:
                self._add_deep(found, window)
        if self._long:
            found.update(literal for literal in self._long if literal in text)
        return found

    def _add_deep(self, found: set[bytes], window: bytes) -> None:
        """Add the longest string that begins where the window does (or, if there is none, another
        one in it), and the strings that it begins with."""
        hits = self._longest.find_matches_as_indexes(window)
        literal = self._deep[hits[0][0]] if hits else None
        while literal is not None and literal not in found:
            found.add(literal)
            literal = self._prefixes.parent(literal)
