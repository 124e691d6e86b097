"""What somebody has sent us, whatever it is, as HTML that is safe to look at.

It is read token by token and not parsed: so it may be broken, nested a million levels deep, or of
3 MB, and only its beginning costs anything. Secrets are shown to nobody. The role ``look`` sees
the shape, and values that say nothing of a person.
"""

import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
from markupsafe import Markup, escape

from sidecar.console import masks
from sidecar.format import many

#: Bytes that are read, characters that are shown, and of a single text.
MAX_BYTES = 64 * 1024
MAX_CHARS = 128 * 1024
MAX_TEXT = 4000
#: Levels that are indented.
_MAX_INDENT = 24

_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[{}\[\],:]|[^\s"{}\[\],:]+', re.DOTALL)
_LITERAL = re.compile(r"true|false|null|-?\d{1,40}(?:\.\d{1,40})?(?:[eE][+-]?\d{1,4})?")

_SECRET_WORDS = (
    r"token|secret|passw(?:or)?d|authorization|api[_-]?key|private[_-]?key|credential|appsecret"
)
_SECRET_NAME = re.compile(_SECRET_WORDS, re.IGNORECASE)
#: Secrets inside a text: JSON in a text, a query, a header, a URL's password, a token of Meta's or
#: of an AI's.
_SECRETS = (
    (
        re.compile(
            rf"""((?:{_SECRET_WORDS}|\bsig(?:nature)?|\bhash)\w{{0,20}}[\\"']{{0,4}}\s?[:=]\s?[\\"']{{0,4}})"""
            r"""(?:bearer\s+|basic\s+)?[^\\"'&\s,}]+""",
            re.IGNORECASE,
        ),
        r"\1[secret]",
    ),
    (re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{8,}", re.IGNORECASE), r"\1 [secret]"),
    (re.compile(r"\bEAA[A-Za-z0-9]{20,}"), "[secret]"),
    (re.compile(r"\bsk-[\w-]{16,}"), "[secret]"),
    (re.compile(r"(://)[^/@\s\"']{1,200}@"), r"\1[secret]@"),
)

#: Values that say nothing of a person, by their names.
_PLAIN_NAMES = {
    *("category", "event", "field", "kind", "messaging_product", "mime_type", "object"),
    *("origin", "phone_number_id", "pricing_model", "status", "timestamp", "type"),
}
_PLAIN_VALUE = re.compile(r"[A-Za-z0-9_./+-]{1,40}", re.ASCII)
_PLAIN_NAME = re.compile(r"(?!.*\d{5})[A-Za-z0-9_.-]{1,40}", re.ASCII)
_LONG_NUMBER = 6
#: No fraction: where somebody is takes few digits.
_SHORT = re.compile(rf"true|false|null|-?\d{{1,{_LONG_NUMBER}}}", re.ASCII)

#: What turns the direction of a text, joins or hides it.
_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@dataclass(frozen=True, slots=True)
class Body:
    """``html`` goes into a ``<pre>``. ``cut``: it is longer than what is shown."""

    html: Markup
    size: int
    cut: bool


def show_body(body: bytes, *, clear: bool, most: int = MAX_BYTES) -> Body:
    """Return a body as HTML, or its first bytes; ``clear`` for who may see personal data."""
    text = body[:most].decode("utf-8", "replace").removeprefix("\ufeff")
    if text.lstrip()[:1] in ("{", "["):
        parts = _Printer(clear=clear).lines(text)
    else:
        parts = iter([_plain(text) if clear else _hidden(text)])
    found, left = [], MAX_CHARS
    for part in parts:
        if left <= 0:
            break
        found.append(part)
        left -= len(part)
    return Body(Markup("").join(found), len(body), len(body) > most or left <= 0)


def show_value(value: object, *, clear: bool) -> Body:
    """Return values of JSON the same way."""
    try:
        body = msgspec.json.encode(value)
    except UnicodeEncodeError:  # half a character
        body = json.dumps(value).encode()
    return show_body(body, clear=clear)


def show_text(text: str) -> str:
    """Return a reason, or what else is said in a line."""
    return visible(without_secrets(text))


def visible(text: str) -> str:
    """Return a text with what is invisible in it as escapes, so that nothing poses as something
    else: control characters, what turns the direction of writing, halves of characters."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        f"\\u{ord(char):04x}" if unicodedata.category(char) in _INVISIBLE else char for char in text
    )


def without_secrets(text: str) -> str:
    """Return a text without secrets in it."""
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


class _Name(NamedTuple):
    """What a value is called. Many values may have one long name, so it is looked at once."""

    text: str = ""
    is_secret: bool = False

    @classmethod
    def of(cls, token: str) -> "_Name":
        text = _text_of(token)
        return cls(text, _SECRET_NAME.search(text) is not None)


_NO_NAME = _Name()


class _Printer:
    """Prints tokens of JSON, or of what resembles it, a value on a line."""

    def __init__(self, *, clear: bool) -> None:
        self._clear = clear
        self._names = [_NO_NAME]
        self._secret: int | None = None
        self._empty = False

    def lines(self, text: str) -> Iterator[Markup]:
        tokens = (found[0] for found in _TOKEN.finditer(text))
        token = next(tokens, "")
        while token:
            after = next(tokens, "")
            yield from self._print(token, after)
            token = after

    def _print(self, token: str, after: str) -> Iterator[Markup]:
        if self._secret is not None:
            yield from self._skip(token)
        elif token in "{[":
            if self._names[-1].is_secret:
                self._secret = len(self._names)
            self._names.append(self._names[-1] if token == "[" else _NO_NAME)
            self._empty = after in ("}", "]")
            yield Markup(token)
            if not self._empty and self._secret is None:
                yield self._line()
        elif token in "}]":
            self._close()
            yield Markup(token) if self._empty else self._line() + token
            self._empty = False
        elif token == ",":
            yield Markup(",") + self._line()
        elif token == ":":
            yield Markup(": ")
        elif after == ":":
            self._names[-1] = _Name.of(token)
            yield _quoted(self._name(self._names[-1].text), "name")
        else:
            yield self._value(token)

    def _skip(self, token: str) -> Iterator[Markup]:
        """Leave out what stands under a secret's name."""
        if token in "{[":
            self._names.append(_NO_NAME)
        elif token in "}]":
            self._close()
            if len(self._names) == self._secret:
                self._secret, self._empty = None, False
                yield Markup("[secret]") + token

    def _close(self) -> None:
        if len(self._names) > 1:
            self._names.pop()

    def _line(self) -> Markup:
        return Markup("\n" + "  " * min(len(self._names) - 1, _MAX_INDENT))

    def _name(self, name: str) -> str:
        plain = self._clear or _PLAIN_NAME.fullmatch(name)
        return name if plain else _characters(name)

    def _value(self, token: str) -> Markup:
        name, is_secret = self._names[-1]
        if is_secret:
            return Markup("[secret]")
        if not token.startswith('"'):
            if not _LITERAL.fullmatch(token):
                return _plain(token) if self._clear else _hidden(token)
            if self._clear or name in _PLAIN_NAMES or _SHORT.fullmatch(token):
                return escape(token)
            is_whole = token.removeprefix("-").isdigit()
            return Markup("•••• ") + escape(token[-2:]) if is_whole else _hidden(token)
        text = _text_of(token)
        return _quoted(text if self._clear else _masked(name, text), "text")


def _text_of(token: str) -> str:
    """Return what a token says. One that is no whole text stays as it is."""
    try:
        return str(json.loads(token, strict=False))
    except ValueError:
        return token.removeprefix('"').removesuffix('"')


def _masked(name: str, text: str) -> str:
    if not text or (name in _PLAIN_NAMES and _PLAIN_VALUE.fullmatch(text)):
        return text
    if found := masks.WAMID.fullmatch(text):
        return masks.wamid(found)
    digits = text.removeprefix("+")
    if digits.isascii() and digits.isdigit() and len(digits) > _LONG_NUMBER:
        return f"•••• {digits[-2:]}"
    return _characters(text)


def _characters(text: str) -> str:
    return f"({many(len(text), 'character')})"


def _quoted(text: str, kind: str) -> Markup:
    """Return a text in quotes, by itself: it may be written from right to left."""
    return Markup('"<bdi class="{}">{}</bdi>"').format(kind, _plain(text))


def _plain(text: str) -> Markup:
    more = f"… ({len(text) - MAX_TEXT:,} more characters)" if len(text) > MAX_TEXT else ""
    return escape(show_text(text[:MAX_TEXT]) + more)


def _hidden(text: str) -> Markup:
    return escape(_characters(text))


def show_id(wamid: str | None, *, clear: bool) -> str:
    """Return a message's id, or its end: it holds a phone number."""
    if not wamid or clear:
        return visible(wamid or "")
    return _masked("", wamid)
