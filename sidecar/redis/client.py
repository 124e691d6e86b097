"""Connections to Redis (or Valkey), and the scripts that run inside it."""

import re
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, cast

import hiredis
import redis.asyncio
from redis.asyncio.connection import DefaultParser as AsyncParser
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript
from redis.connection import DefaultParser as BlockingParser
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import (
    InvalidResponse,
    MasterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
)
from redis.exceptions import TimeoutError as RedisTimeoutError

from sidecar.redis.sentinel import following, following_blocking, primary_of
from sidecar.url import read_sentinel_url


class RedisRefuses(ResponseError):
    """Redis does nothing of the kind for anybody now, whatever the arguments are."""


#: Redis is away, too slow, or refuses for now: the same call may succeed later. Anything else that
#: it answers (a key of the wrong type, a script that fails) and that Python raises (a file that is
#: missing, an argument of the wrong type) is a fault, which waiting does not mend.
RedisUnavailable = (
    # redis-py makes these of what sockets raise; LOADING, a wrong password, and a pool or a server
    # without a free connection are ConnectionErrors too.
    RedisConnectionError,
    RedisTimeoutError,
    InvalidResponse,  # what answers is no Redis
    # What it refuses for its state, or its operator's settings.
    OutOfMemoryError,
    ReadOnlyError,
    NoPermissionError,
    MasterDownError,
    RedisRefuses,
    # From around a call: asyncio.timeout, a socket that breaks while a connection is closed.
    ConnectionError,
    TimeoutError,
)

#: The same, and faults: for work on which others wait, or which has to come to its end. A fault is
#: said as loudly as an outage, and stops nobody else.
AnyRedisError = (*RedisUnavailable, ResponseError)

#: Errors of these codes are a ResponseError like any other to redis-py.
#: UNCHECKED is of our own scripts (``lua/redis/epoch.lua``).
_REFUSALS = ("BUSY", "DENIED", "MISCONF", "NOREPLICAS", "UNBLOCKED", "UNCHECKED")

#: What a primary answers when it has become a replica. UNBLOCKED ends commands that wait.
_DEMOTED = ("READONLY", "MASTERDOWN", "UNBLOCKED")


def _parser(base: Any) -> Any:
    """Return a parser that knows all refusals, and whether one of them says that this is no primary
    any more: alone, or within the answers to a transaction."""

    class Parser(base):  # type: ignore[misc]
        EXCEPTION_CLASSES = {**base.EXCEPTION_CLASSES, **dict.fromkeys(_REFUSALS, RedisRefuses)}
        demoted = False

        def on_connect(self, connection: Any, **options: Any) -> None:
            self.demoted = False
            super().on_connect(connection, **options)

        def parse_error(self, response: str) -> Any:
            self.demoted = self.demoted or response.startswith(_DEMOTED)
            return super().parse_error(response)

    return Parser


_AsyncParser, _BlockingParser = _parser(AsyncParser), _parser(BlockingParser)

Redis = redis.asyncio.Redis

__all__ = [
    "AnyRedisError",
    "AsyncScript",
    "Hash",
    "Members",
    "Redis",
    "RedisUnavailable",
    "ResponseError",
    "blocking_pool",
    "connect",
    "reason_of",
    "script",
    "with_patience",
]

#: redis-py cannot tell by its types that answers are bytes: give an answer one of these names.
Members = set[bytes]
Hash = dict[bytes, bytes]

#: The address of a primary that is still to be found.
_LATER = "primary:0"

_SCRIPTS = Path(__file__).parent / "lua"
#: A line of a script in the place of which another file stands.
_INCLUDE = re.compile(r"(?m)^-- include ([\w/]+)\.lua$")


def connect(url: str, *, timeout_s: float, max_connections: int = 32) -> Redis:
    """Return a client that retries nothing by itself: a write whose answer was lost may have
    happened, and only the caller knows whether it may happen twice.

    ``url`` names a Redis, or the Sentinels that know where the primary is.
    """
    _scripts()  # one that cannot be read is to stop the start, and not the work
    named = read_sentinel_url(url)
    pool = redis.asyncio.BlockingConnectionPool.from_url(
        named.server(_LATER) if named else url,
        max_connections=max_connections,
        timeout=timeout_s,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        parser_class=_AsyncParser,
    )
    pool.connection_class = _connection_class(_dropping(pool.connection_class))
    if named:
        pool.connection_class = following(pool.connection_class, primary_of(named))
    client = redis.asyncio.Redis.from_pool(pool)
    # redis-py makes a dictionary of an entry's fields; ours are pairs, and one may come twice.
    cast(Any, client).set_response_callback("XRANGE", _as_it_came)
    return client


def blocking_pool(url: str, **options: Any) -> redis.ConnectionPool:
    """Return connections for redis-py's blocking client, to the same kinds of addresses.
    ``options`` are those of its connections."""
    named = read_sentinel_url(url)
    pool = redis.ConnectionPool.from_url(
        named.server(_LATER) if named else url, parser_class=_BlockingParser, **options
    )
    pool.connection_class = _dropping(pool.connection_class)
    if named:
        pool.connection_class = following_blocking(pool.connection_class, primary_of(named))
    return pool


def with_patience(client: Redis, wait_s: float) -> Redis:
    """Return a client of the same Redis, with one connection, on which an answer may take so much
    longer: for a command that Redis answers when something happens. Close it."""
    pool = client.connection_pool
    options = pool.connection_kwargs
    return redis.asyncio.Redis.from_pool(
        redis.asyncio.BlockingConnectionPool(
            connection_class=pool.connection_class,
            max_connections=1,
            timeout=None,
            **{**options, "socket_timeout": options["socket_timeout"] + wait_s},
        )
    )


def _dropping(base: Any) -> Any:
    """Return a kind of connection that the pool closes after Redis has said that it is no primary
    any more. The next one finds the primary: by its Sentinels, or by a name that has moved."""

    class Connection(base):  # type: ignore[misc]
        def should_reconnect(self) -> bool:
            return bool(self._parser.demoted or super().should_reconnect())

    return Connection


def _connection_class(base: Any) -> Any:
    """Return a kind of connection that raises a connection's error when it is used after the
    other side has closed it. uvloop raises RuntimeError there, which redis-py passes on, and
    which nobody who is prepared for a Redis that goes away would catch.

    It packs commands in C, which redis-py does for blocking connections only: a webhook's words
    take a fifth of the time."""

    class Connection(base):  # type: ignore[misc]
        async def send_packed_command(self, *arguments: Any, **options: Any) -> None:
            try:
                await super().send_packed_command(*arguments, **options)
            except RuntimeError as error:
                raise RedisConnectionError(f"the connection is closed: {error}") from error

        def pack_command(self, *arguments: Any) -> list[bytes]:
            name = arguments[0]
            if isinstance(name, str) and " " not in name:
                with suppress(TypeError):  # of what redis-py knows how to encode, or to refuse
                    return [hiredis.pack_command(arguments)]
            return cast("list[bytes]", super().pack_command(*arguments))

    return Connection


def _as_it_came(answer: Any, **options: Any) -> Any:
    return answer


def reason_of(error: Exception) -> str:
    """Return an error's text without the command that redis-py prepends: its arguments may be a
    customer's message."""
    return str(error).rpartition("of pipeline caused error: ")[2] or type(error).__name__


def script(client: Redis, name: str) -> AsyncScript:
    """Return the script ``lua/{name}.lua``, which is sent once and then called by its digest."""
    return cast(AsyncScript, cast(Any, client).register_script(_scripts()[name]))


@cache
def _scripts() -> dict[str, str]:
    """Return all scripts by name, with their includes."""
    texts = {
        path.relative_to(_SCRIPTS).with_suffix("").as_posix(): path.read_text()
        for path in sorted(_SCRIPTS.rglob("*.lua"))
    }
    return {name: _INCLUDE.sub(lambda line: texts[line[1]], text) for name, text in texts.items()}
