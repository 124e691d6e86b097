r"""Word boundaries as PCRE2's ``\b`` has them in a pattern with the flag ``u``."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import islice

from sidecar.bots.literals import LiteralSearch

#: No byte of UTF-8, so that it stands for boundaries and nothing else.
_MARK = b"\xff"
_ASCII_WORDS = re.compile(rb"(\w+)")
# Python's \w is PCRE2's: letters and numbers (Unicode's categories L and N) and the underscore.
_WORDS = re.compile(r"(\w+)")
#: The longest character of UTF-8, in bytes.
_LONGEST = 4
#: So many places are looked at one by one. Where there are more, all of the text is marked, which
#: takes the longer the text is, and no longer for more places.
_FEW = 32


class WordMarks:
    """Marks boundaries, so that words can be searched in a text as plain bytes.

    ``marks_are_letters``: as PCRE2 does since 10.43, which takes combining marks (Mn) and
    connectors (Pc) as parts of words.
    """

    def __init__(self, marks_are_letters: bool) -> None:
        self._words = _words_with_marks() if marks_are_letters else _WORDS

    def text(self, text: bytes) -> bytes:
        """Return UTF-8 with a mark at every word boundary."""
        if text.isascii():
            return _MARK.join(_ASCII_WORDS.split(text))
        # Surrogate escapes become the byte of the mark.
        return "\udcff".join(self._words.split(text.decode())).encode(errors="surrogateescape")

    def trigger(self, trigger: bytes) -> bytes:
        """Return what a marked text contains where the trigger stands between word boundaries."""
        return _MARK + self.text(trigger).strip(_MARK) + _MARK

    def is_boundary(self, text: bytes, at: int) -> bool:
        """Tell whether there is a word boundary in UTF-8 before this byte, with which a character
        begins."""
        before = text[max(0, at - _LONGEST) : at].decode(errors="ignore")[-1:]
        after = text[at : at + _LONGEST].decode(errors="ignore")[:1]
        return bool(self._words.match(before)) != bool(self._words.match(after))


class WordSearch:
    """Triggers that must stand between word boundaries, compiled once."""

    def __init__(self, triggers: Iterable[bytes], marks: WordMarks) -> None:
        self._marks = marks
        self._triggers = {marks.trigger(trigger): trigger for trigger in triggers}
        self._search = LiteralSearch(self._triggers)

    def find(self, text: bytes, contained: Iterable[bytes]) -> set[bytes]:
        """Return the triggers that stand between word boundaries in a text, which is UTF-8.
        ``contained``: all those that occur in it anywhere."""
        places = list(islice(_places(text, contained), _FEW + 1))
        if len(places) > _FEW:
            return {self._triggers[marked] for marked in self._search.find(self._marks.text(text))}
        return {trigger for trigger, at in places if self._stands(text, at, at + len(trigger))}

    def _stands(self, text: bytes, start: int, end: int) -> bool:
        return self._marks.is_boundary(text, start) and self._marks.is_boundary(text, end)


def _places(text: bytes, literals: Iterable[bytes]) -> Iterator[tuple[bytes, int]]:
    for literal in literals:
        at = text.find(literal)
        while at >= 0:
            yield literal, at
            at = text.find(literal, at + 1)


@cache
def _words_with_marks() -> re.Pattern[str]:
    # The planes that have such characters. One class for each, as re is slow with one for all.
    basic = _marks(range(0x80, 0x10000))
    further = _marks((*range(0x10000, 0x20000), *range(0xE0000, 0xE1000)))
    return re.compile(
        rf"((?:\w+|[{basic}]+|(?=[\U00010000-\U0010ffff])[{further}]+)+)",
    )


def _marks(characters: range | tuple[int, ...]) -> str:
    return "".join(
        re.escape(chr(character))
        for character in characters
        if unicodedata.category(chr(character)) in ("Mn", "Pc")
    )
