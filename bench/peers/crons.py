"""The peer as it is: webhooks are stored by a request to PHP each, and two crons do the rest."""

import shlex
from collections.abc import Mapping
from pathlib import Path

from bench.peers.stack import PeerStack
from simulator.processes import Process
from simulator.stack.application import APPLICATION
from simulator.stack.packages import program

#: Command and interval in seconds. As shipped a run takes 60 and 25 rows; here it takes whatever
#: waits, so that what is measured is the design and not two numbers.
_CRONS: Mapping[str, tuple[str, float]] = {
    "webhooks": ("webhook:process --rows=1000", 1.0),
    "campaigns": ("campaign:send --rows=1000", 5.0),
}


class _Cron(Process):
    """Runs a command again and again, each time when the last run has ended and the next multiple
    of the interval has come."""

    def is_ready(self) -> bool:
        return True


class CronStack(PeerStack):
    name = "crons"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, {})

    def start_receiver(self) -> None:
        """FPM is there already."""

    def start_worker_of(self, number: int) -> Process:
        """Start both crons: there are no more of them."""
        self._start_cron("campaigns")
        return self._start_cron("webhooks")

    def _start_cron(self, name: str) -> Process:
        command, interval_s = _CRONS[name]
        artisan = shlex.join([program("php"), str(APPLICATION / "artisan"), *command.split()])
        loop = f"while :; do sleep {interval_s} & {artisan}; wait; done"
        log = self.folder / f"cron-{name}.log"
        variables = self.application.variables
        return self.add(
            _Cron(f"worker-{name}", ["/bin/sh", "-c", loop], log, environment=variables)
        )

    @property
    def receiver_port(self) -> int:
        return self._nginx.port

    def waiting(self) -> int:
        (found,) = self.database.rows("SELECT COUNT(*) AS n FROM whatsapp_webhook_queue")
        return int(found["n"])

    def send(self, campaign_uid: str) -> None:
        """The cron finds what is due."""
