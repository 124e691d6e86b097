"""The installation of a run: everything in processes, and the workers' way to the Cloud API."""

from typing import Any, Self

from contracts import sidecar_api as api
from simulator import control
from simulator.backend.seed import SeededCampaign, SeededVendor
from simulator.installation import Installation
from simulator.outages.network import Network
from simulator.ports import free_ports
from simulator.processes import Process

WORKERS = (("messages", "effects"), ("statuses",), ("campaigns",))
#: What customers do soon, so that a run ends soon after its last message.
_QUICK = (
    *("--sent-delay-ms", "10", "200", "--delivered-delay-ms", "10", "300"),
    *("--read-delay-ms", "10", "300", "--service-window-s", "0"),
)


class Stage:
    """Use as a context manager. ``vendors`` have a number each, of ``rate`` per second, whose ids
    are what webhooks of the Cloud API name. The network may fail as the shape says."""

    def __init__(
        self, installation: Installation, vendors: int, rate: float, shape: str | None = None
    ) -> None:
        self.installation = installation
        self.vendors: list[SeededVendor] = []
        self._count = vendors
        self._rate = rate
        [self._cloud_api_port] = free_ports(1)
        self.network = Network(installation.folder, self._cloud_api_port, shape)

    def __enter__(self) -> Self:
        self.network.__enter__()
        try:
            self._start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self.installation.stop()
        finally:
            self.network.__exit__(*error)

    def _start(self) -> None:
        installation = self.installation
        installation.start_redis()
        installation.start_backend()
        for _ in range(self._count):
            self.vendors += installation.seed_vendors(messages_per_second=self._rate)
        installation.start_sidecar()
        numbers = [
            argument
            for vendor in self.vendors
            for argument in ("--phone-number-id", *vendor.phone_number_ids)
        ]
        installation.start_cloud_api(
            *("--port", str(self._cloud_api_port), "--rate", str(self._rate)), *numbers, *_QUICK
        )
        for vendor in self.vendors:
            [number] = vendor.phone_number_ids
            where = {"url": installation.webhook_url(vendor.uid), "phone_number_id": number}
            control.order(self.cloud_api, "webhook-url", where)
        installation.configure(cloud_api_url=self.network.url)
        for queues in WORKERS:
            self._start_worker(*queues)

    def _start_worker(self, *queues: str) -> None:
        name, command = "-".join(("worker", *queues)), self.network.command("workers", *queues)
        environment = self.installation.environment | self.network.environment
        log = self.installation.folder / f"{name}.log"
        self.installation.add(Process(name, command, log, environment=environment))

    @property
    def cloud_api(self) -> Process:
        return self.installation.processes["cloud-api"]

    def send(self, vendor_uid: str, messages: int) -> SeededCampaign:
        """Add a campaign, and start it as the PHP admin does."""
        campaign = self.installation.seed_campaign(vendor_uid, messages, paused=True)
        key = next(iter(self.installation.keys.items()))
        path = api.CAMPAIGN_SEND.format(campaign_uid=campaign.uid)
        control.call_sidecar(self.installation.processes["sidecar"], path, key)
        return campaign

    def begin_outage(self, order: dict[str, Any]) -> None:
        control.order(self.cloud_api, "outages", order)
