"""The main job among odd payloads: people without a number, half emojis, old chats, and whatever
else Meta sends. At the vendor are a bot, an AI, and a webhook of its own."""

import os
import subprocess
from typing import Any

import orjson
import redis

from contracts.bots import TriggerType
from contracts.effects import AiProvider, ForwardTarget
from simulator.backend.seed_bots import SeedBot
from simulator.comparison import Comparison, compare
from simulator.control import lines, order, read
from simulator.demo import Demo
from simulator.installation import Installation
from simulator.odd_evidence import collect_odd
from simulator.odd_outcome import OddOutcome
from simulator.processes import Process, ProcessFailed, python

PRICE = "It costs 10 EUR."
#: How often each kind of payload comes.
TIMES = 3
_AI_LATENCY_S = 0.2

#: Only this template exists, some customers hide their number, and what they write is not for the
#: bots that the odd payloads are for.
_CLOUD_API: dict[str, Any] = {
    "templates": [{"name": "spring_offer", "language": "en", "body_parameters": 2}],
    "only_listed_templates": True,
    "hidden_share": 0.1,
}


class OddDemo(Demo):
    """One campaign, and meanwhile every kind of odd payload ``times`` times."""

    def __init__(
        self,
        installation: Installation,
        *,
        messages: int,
        rate: float,
        marketing_messages: str = "off",
        times: int = TIMES,
    ) -> None:
        super().__init__(
            installation, messages=messages, rate=rate, marketing_messages=marketing_messages
        )
        self.times = times
        self.webhook: Process

    def prepare(self) -> None:
        installation = self.installation
        # The AI and the vendor's webhook are on this machine.
        installation.configure(outbound_allow="127.0.0.0/8")
        installation.seed_bots(
            self.vendor.uid,
            [
                SeedBot(TriggerType.CONTAINS, "price", PRICE),
                SeedBot(TriggerType.STOP_PROMOTIONAL, "stop", "You will get no more offers."),
            ],
        )
        ai = installation.start_ai(_AI_LATENCY_S)
        self.webhook = installation.start_vendor_webhook()
        installation.seed_effects(
            self.vendor.uid,
            ai=AiProvider(name="ai", url=f"{ai.url}/v1", api_key="k", model="m"),
            forward=ForwardTarget(url=f"{self.webhook.url}/hook"),
        )
        config = installation.folder / "cloud-api.json"
        config.write_bytes(orjson.dumps(_CLOUD_API))
        account = self.vendor.business_account_id
        self.cloud_api_options = ("--config", str(config), "--account-id", account)

    def start_campaign(self, replies: int) -> dict[str, Any]:
        state = super().start_campaign(replies)
        kinds = [one["kind"] for one in self._kinds() if one["random"]]
        seconds = self.messages / self.rate
        per_s = len(kinds) * self.times / seconds
        order(self.cloud_api, "odd", {"kinds": kinds, "times": self.times, "per_s": per_s})
        return state

    def _kinds(self) -> list[dict[str, Any]]:
        found: Any = read(self.cloud_api, "odd/kinds")
        return list(found)

    def _progress(self, client: "redis.Redis") -> tuple[str, bool]:
        report = read(self.cloud_api, "report")
        found = self.installation.tables.counts()
        uses = lines(self.cloud_api, "odd")
        done = sum(one["acknowledged"] == len(one["bodies"]) for one in uses)
        line = (
            f"accepted {report['accepted']:>6}   queue {sum(found.queue.values()):>6}   "
            f"customers' messages {found.incoming:>5}   odd payloads {done:>4} of {len(uses)}"
        )
        rests = report["idle"] and not found.queue and done == len(uses)
        return line, bool(rests and not self._waiting())

    def _waiting(self) -> int:
        """Return how much ``sidecar status`` says is still to be done."""
        command = [*python("sidecar.commands.main"), "status", "--json"]
        environment = {**os.environ, **self.installation.environment}
        shown = subprocess.run(command, env=environment, capture_output=True, check=False)
        if shown.returncode not in (0, 1):
            raise ProcessFailed(f"sidecar status failed:\n{shown.stderr.decode(errors='replace')}")
        vendors = orjson.loads(shown.stdout)["accounting"]["vendors"].values()
        return sum(
            count
            for vendor in vendors
            for part in ("webhooks", "updates", "effects")
            for name, count in vendor[part].items()
            if name.startswith("waiting")
        )

    def compare(self) -> Comparison:
        """Compare the campaign and the ordinary messages alone."""
        return compare(
            self.installation.tables,
            self.messages,
            [one for one in self._sent() if one["type"] == "template"],
            lines(self.cloud_api, "inbound"),
        )

    def outcome(self) -> OddOutcome:
        with redis.Redis.from_url(self.installation.redis_url) as client:
            tables, uids = self.installation.tables, [self.vendor.uid]
            return OddOutcome(collect_odd(tables, uids, client, self.cloud_api, self.webhook))
