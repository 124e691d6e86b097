"""A Redis and a replica of it."""

import shutil
import time
from pathlib import Path
from typing import Any, Self, cast

import redis

from simulator.processes import ProcessHangs
from simulator.redis_server import RedisServer

#: How long a replica may take to catch up.
PATIENCE_S = 30.0


class RedisPair:
    """Both keep their data in folders of their own, and have on disk whatever they have answered.
    ``primary`` and ``replica`` are what they were at first."""

    def __init__(self, folder: Path, *, program: str | None = None) -> None:
        self._folder = folder
        self.primary = RedisServer(folder / "primary", program=program, name="redis")
        self.replica = RedisServer(folder / "replica", program=program, name="redis-replica")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.stop()

    def start(self) -> Self:
        self.primary.start()
        self.replica.start()
        return self.follow("127.0.0.1", self.primary.port)

    def stop(self) -> None:
        self.replica.stop()
        self.primary.stop()

    def follow(self, host: str, port: int) -> Self:
        """Have the replica follow the primary at this address, and return when it has all of it."""
        with client(self.primary) as primary, client(self.replica) as replica:
            primary.config_set("repl-diskless-sync-delay", 0)
            replica.replicaof(host, port)
        return self.wait()

    def wait(self) -> Self:
        """Return when the replica has all that the primary had, on its disk."""
        end = time.monotonic() + PATIENCE_S
        with client(self.primary) as primary:
            primary.set("probe", 1, ex=60)
            while primary.execute_command("WAITAOF", 0, 1, 1000)[1] < 1:
                if time.monotonic() > end:
                    raise ProcessHangs(f"{self.replica.name} does not follow")
        return self

    def lose_primary(self) -> None:
        """Kill it, and throw its disk away."""
        self.primary.kill()
        shutil.rmtree(self._folder / "primary")

    def promote(self) -> None:
        """Make the replica a primary."""
        with client(self.replica) as replica:
            replica.execute_command("REPLICAOF", "NO", "ONE")


def client(server: RedisServer) -> Any:
    """Return a blocking client."""
    return cast(Any, redis.Redis.from_url(server.url, socket_timeout=5.0))
