r"""Word boundaries as PCRE2's ``\b`` has them in a pattern with the flag ``u``."""

import re
import unicodedata
from functools import cache

#: No byte of UTF-8, so that it stands for boundaries and nothing else.
_MARK = b"\xff"
_ASCII_WORDS = re.compile(rb"(\w+)")
# Python's \w is PCRE2's: letters and numbers (Unicode's categories L and N) and the underscore.
_WORDS = re.compile(r"(\w+)")


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
