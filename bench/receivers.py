"""What takes webhooks, alone: without nginx, PHP and workers, on a processor of its own. The load
generator and Redis share the other one."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

import redis

from bench.context import OTHERS_CPU, SERVER_CPU, installed, on_cpu
from bench.peers import hybrid
from simulator.embedded import EmbeddedInstallation
from simulator.processes import Process, python
from simulator.stack.packages import find

#: As the issue names them; the first one is ours.
SIDECAR, FLOOR = "sidecar", "floor"
HYBRID_FIRST, HYBRID_AFTER = "hybrid, answers first", "hybrid, awaits its queue"
EVERYSEC = ", everysec"


class ReceiverInstallation(EmbeddedInstallation):
    """On the same Redis as the real stack, where there is one."""

    def redis_program(self) -> str | None:
        return find("redis-server")


@dataclass(frozen=True, slots=True)
class Receiver:
    """``paths``: one for each vendor."""

    name: str
    installation: EmbeddedInstallation
    process: Process
    paths: tuple[str, ...]

    def stored(self) -> int:
        """Return how many webhooks are in Redis."""
        if self.name != SIDECAR:
            return hybrid.jobs(self.installation.redis_url)
        with closing(redis.Redis.from_url(self.installation.redis_url)) as client:
            pipeline = client.pipeline(transaction=False)
            for path in self.paths:
                pipeline.hget(f"count:{path.rpartition('/')[2]}", "webhooks_received")
            return sum(int(count or 0) for count in pipeline.execute())


@contextmanager
def receiver(name: str, vendors: int = 8, **settings: object) -> Iterator[Receiver]:
    """Start one, by its name in the results. ``settings`` are the sidecar's, if it is that."""
    with installed(ReceiverInstallation) as installation, on_cpu(OTHERS_CPU):
        paths = tuple(f"/whatsapp-webhook/vendor-{number}" for number in range(vendors))
        if name == FLOOR:
            log = installation.folder / "floor.log"
            with on_cpu(SERVER_CPU):
                process = installation.add(Process("floor", python("bench.peers.floor"), log))
            yield Receiver(name, installation, process, paths)
            return
        server = installation.start_redis()
        if name == SIDECAR:
            installation.configure(**settings)
            installation.start_backend()
            seeded = installation.seed_vendors(vendors=vendors)
            with on_cpu(SERVER_CPU):
                process = installation.start_sidecar()
            paths = tuple(f"/webhook/{vendor.uid}" for vendor in seeded)
        else:
            if name.endswith(EVERYSEC):
                with closing(redis.Redis.from_url(server.url)) as client:
                    client.config_set("appendfsync", "everysec")
            first = name.removesuffix(EVERYSEC) == HYBRID_FIRST
            with on_cpu(SERVER_CPU):
                process = hybrid.start_receiver(installation, answers_first=first)
        yield Receiver(name, installation, process, paths)
