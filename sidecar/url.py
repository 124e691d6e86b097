"""URLs in settings.

Errors do not repeat the URL: it may contain a password.
"""

import re
from typing import Annotated
from urllib.parse import SplitResult, quote, urlsplit

from pydantic import AfterValidator, SecretStr
from yarl import URL

#: What may stand in a query as it is.
_QUERY = "!$&'()*+,;=:@/?%-._~[]"


def _http_url(value: str) -> str:
    parts = _split(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("it is not an http:// or https:// address")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("it has more than a host, a port and a path")
    if not re.fullmatch(r"[!-~]+", value):
        raise ValueError("a character in it is not percent-encoded")
    return value.rstrip("/")


def _secret_url(value: SecretStr) -> SecretStr:
    parts = _split(value.get_secret_value())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("it is not an http:// or https:// address")
    if "@" in parts.netloc or parts.fragment:
        raise ValueError("it has more than a host, a port, a path and a query")
    if not re.fullmatch(r"[!-~]+", value.get_secret_value()):
        raise ValueError("a character in it is not percent-encoded")
    return value


def _redis_url(value: str | None) -> str | None:
    if value is not None:
        parts = _split(value)
        if parts.scheme not in ("redis", "rediss", "unix"):
            raise ValueError("it does not start with redis://, rediss:// or unix://")
        if not _database(parts).isdecimal():
            raise ValueError("its database is not a number")
    return value


HttpUrl = Annotated[str, AfterValidator(_http_url)]
#: May have a query. It is not shown anywhere, because it may hold a token.
SecretUrl = Annotated[SecretStr, AfterValidator(_secret_url)]
RedisUrl = Annotated[str | None, AfterValidator(_redis_url)]


def webhook_url(backend_url: str, vendor_uid: str, query: bytes) -> URL:
    """Return the URL of PHP's own webhook route, with the query as it came."""
    url = f"{backend_url}/whatsapp-webhook/{vendor_uid}"
    return URL(f"{url}?{quote(query, safe=_QUERY)}" if query else url, encoded=True)


def next_database(redis_url: str) -> str:
    """Return the URL of the same Redis's next database."""
    parts = urlsplit(redis_url)
    number = int(_database(parts)) + 1
    query = [q for q in parts.query.split("&") if q and not q.startswith("db=")]
    if parts.scheme == "unix":
        path, query = parts.path, [*query, f"db={number}"]
    else:
        path = f"/{number}"
    # Not urlunsplit: it drops the two slashes of a unix:// address, which redis-py wants.
    return f"{parts.scheme}://{parts.netloc}{path}" + ("?" + "&".join(query) if query else "")


def _split(value: str) -> SplitResult:
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        raise ValueError("this is no address; is a character in it not percent-encoded?") from None
    return parts


def _database(parts: SplitResult) -> str:
    """Return the database number, which redis-py looks for in the query first."""
    named = next((q[3:] for q in parts.query.split("&") if q.startswith("db=")), "")
    path = "" if parts.scheme == "unix" else parts.path.strip("/")
    return named or path or "0"
