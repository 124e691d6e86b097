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
        while not (self._is_online() and self._is_on_disk()):
            if time.monotonic() > end:
                raise ProcessHangs(f"{self.replica.name} does not follow")
            time.sleep(0.02)
        return self

    def _is_online(self) -> bool:
        with client(self.primary) as primary:
            found = primary.info("replication").get("slave0", {})
        return bool(found.get("state") == "online" and found.get("lag", 9) <= 1)

    def _is_on_disk(self) -> bool:
        with client(self.replica) as replica:
            found = replica.info("persistence")
        return not (found["aof_rewrite_in_progress"] or found["aof_rewrite_scheduled"])

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
