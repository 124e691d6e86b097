"""Connections to Redis (or Valkey), and the scripts that run inside it."""

import re
from pathlib import Path
from typing import Any, cast

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

#: Redis is away, or too slow: the same call may succeed later.
UNAVAILABLE = (RedisConnectionError, RedisTimeoutError, OSError)

Redis = redis.asyncio.Redis

__all__ = [
    "UNAVAILABLE",
    "AsyncScript",
    "Hash",
    "Members",
    "Redis",
    "RedisError",
    "ResponseError",
    "connect",
    "reason_of",
    "script",
]

#: redis-py cannot tell by its types that answers are bytes: give an answer one of these names.
Members = set[bytes]
Hash = dict[bytes, bytes]

_SCRIPTS = Path(__file__).parent / "lua"
#: A line of a script in the place of which another file stands.
_INCLUDE = re.compile(r"(?m)^-- include ([\w/]+)\.lua$")


def connect(url: str, *, timeout_s: float, max_connections: int = 32) -> Redis:
    """Return a client. Nothing is retried behind the caller's back: a write whose answer was
    lost may have happened, and only the caller knows whether it may happen twice.
    """
    pool = redis.asyncio.BlockingConnectionPool.from_url(
        url,
        max_connections=max_connections,
        timeout=timeout_s,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
    )
    pool.connection_class = _says_that_it_is_closed(pool.connection_class)
    client = redis.asyncio.Redis.from_pool(pool)
    # redis-py makes a dictionary of an entry's fields; ours are pairs, and one may come twice.
    cast(Any, client).set_response_callback("XRANGE", _as_it_came)
    return client


def _says_that_it_is_closed(base: Any) -> Any:
    """Return a kind of connection that raises a connection's error when it is used after the
    other side has closed it. uvloop raises RuntimeError there, which redis-py passes on, and
    which nobody who is prepared for a Redis that goes away would catch."""

    class Connection(base):  # type: ignore[misc]
        async def send_packed_command(self, *arguments: Any, **options: Any) -> None:
            try:
                await super().send_packed_command(*arguments, **options)
            except RuntimeError as error:
                raise RedisConnectionError(f"the connection is closed: {error}") from error

    return Connection


def _as_it_came(answer: Any, **options: Any) -> Any:
    return answer


def reason_of(error: Exception) -> str:
    """Return what an error says, without the command that redis-py puts in front of it: its
    arguments may be a customer's message."""
    return str(error).rpartition("of pipeline caused error: ")[2] or type(error).__name__


def script(client: Redis, name: str) -> AsyncScript:
    """Return the script ``lua/{name}.lua``, which is sent once and then called by its digest."""
    text = _INCLUDE.sub(
        lambda line: (_SCRIPTS / f"{line[1]}.lua").read_text(),
        (_SCRIPTS / f"{name}.lua").read_text(),
    )
    return cast(AsyncScript, cast(Any, client).register_script(text))
