"""The systems that are measured, each on the same real stack: nginx, Laravel in PHP-FPM, MariaDB,
Redis, and the simulated Cloud API."""

import time
from abc import abstractmethod
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import redis

from bench.webhooks import PHONE_NUMBER_ID
from contracts import sidecar_api as api
from simulator.backend.seed import SeededVendor
from simulator.control import call_sidecar
from simulator.processes import Process, ProcessFailed
from simulator.stack.host import Host
from simulator.stack.installation import StackInstallation

#: As ``php artisan optimize`` and a production's php.ini leave it.
PRODUCTION = Host(cached=True, opcache=True)
POLL_S = 0.02


class Stack(StackInstallation):
    """``name`` is the system's in the results. The first of ``vendors`` has the number
    ``PHONE_NUMBER_ID``, with a limit of ``rate`` messages per second."""

    name: str
    vendors: list[SeededVendor]
    rate: float

    def start_all(self, rate: float = 80.0, workers: int = 1, vendors: int = 1) -> None:
        """Start everything, with so many workers."""
        self.rate = rate
        self.start_redis()
        self.start_backend()
        self.vendors = self.seed_vendors(
            vendors=vendors, phone_number_ids=[PHONE_NUMBER_ID], messages_per_second=rate
        )
        self.start_receiver()
        self.start_cloud_api(
            *("--phone-number-id", PHONE_NUMBER_ID, "--rate", str(rate)),
            *("--webhook-url", self.webhook_url(self.vendor.uid)),
        )
        self.workers = [self.start_worker_of(number) for number in range(workers)]

    @property
    def vendor(self) -> SeededVendor:
        return self.vendors[0]

    @abstractmethod
    def start_receiver(self) -> None:
        """Start what takes webhooks."""

    @abstractmethod
    def start_worker_of(self, number: int) -> Process:
        """Start the worker of this number; those after the first only take webhooks."""

    @property
    @abstractmethod
    def receiver_port(self) -> int:
        """The port of what takes webhooks, without nginx in front of it where there is such."""

    @abstractmethod
    def waiting(self) -> int:
        """Return how many webhooks have been taken and are not done yet."""

    @abstractmethod
    def send(self, campaign_uid: str) -> None:
        """Start a campaign that has been added."""

    def settled(self) -> bool:
        """Tell whether no row of a campaign waits for anything."""
        return not self.database.rows(
            "SELECT 1 FROM whatsapp_message_queue WHERE status IN (1, 3) LIMIT 1"
        )

    def wait(
        self, condition: Callable[[], bool], timeout_s: float, poll_s: float = POLL_S
    ) -> float:
        """Wait until something is so. Return the seconds. Raises ProcessFailed if it is not in
        time, or if a part has ended."""
        started = time.monotonic()
        while True:
            looked = time.monotonic()
            if condition():
                return looked - started
            for process in self.processes.values():
                if not process.running:
                    raise ProcessFailed(f"{process.name} has ended:\n{process.last_words()}")
            if time.monotonic() - started > timeout_s:
                raise ProcessFailed(f"{self.name}: not done in {timeout_s:.0f} s")
            # Looking may take a tenth of the time at most.
            time.sleep(max(poll_s, 10 * (time.monotonic() - looked)))


class SidecarStack(Stack):
    """This system. Customers' messages are stored by the package's own engine."""

    name = "sidecar"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, host=PRODUCTION)

    def start_receiver(self) -> None:
        self.start_sidecar()

    def start_worker_of(self, number: int) -> Process:
        return self.start_worker(name=f"worker-{number}")

    @property
    def receiver_port(self) -> int:
        return self.processes["sidecar"].port

    def waiting(self) -> int:
        with closing(redis.Redis.from_url(self.redis_url)) as client:
            pipeline = client.pipeline(transaction=False)
            for vendor in self.vendors:
                pipeline.hmget(f"count:{vendor.uid}", "webhooks_received", "webhooks_done")
            counts = pipeline.execute()
        return sum(int(received or 0) - int(done or 0) for received, done in counts)

    def send(self, campaign_uid: str) -> None:
        path = api.CAMPAIGN_SEND.format(campaign_uid=campaign_uid)
        key = next(iter(self.keys.items()))
        call_sidecar(self.processes["sidecar"], path, key)

    def settled(self) -> bool:
        return not self.database.rows("SELECT 1 FROM whatsapp_message_queue LIMIT 1")
