"""The installation that the rounds share: the real stack, on settings that make a round short."""

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import httpx
import orjson
import redis

from simulator import control
from simulator.chaos.clocks import Clocks
from simulator.chaos.fault_proxy import FaultProxy
from simulator.ports import free_ports
from simulator.processes import Process, ProcessFailed, python
from simulator.redis_server import RedisServer
from simulator.stack.engines import HOST_ROUTINE
from simulator.stack.installation import StackInstallation

#: How long a crashed worker's lease stands in the way.
LEASE_TTL_S = 1.5
SEND_TIMEOUT_S = 2.0
#: Nothing waits for long, so that a round does not: a part that was away is found again at once.
SETTINGS = {
    "lease_ttl_ms": int(LEASE_TTL_S * 1000),
    "send_timeout_s": SEND_TIMEOUT_S,
    "backend_timeout_s": 3,
    "reconcile_interval_s": 0.2,
    "due_campaigns_interval_s": 0.5,
    "result_wait_ms": 100,
    "status_wait_ms": 100,
    "update_retry_first_ms": 100,
    "update_retry_longest_ms": 1000,
    "claim_s": 0.5,
    "pending_effects_interval_s": 2,
    "shutdown_timeout_s": 5,
    # Vendors' own webhooks are on this machine.
    "outbound_allow": "127.0.0.1",
}
#: How long the Cloud API takes to answer. So there are always calls under way to be hit, and
#: statuses that are quicker than the answer to their send.
LATENCY_S = 0.12
WORKERS = ("worker-1", "worker-2")
#: How long a part is started again and again that ends because another one is away.
SUPERVISED_S = 60.0
#: How long a signed call is made again.
CALL_S = 60.0
#: Since when Redis knows which effects were taken; and for how long after an installation has begun
#: it may not.
_MEMORY_SINCE, _YOUNG_MS = "memory:since", 120_000


class Stage:
    """Use as a context manager: starts everything but the Cloud API, and stops it. ``settings``
    are the sidecar's that differ; with ``direct`` workers call the Cloud API itself, and not by the
    way that can be cut, and nobody fetches media. Customers' messages go to the application's own
    routine, or to the package's engine (``host_routine``)."""

    installation_class: type[StackInstallation] = StackInstallation

    def __init__(
        self,
        folder: Path,
        settings: dict[str, Any] | None = None,
        *,
        direct: bool = False,
        host_routine: bool = True,
    ) -> None:
        self.host_routine = host_routine
        engine = HOST_ROUTINE if host_routine else {}
        self.installation = self.installation_class(
            folder, durable=True, php={**engine, "WHATSAPP_SIDECAR_BOTS": "all"}
        )
        self.installation.configure(**SETTINGS | (settings or {}))
        if not direct:
            self.installation.share_media()
        #: Those of the workers and of Redis.
        self.clocks = Clocks(folder)
        #: Where vendors have everything forwarded to.
        webhook = python("simulator", "vendor-webhook", "--port", "{port}")
        self.vendor_webhook = Process("vendor-webhook", webhook, folder / "vendor-webhook.log")
        [self._cloud_api_port] = free_ports(1)
        self.proxy = FaultProxy(self._cloud_api_port, latency_s=LATENCY_S)
        self._cloud_api_url = (
            f"http://127.0.0.1:{self._cloud_api_port}" if direct else self.proxy.url
        )

    def __enter__(self) -> Self:
        installation = self.installation
        self.proxy.__enter__()
        try:
            self._start_redis()
            installation.start_backend()
            installation.start_sidecar()
            installation.configure(cloud_api_url=self._cloud_api_url)
            for name in WORKERS:
                self._start_worker(name)
            self._remember_for_long()
            installation.add(self.vendor_webhook)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self.installation.stop()
        finally:
            self.proxy.__exit__(*error)

    def _start_redis(self) -> None:
        program = self.installation.redis_program()
        server = RedisServer(self.installation.folder / "redis", program=program)
        if program is not None:  # the embedded one brings its malloc along
            server.environment |= self.clocks.redis(server.name)
        self.installation.add(server)
        self.installation.configure(redis_url=server.url)

    def _start_worker(self, name: str) -> None:
        installation = self.installation
        command, log = self.clocks.python(name, "workers"), installation.folder / f"{name}.log"
        installation.add(Process(name, command, log, environment=installation.environment))

    def _remember_for_long(self) -> None:
        """Make this an installation that has run for longer than its machines' clocks may differ:
        in its first minute what PHP asks for again is not sent."""
        with self.redis() as client:

            def moved() -> None:
                since: Any = client.get(_MEMORY_SINCE)
                if since is None or not since.isdigit():
                    raise ProcessFailed("no worker has asked PHP what is pending")
                client.set(_MEMORY_SINCE, int(since) - _YOUNG_MS)

            persist(moved, ProcessFailed, SUPERVISED_S)

    def new_cloud_api(self, config: dict[str, Any]) -> None:
        """Put a new Cloud API in the place of the last one, with these settings
        (:class:`simulator.cloud_api.config.CloudApiConfig`)."""
        installation = self.installation
        if (last := installation.processes.pop("cloud-api", None)) is not None:
            last.stop()
        file = installation.folder / "cloud-api.json"
        file.write_bytes(orjson.dumps(config))
        port = str(self._cloud_api_port)
        installation.start_cloud_api("--config", str(file), "--port", port)

    def ask(self, what: str) -> Any:
        """Return what the Cloud API says of itself."""
        return control.read(self.installation.processes["cloud-api"], what)

    def lines(self, what: str) -> list[dict[str, Any]]:
        """Return what it has on each of many, messages say."""
        return control.lines(self.installation.processes["cloud-api"], what)

    def order(self, what: str, order: dict[str, Any]) -> None:
        """Have it do something."""
        control.order(self.installation.processes["cloud-api"], what, order)

    def redis(self, database: int = 0) -> "redis.Redis":
        """Return a client of its own, for those who look from outside."""
        port = self.installation.processes["redis"].port
        return redis.Redis(port=port, db=database, socket_timeout=10.0)

    # -- what the PHP admin and the machine's supervisor do --

    def call(self, path: str, campaign_uid: str = "") -> None:
        """Make a signed call, about a campaign say, again and again while the sidecar, Redis or PHP
        is away. ``path`` is one of :mod:`contracts.sidecar_api`."""
        where = path.format(campaign_uid=campaign_uid)
        sidecar = self.installation.processes["sidecar"]
        key = next(iter(self.installation.keys.items()))
        persist(lambda: control.call_sidecar(sidecar, where, key), httpx.HTTPError, CALL_S)

    def start(self, name: str) -> None:
        """Start a part, again and again if it ends because another one is away."""
        persist(lambda: self.installation.start(name), ProcessFailed, SUPERVISED_S)

    def ended(self) -> list[str]:
        """Return the parts that do not run."""
        return [name for name, part in self.installation.processes.items() if not part.running]

    def status(self) -> dict[str, Any]:
        """Return what ``sidecar status --json`` says. It exits 1 if anything is wrong, which is so
        for a while after a fault."""
        done = subprocess.run(
            [*python("sidecar.commands.main"), "status", "--json"],
            env={**os.environ, **self.installation.environment},
            capture_output=True,
            timeout=60,
            check=False,
        )
        if done.returncode not in (0, 1) or not done.stdout:
            raise ProcessFailed(f"sidecar status failed:\n{done.stderr.decode(errors='replace')}")
        answer: dict[str, Any] = orjson.loads(done.stdout)
        return answer


def persist(work: Callable[[], object], error: type[Exception], seconds: float) -> None:
    """Do something again and again while it fails with this error, for at most so long."""
    end = time.monotonic() + seconds
    while True:
        try:
            work()
        except error:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
        else:
            return
