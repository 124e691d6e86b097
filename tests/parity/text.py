"""Random triggers and messages, made of what matchers get wrong."""

import random
from collections.abc import Sequence

WORDS = (
    *("hello", "hi", "order", "status", "cafe", "a", "b", "ab", "aa", "_", "x_1", "stop"),
    *("café", "cafe\u0301", "naïve", "straße", "ß", "ÇA", "Ünï", "É"),
    # Turkish dotted and dotless i, and what Unicode lowers and folds in surprising ways.
    *("İ", "ı", "I", "i", "i\u0307", "KIRMIZI", "ſ", "K", "Å", "ΣΑΣ", "ς"),
    *(
        "مرحبا",
        "مَرْحَبًا",
        "طلب",
        "٣",
        "שלום",
        "नमस्ते",
        "ไทย",
        "สวัสดี",
        "你好",
        "日本",
        "한국",
        "привет",
    ),
    *("😀", "👍🏽", "👨\u200d👩\u200d👧", "🇩🇪", "❤\ufe0f", "\u0301", "\u203f", "\u20dd", "\ufe33"),
    *("²", "½", "Ⅷ", "१२", "𝟙", "𝒳", "\U0001d165", "\U000e0101", "\u200b", "\u00ad", "\ufeff"),
)
MARKS = (
    *".+?^$()[]{}|\\/#-!=<>:&~%'\"`@;",
    *(".*", "\\b", "\\d+", "(?i)", "[a-z]", "\\*", "\\\\*", "\\E", "\\Q", "$1", "(*F)", "(?R)"),
    *("/", "//", "#"),
)
BLANKS = (
    *(" ", "  ", "\t", "\n", "\r", "\r\n", "\n\n", "\0", "\x0b", "\f", "\x1f", "\x7f"),
    *("\u00a0", "\u0085", "\u2028", "\u2029", "\u3000", "\u1680"),
)
NUMBERS = (
    *(
        "0",
        "00",
        "-0",
        "+0",
        "0.0",
        ".0",
        "0.",
        "0e5",
        "1",
        "1.0",
        "01",
        "+1",
        "1.",
        "1e0",
        "10e-1",
    ),
    *(
        "10",
        "1e1",
        "1E1",
        "1e",
        "1e+",
        "e1",
        ".",
        "-",
        "+",
        "1_0",
        "0x1",
        "0b1",
        "1 ",
        "\f1",
        "1\f",
    ),
    *("9223372036854775807", "9223372036854775808", "9223372036854775809", "9.2233720368547758e18"),
    *("-9223372036854775808", "-9223372036854775809", "-9.2233720368547758e18", "1e400", "2e400"),
    *(
        "-1e400",
        "18446744073709551616",
        "18446744073709551616.",
        "18446744073709551616e0",
        "1.8446744073709551616e19",
        "9007199254740993",
    ),
    *("9007199254740992.0", "00000000000000000000000012", "12", "1.2e1", "inf", "nan", "٣"),
    "1" * 400,
)
SEPARATORS = ("", "", " ", " ", "*", "*", "-", "_", "\n", ".")


class Text:
    """Draws texts. The words of one vendor are few, so that its triggers resemble each other."""

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw
        pools = (WORDS, WORDS, WORDS, MARKS, BLANKS, NUMBERS)
        self._words = [draw.choice(draw.choice(pools)) for _ in range(draw.randint(2, 8))]

    def reply_trigger(self) -> str | None:
        """Return triggers between commas; now and then none at all."""
        if self._draw.random() < 0.03:
            return self._draw.choice((None, "", ",", " , ", "0", "0,0", "*", "**", ",*,"))
        separator = self._draw.choice((",", ", ", " ,\n", ",,", ","))
        return separator.join(self._trigger() for _ in range(self._draw.randint(1, 4)))

    def message(self, triggers: list[str]) -> bytes:
        """Return a message that was made of triggers, and so often matches them."""
        draw = self._draw
        text = self._filled(draw.choice(triggers)) if triggers else self._trigger()
        for _ in range(draw.choice((0, 0, 0, 1, 1, 2))):
            text = draw.choice((self._around, self._before, self._behind, self._edited))(text)
        if triggers and draw.random() < 0.2:
            text += draw.choice(SEPARATORS) + self._filled(draw.choice(triggers))
        if draw.random() < 0.3:
            text = self._cased(text)
        if draw.random() < 0.2:
            text = draw.choice(BLANKS) + text + draw.choice(BLANKS)
        if draw.random() < 0.004:
            text = self._long(text)
        data = text.encode()
        return self._broken(data) if draw.random() < 0.06 else data

    def _trigger(self) -> str:
        draw = self._draw
        if draw.random() < 0.1:
            return draw.choice(NUMBERS)
        parts = [draw.choice(self._words)]
        for _ in range(draw.choice((0, 0, 0, 1, 1, 2, 3))):
            parts += [draw.choice(SEPARATORS), draw.choice(self._words)]
        if draw.random() < 0.25:
            parts.insert(draw.randint(0, len(parts)), "*")
        text = "".join(parts).replace(",", "")
        return self._cased(text) if draw.random() < 0.2 else text

    def _filled(self, trigger: str) -> str:
        if self._draw.random() < 0.1:
            return trigger
        parts = trigger.split("*")
        text = parts[0]
        for part in parts[1:]:
            text += self._draw.choice(("", self._any(), self._any() + self._any(), part)) + part
        return text

    def _any(self) -> str:
        pools: list[Sequence[str]] = [self._words, self._words, WORDS, MARKS, BLANKS, NUMBERS]
        return self._draw.choice(self._draw.choice(pools))

    def _around(self, text: str) -> str:
        separator = self._draw.choice(("", " "))
        return self._any() + separator + text + separator + self._any()

    def _before(self, text: str) -> str:
        return self._any() + self._draw.choice(("", " ")) + text

    def _behind(self, text: str) -> str:
        return text + self._draw.choice(("", " ")) + self._any()

    def _edited(self, text: str) -> str:
        place = self._draw.randint(0, len(text))
        new = self._draw.choice(("", "", self._any()))
        return "".join((text[:place], new, text[place + self._draw.randint(0, 1) :]))

    def _cased(self, text: str) -> str:
        return "".join(self._draw.choice((c, c.upper(), c.swapcase())) for c in text)

    def _long(self, text: str) -> str:
        filler = self._any() * self._draw.randint(1, 40) + self._draw.choice(("", " ", "\n"))
        times = self._draw.randint(1, 1 + 20_000 // len(filler.encode() + b" "))
        return self._draw.choice((filler * times + text, text + filler * times, filler * times))

    def _broken(self, data: bytes) -> bytes:
        draw = self._draw
        place = draw.randint(0, len(data))
        new = draw.choice(
            (b"\xff", b"\x80", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\xaf")
        )
        return data[:place] + draw.choice((b"", new)) + data[place + draw.randint(0, 1) :]
