"""The real stack with two hosts: each has a ``serve`` and a worker, and a machine that they share
has nginx, PHP, MariaDB, Redis and the Cloud API."""

from pathlib import Path
from typing import Any

import httpx
import orjson

from simulator import control
from simulator.chaos.hosts import wire
from simulator.chaos.hosts.host import At, Host
from simulator.chaos.load import Load, PlannedCampaign, Work
from simulator.chaos.stage import CALL_S, WORKERS, Stage, persist
from simulator.ports import free_ports
from simulator.processes import Process, python
from simulator.redis_server import RedisServer
from simulator.stack.application import APPLICATION
from simulator.stack.installation import StackInstallation
from simulator.stack.nginx import Nginx, several_hosts

#: Of `sidecar serve`, on each host.
PORT = 8600
ADDRESSES = {"host-a": "10.77.0.11", "host-b": "10.77.0.12"}
#: How many customers write while the campaign is sent.
CUSTOMERS_PER_S = 8.0


#: What a takeover depends on, as it is shipped.
SHIPPED = {
    "lease_ttl_ms": 10_000,
    "backend_timeout_s": 30,
    "send_timeout_s": 30,
    "reconcile_interval_s": 1,
    "claim_s": 2,
    "result_wait_ms": 1000,
}


class _Nginx(Nginx):
    """Names both hosts, as docs/operations.md says ("Two hosts"), and is where they find PHP."""

    def __init__(self, folder: Path, php: str) -> None:
        public, internal, self.for_php = free_ports(3)
        hosts = [f"{address}:{PORT}" for address in ADDRESSES.values()]
        listen = f"listen 127.0.0.1:{internal};"
        site = several_hosts(hosts, self.for_php)
        site[listen] = f"{listen}\n    listen {wire.SHARED}:{internal};"
        super().__init__(
            folder,
            sidecar=hosts[0],
            php=php,
            ports=(public, internal),
            root=APPLICATION / "public",
            files={"site.conf": site},
        )

    @property
    def internal_url(self) -> str:
        return f"http://{wire.SHARED}:{self.internal_port}"


class HostsInstallation(StackInstallation):
    hosts: list[Host]

    def __init__(self, folder: Path, **options: Any) -> None:
        super().__init__(folder, **options)
        self.nginx: _Nginx = _Nginx(folder / "nginx", f"unix:{self.application.socket}")
        # PHP's one address of the sidecar is nginx, which knows who is there.
        url = f"http://127.0.0.1:{self.nginx.for_php}"
        self.application.variables["WHATSAPP_SIDECAR_URL"] = url

    def start_sidecar(self, name: str = "sidecar") -> Process:
        for number, host in enumerate(self.hosts, 1):
            environment = {**self.environment, "SIDECAR_HOST": host.address}
            environment["SIDECAR_PORT"] = str(PORT)
            command = python("sidecar.commands.main", "serve")
            serve = self.add(host.part(f"{name}-{number}", command, environment, PORT))
        return serve

    def start_cloud_api(self, *arguments: str) -> Process:
        cloud_api = super().start_cloud_api("--host", "0.0.0.0", *arguments)
        self.configure(cloud_api_url=f"http://{wire.SHARED}:{cloud_api.port}")
        return cloud_api


class HostsStage(Stage):
    """``settings`` are the sidecar's that differ from :data:`simulator.chaos.stage.SETTINGS`."""

    installation_class = HostsInstallation
    installation: HostsInstallation

    def __init__(self, folder: Path, rtt_ms: float, settings: dict[str, Any]) -> None:
        wire.leave_network()
        super().__init__(folder, {"outbound_allow": wire.SHARED, **settings}, direct=True)
        self.hosts = [Host(name, at, folder, rtt_ms) for name, at in ADDRESSES.items()]
        self.installation.hosts = self.hosts
        self._cloud_api_url = f"http://{wire.SHARED}:{self._cloud_api_port}"
        webhook = python("simulator", "vendor-webhook", "--host", "0.0.0.0", "--port", "{port}")
        self.vendor_webhook = At("vendor-webhook", webhook, folder / "vendor-webhook.log")

    def _start_redis(self) -> None:
        installation = self.installation
        for host in self.hosts:
            installation.add(host.cable)
        server = RedisServer(installation.folder / "redis", program=installation.redis_program())
        server.command += ["--bind", "127.0.0.1", wire.SHARED, "--protected-mode", "no"]
        installation.add(server)
        installation.configure(redis_url=f"redis://{wire.SHARED}:{server.port}/0")

    def _start_worker(self, name: str) -> None:
        host = self.hosts[WORKERS.index(name)]
        environment = self.installation.environment
        self.installation.add(host.part(name, python("workers"), environment))

    @property
    def door(self) -> Process:
        """Where PHP's calls go: nginx, which finds a host."""
        nginx = self.installation.nginx
        return Process("nginx", [], nginx.log, port=nginx.for_php)

    @property
    def key(self) -> tuple[str, bytes]:
        """What signs PHP's calls."""
        return next(iter(self.installation.keys.items()))

    def call(self, path: str, campaign_uid: str = "") -> None:
        where = path.format(campaign_uid=campaign_uid)
        persist(lambda: control.call_sidecar(self.door, where, self.key), httpx.HTTPError, CALL_S)

    def parts_of(self, host: Host) -> list[str]:
        """Return the names of what runs on a host."""
        number = self.hosts.index(host) + 1
        return [f"sidecar-{number}", f"worker-{number}"]

    def sender(self, campaign_uid: str) -> Host | None:
        """Return the host that sends a campaign, by what its worker said last. Replies have leases
        of their own, which another host may hold."""
        with self.redis() as client:
            for name in client.scan_iter(match="process:*"):
                facts = orjson.loads(client.get(name) or b"{}")
                if f"campaign:{campaign_uid}" in facts.get("leases", ()):
                    return next(host for host in self.hosts if host.name == facts["host"])
        return None


class HostsWork(Work):
    """One campaign at a rate, none of whose messages the Cloud API refuses: what is missing is the
    hosts' doing."""

    def __init__(self, stage: HostsStage, messages: int, rate: float, seed: int) -> None:
        load = Load(
            rates=(rate,),
            marketing=(False,),
            campaigns=(PlannedCampaign(0, messages, called=True),),
            customers_per_s=CUSTOMERS_PER_S,
            odd_per_s=0.4,
        )
        super().__init__(stage, load, seed)

    def _cloud_api(self) -> dict[str, Any]:
        return {**super()._cloud_api(), "error_shares": {}, "webhook_timeout_ms": 10_000}
