"""Headers of a webhook that is forwarded to PHP, and of PHP's answer.

Hop-by-hop headers are dropped (RFC 9110, 7.6.1); all others are forwarded in their order. Names go
out in lower case. Values that are not UTF-8, or that contain control characters, are dropped: Meta
sends none.
"""

import re
from collections.abc import Iterable
from typing import Any

from multidict import CIMultiDict
from starlette.types import Scope

Header = tuple[bytes, bytes]

#: The sidecar's name in ``Via``.
PSEUDONYM = "whatsapp-sidecar"

#: Marks an answer as PHP's own, or as one in its place: nginx need not ask PHP for another.
PROXIED = b"x-sidecar-proxied"

#: Of one connection, whether ``Connection`` names them or not. ``Trailer`` is among them because
#: trailers are not passed on, and what proxies say to each other because this is not for PHP.
_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
#: Said anew for PHP. ``Expect`` has done its work when the body is here; ``Proxy`` would become
#: PHP's HTTP_PROXY.
_SAID_ANEW = frozenset({b"content-length", b"expect", b"proxy", b"via", b"x-forwarded-for"})
#: What tells PHP who calls, as nginx has set it. ``Connection`` cannot take it away.
_WHO_CALLS = frozenset(
    {
        b"host",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-port",
        b"x-forwarded-proto",
        b"x-real-ip",
    }
)
_NO_NAME = re.compile(rb"[^!#$%&'*+\-.^_`|~0-9A-Za-z]")
_NO_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


def goes_round(scope: Scope) -> bool:
    """Return whether a sidecar has forwarded this request before."""
    ours = f" {PSEUDONYM}"
    return any(
        part.rstrip().endswith(ours)
        for name, value in scope["headers"]
        if name == b"via"
        for part in value.decode("latin-1").split(",")
    )


def to_php(scope: Scope) -> CIMultiDict[str]:
    """Return the headers of the forwarded request, without ``Content-Length``.

    ``Host`` is kept, so that PHP's links are those of the site. ``X-Forwarded-Proto`` and
    ``X-Forwarded-Host`` are added if nginx has not set them; the client's address is appended to
    ``X-Forwarded-For``.
    """
    headers: CIMultiDict[str] = CIMultiDict()
    callers, vias, host = [], [], None
    given: list[Header] = scope["headers"]
    dropped = (_named(given) - _WHO_CALLS) | _HOP_BY_HOP
    for name, value in given:
        text = _text(value)
        if name in dropped or not name or text is None:
            continue
        if name == b"x-forwarded-for":
            callers.append(text)
        elif name == b"via":
            vias.append(text)
        elif name not in _SAID_ANEW:
            headers.add(name.decode("ascii"), text)
        if name == b"host":
            host = text
    client: Any = scope.get("client")
    if client:
        callers.append(client[0])
    if callers:
        headers["x-forwarded-for"] = ", ".join(callers)
    headers.setdefault("x-forwarded-proto", scope.get("scheme", "http"))
    if host:
        headers.setdefault("x-forwarded-host", host)
    headers["via"] = ", ".join([*vias, f"{scope.get('http_version', '1.1')} {PSEUDONYM}"])
    return headers


def from_php(raw: Iterable[Header]) -> list[Header]:
    """Return the headers of PHP's answer as it goes back, without ``Content-Length``."""
    given = [(name.lower(), value) for name, value in raw]
    dropped = _named(given) | _HOP_BY_HOP | {b"content-length", PROXIED}
    return [
        (name, value)
        for name, value in given
        if name
        and name not in dropped
        and not _NO_NAME.search(name)
        and not _NO_VALUE.search(value)
    ]


def _named(headers: Iterable[Header]) -> frozenset[bytes]:
    """Return the header names listed in ``Connection``."""
    return frozenset(
        option.strip().lower()
        for name, value in headers
        if name == b"connection"
        for option in value.split(b",")
    )


def _text(value: bytes) -> str | None:
    if _NO_VALUE.search(value):
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None
