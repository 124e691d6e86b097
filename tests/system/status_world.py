"""One embedded installation in which everything can be made to go wrong, and what ``sidecar
status`` says of it."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import orjson
import structlog
from click.testing import CliRunner, Result

from contracts.effects import AiProvider, ForwardTarget
from sidecar import logs
from sidecar.commands.main import main
from simulator.backend.seed import SeededCampaign, SeededVendor
from simulator.chaos.clocks import Clocks
from simulator.control import lines, order
from simulator.embedded import EmbeddedInstallation
from simulator.processes import Process
from simulator.redis_server import RedisServer

#: Rows per second of each vendor's campaign, and how many: it lasts for as long as the test.
RATE, MESSAGES = 3.0, 600
SETTINGS: dict[str, Any] = {
    "lease_ttl_ms": 1500,
    "reconcile_interval_s": 0.2,
    "due_campaigns_interval_s": 0.5,
    "backend_timeout_s": 2,
    "send_timeout_s": 4,
    "update_retry_first_ms": 200,
    "update_retry_longest_ms": 1000,
    "forward_timeout_s": 1,
    "ai_timeout_s": 1,
    "ai_max_attempts": 20,
    "media_timeout_s": 1.5,
    "media_max_attempts": 20,
    "media_free_disk_bytes": 0,
    "result_wait_ms": 100,
    "suppress_s": 0,
    "outbound_allow": "127.0.0.0/8",
}
_CLIENT = httpx.Client(timeout=10.0, trust_env=False)


@dataclass(frozen=True, slots=True)
class Victim:
    """A vendor to whom one thing happens. With ``customers``, people write to it."""

    vendor: SeededVendor
    campaign: SeededCampaign | None

    @property
    def number(self) -> str:
        return self.vendor.phone_number_ids[0]

    @property
    def names(self) -> tuple[str, ...]:
        """What a problem that is about it may be called by."""
        campaign = () if self.campaign is None else (self.campaign.uid,)
        return (self.number, self.vendor.uid, *campaign)


@dataclass(frozen=True, slots=True)
class Said:
    """What ``sidecar status --json`` has said, and its exit code."""

    exit_code: int
    report: dict[str, Any]

    @property
    def codes(self) -> list[str]:
        return [problem["code"] for problem in self.report["problems"]]

    def problems(self, code: str) -> list[dict[str, str]]:
        return [problem for problem in self.report["problems"] if problem["code"] == code]

    def __str__(self) -> str:
        told = [f"[{one['code']}] {one['what']}" for one in self.report["problems"]]
        return f"exit code {self.exit_code}\n" + "\n".join(told)


class World:
    """``victims`` are by the names of what happens to them."""

    WORKERS: tuple[str, ...] = ("worker-1", "worker-2")

    def __init__(self, folder: Path) -> None:
        self.installation = EmbeddedInstallation(folder)
        self.installation.configure(**SETTINGS)
        self.installation.share_media()
        self.victims: dict[str, Victim] = {}
        self.clocks = Clocks(folder)

    # -- its parts --

    def start(self, of_campaigns: list[str], of_customers: list[str]) -> None:
        """Start everything, with a vendor for each of these names. Each of the first has a campaign
        that is sent; to each of the others customers write."""
        installation = self.installation
        installation.start_redis()
        wakeups = installation.add(
            RedisServer(installation.folder / "dramatiq", name="dramatiq-redis")
        )
        installation.configure(dramatiq_redis_url=wakeups.url)
        installation.start_backend()
        names = [*of_campaigns, *of_customers]
        vendors = installation.seed_vendors(vendors=len(names), messages_per_second=RATE)
        for name, vendor in zip(names, vendors, strict=True):
            campaign = None
            if name in of_campaigns:
                campaign = installation.seed_campaign(vendor.uid, MESSAGES)
            self.victims[name] = Victim(vendor, campaign)
        self._seed_effects(of_customers)
        installation.start_sidecar()
        self._start_cloud_api(of_customers)
        for name in self.WORKERS:
            command = self.clocks.python(name, "workers")
            log = installation.folder / f"{name}.log"
            installation.add(Process(name, command, log, environment=installation.environment))

    def _seed_effects(self, names: list[str]) -> None:
        webhook, ai = self.installation.start_vendor_webhook(), self.installation.start_ai(0.0)
        provider = AiProvider(name="ai", url=f"{ai.url}/v1", api_key="k", model="m")
        for name in names:
            self.installation.seed_effects(
                self.victims[name].vendor.uid,
                forward=ForwardTarget(url=f"{webhook.url}/hook"),
                ai=provider,
            )

    def _start_cloud_api(self, of_customers: list[str]) -> None:
        installation = self.installation
        hooks = {
            self.victims[name].number: installation.webhook_url(self.victims[name].vendor.uid)
            for name in of_customers
        }
        numbers = [
            {
                "phone_number_id": one.number,
                "account_id": one.vendor.business_account_id,
                "webhook_url": hooks.get(one.number),
            }
            for one in self.victims.values()
        ]
        file = installation.folder / "cloud-api.json"
        file.write_bytes(orjson.dumps({"phone_numbers": numbers, "delivered_share": 0}))
        installation.start_cloud_api("--config", str(file))

    def stop(self) -> None:
        self.installation.stop()

    # -- what happens --

    def order(self, part: str, what: str, **fields: Any) -> None:
        """Have a simulator do something."""
        order(self.installation.processes[part], what, fields)

    def undo(self, part: str, what: str) -> None:
        """Have a simulator do something no more."""
        url = f"{self.installation.processes[part].url}/_simulator/{what}"
        _CLIENT.delete(url).raise_for_status()

    def write(self, name: str, text: str, count: int = 1) -> None:
        """Have customers write to a victim."""
        fields: dict[str, Any] = {"type": "text", "text": text, "count": count}
        self.order("cloud-api", "inbound", phone_number_id=self.victims[name].number, **fields)

    def send_picture(self, name: str) -> str:
        """Have a customer send a victim a picture. Return the id of the medium."""
        known = {media["id"] for media in self._media()}
        fields = {"type": "image", "media_bytes": 5000}
        self.order("cloud-api", "inbound", phone_number_id=self.victims[name].number, **fields)
        [new] = {media["id"] for media in self._media()} - known
        return str(new)

    def _media(self) -> list[dict[str, Any]]:
        return lines(self.installation.processes["cloud-api"], "media")

    # -- what is said of it --

    def run(self, *arguments: str, **settings: str) -> Result:
        """Run a command of ``sidecar``."""
        environment = self.installation.environment | settings
        return self.invoke(list(arguments), environment)

    @staticmethod
    def invoke(arguments: list[str], environment: dict[str, str], typed: str = "") -> Result:
        """Run a command in this process, whose logging it does not set up: that would be for good,
        and later tests would find no logs."""
        errors = structlog.make_filtering_bound_logger(logging.CRITICAL)
        structlog.configure(wrapper_class=errors)
        try:
            with patch.object(logs, "configure"):
                return CliRunner().invoke(main, arguments, env=environment, input=typed)
        finally:
            structlog.reset_defaults()

    def status(self, **settings: str) -> Said:
        done = self.run("status", "--json", **settings)
        assert done.exit_code in (0, 1), done.stderr
        return Said(done.exit_code, orjson.loads(done.stdout))
