"""Mends what JSON does not allow and webhooks hold all the same.

Everything here is linear in the bytes, whatever they are.
"""

import re
from itertools import accumulate

_BOM = b"\xef\xbb\xbf"

#: A backslash that is escaped, two surrogates that belong together, and one that is alone.
_ESCAPED = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")

#: A member's name that begins with NUL, which PHP cannot read into an object.
_NUL_NAME = re.compile(rb'"\\u0000(?=[^"\\]*(?:\\.[^"\\]*)*"\s*:)', re.DOTALL)
_NUL = b'"\\u0000'

#: A string, which may have no end; what is neither string nor punctuation; a comma too many.
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)|[^\s"{}\[\],:]+|,(?=\s*[}\]])', re.DOTALL)
_LITERAL = re.compile(rb"true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_ESCAPE = re.compile(rb'\\(["\\/bfnrt]|u[0-9a-fA-F]{4})?')
_CONTROL = re.compile(rb"[\x00-\x1f]")

#: Nothing that is nested so deeply is read anywhere.
_MAX_LEVELS = 400
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)', re.DOTALL)
#: Brackets as steps up and down, as bytes with a sign; 0 for what is none.
_STEPS = bytes(1 if byte in b"{[" else 255 if byte in b"}]" else 0 for byte in range(256))


def clean(body: bytes) -> bytes:
    """Return a body without a byte order mark, invalid UTF-8, surrogates that are alone, and names
    that begin with NUL."""
    body = body.removeprefix(_BOM)
    if not body.isascii():
        body = body.decode("utf-8", "replace").encode()
    if b"\\u" in body:
        if _SURROGATE.search(body):
            body = _ESCAPED.sub(_whole_character, body)
        if _NUL in body:
            body = _NUL_NAME.sub(b'"\\\\ufffd', body)
    return body


def mend(body: bytes) -> bytes:
    """Return a body that is no JSON with what is wrong inside its values mended: NaN and the like
    are null, control characters are escaped, unknown escapes are U+FFFD."""
    return _TOKEN.sub(_mended, body)


def cut(body: bytes) -> bytes:
    """Return a body with null in place of what is nested so deeply that it hinders reading the
    rest."""
    blank = _STRING.sub(lambda found: bytes(len(found[0])), body)
    pieces: list[bytes] = []
    last, start = 0, None
    for place, level in enumerate(accumulate(memoryview(blank.translate(_STEPS)).cast("b"))):
        if level > _MAX_LEVELS:
            start = place if start is None else start
        elif start is not None:
            pieces += (body[last:start], b"null")
            last, start = place + 1, None
    pieces.append(body[last:start])
    return b"".join(pieces)


def _whole_character(found: re.Match[bytes]) -> bytes:
    escaped = found[0]
    return b"\\ufffd" if len(escaped) == 6 else escaped


def _mended(found: re.Match[bytes]) -> bytes:
    token: bytes = found[0]
    if token.startswith(b'"'):
        return _CONTROL.sub(lambda one: b"\\u%04x" % one[0][0], _ESCAPE.sub(_known_escape, token))
    if token == b",":
        return b""
    return token if _LITERAL.fullmatch(token) else b"null"


def _known_escape(found: re.Match[bytes]) -> bytes:
    return found[0] if found[1] else b"\\ufffd"
