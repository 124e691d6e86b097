"""URLs in settings.

Errors do not repeat the URL: it may contain a password.
"""

import re
from dataclasses import dataclass, field
from typing import Annotated
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urlsplit

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
    if value is not None and read_sentinel_url(value) is None:
        parts = _split(value)
        if parts.scheme not in ("redis", "rediss", "unix"):
            raise ValueError("it does not start with redis://, rediss://, sentinel:// or unix://")
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


@dataclass(frozen=True, slots=True)
class SentinelUrl:
    """``sentinel://user:password@host1,host2:26380,host3/mymaster/0``: Sentinels, the name by which
    they know a primary, and the database there. ``sentinels://`` speaks TLS with all of them.

    User and password are Redis's; ``?sentinel_username=...&sentinel_password=...`` are the
    Sentinels'. Other options are those that redis-py has for connections.
    """

    sentinels: tuple[str, ...]
    service: str
    database: int
    tls: bool
    credentials: str = field(repr=False)
    sentinel_credentials: str = field(repr=False)
    options: str = field(repr=False)

    def server(self, address: str) -> str:
        """Return the URL of one of its servers, given as ``host:port``."""
        return self._url(self.credentials, f"{address}/{self.database}")

    def sentinel(self, address: str) -> str:
        """Return the URL of one of its Sentinels."""
        return self._url(self.sentinel_credentials, address)

    def _url(self, credentials: str, address: str) -> str:
        scheme = "rediss" if self.tls else "redis"
        return f"{scheme}://{credentials}{address}" + (f"?{self.options}" if self.options else "")


_SENTINEL = re.compile(
    r"sentinel(?P<tls>s)?://(?P<credentials>[^@/?#]*@)?(?P<hosts>[^@/?#]+)"
    r"/(?P<service>[A-Za-z0-9._-]+)(/(?P<database>[0-9]*))?(\?(?P<query>[^#]*))?"
)
_SENTINEL_HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
_SENTINEL_PORT = ":26379"


def read_sentinel_url(value: str) -> SentinelUrl | None:
    """Return what it says, or None if it names no Sentinels. Raises ValueError."""
    if not re.match("sentinels?:", value):
        return None
    if not (found := _SENTINEL.fullmatch(value)):
        raise ValueError("write it as sentinel://user:password@host1,host2,host3/mymaster/0")
    hosts = [_SENTINEL_HOST.fullmatch(host) for host in found["hosts"].split(",")]
    if not all(host and int((host[2] or _SENTINEL_PORT)[1:]) < 65536 for host in hosts):
        raise ValueError("a Sentinel in it is not a host, or a host and a port")
    options = dict(parse_qsl(found["query"] or "", keep_blank_values=True))
    known = [quote(options.pop(f"sentinel_{one}", ""), "") for one in ("username", "password")]
    if wrong := [name for name in options if name == "db" or name.startswith("sentinel_")]:
        raise ValueError(f"it has no option {wrong[0]}")
    return SentinelUrl(
        sentinels=tuple(f"{host[1]}{host[2] or _SENTINEL_PORT}" for host in hosts if host),
        service=found["service"],
        database=int(found["database"] or 0),
        tls=bool(found["tls"]),
        credentials=found["credentials"] or "",
        sentinel_credentials=f"{':'.join(known)}@" if any(known) else "",
        options=urlencode(options),
    )


def next_database(redis_url: str) -> str:
    """Return the URL of the same Redis's next database."""
    if named := _SENTINEL.fullmatch(redis_url):
        number = int(named["database"] or 0) + 1
        url = f"{redis_url[: named.end('service')]}/{number}"
        return url + (f"?{named['query']}" if named["query"] else "")
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
