"""Customers who write, and what answers them: bots and an AI. Every part is a real process."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from contracts.bots import TriggerType
from contracts.effects import AiProvider
from simulator.backend.seed import SeededVendor
from simulator.backend.seed_bots import SeedBot
from simulator.control import lines, order
from simulator.installation import Installation
from simulator.processes import Process

PHONE_NUMBER_ID = "106540352242922"
#: What a bot answers, and what only the AI does.
KEYWORD, OTHER = "price", "something that no bot knows"
#: The vendor's other bots, whose triggers nobody writes.
BOTS = 200


class Conversation:
    """``ai_latency_s``: how long the AI takes for an answer; None: there is none. ``effects`` are
    further settings of the vendor (:func:`simulator.backend.seed_bots.seed_effects`)."""

    def __init__(
        self,
        installation: Installation,
        *,
        rate: float = 80.0,
        ai_latency_s: float | None = None,
        **effects: Any,
    ) -> None:
        self.installation = installation
        self.rate = rate
        self.ai_latency_s = ai_latency_s
        self.effects = effects
        self.vendor: SeededVendor
        self.ai: Process | None = None

    def start(
        self,
        workers: Sequence[Sequence[str]] = (("messages", "effects"),),
        cloud_api_options: Sequence[str] = (),
    ) -> None:
        """Start all parts."""
        installation = self.installation
        # The simulated AI is on this machine.
        installation.configure(outbound_allow="127.0.0.0/8", ai_concurrency=500)
        installation.start_redis()
        installation.start_backend()
        [self.vendor] = installation.seed_vendors(
            phone_number_ids=[PHONE_NUMBER_ID], messages_per_second=self.rate
        )
        installation.seed_bots(
            self.vendor.uid,
            [
                SeedBot(TriggerType.CONTAINS, KEYWORD, "It costs 10 EUR."),
                *(SeedBot(TriggerType.IS, f"word {n}, other {n}", "?") for n in range(BOTS)),
            ],
        )
        provider = None
        if self.ai_latency_s is not None:
            self.ai = installation.start_ai(self.ai_latency_s)
            provider = AiProvider(name="ai", url=f"{self.ai.url}/v1", api_key="k", model="m")
        installation.seed_effects(self.vendor.uid, ai=provider, **self.effects)
        installation.start_sidecar()
        installation.start_cloud_api(
            *("--phone-number-id", PHONE_NUMBER_ID, "--rate", str(self.rate)),
            *("--webhook-url", installation.webhook_url(self.vendor.uid)),
            *cloud_api_options,
        )
        for queues in workers:
            installation.start_worker(*queues)

    @property
    def cloud_api(self) -> Process:
        return self.installation.processes["cloud-api"]

    def write(self, sender: str, text: str) -> None:
        """Have a customer write."""
        order(self.cloud_api, "inbound", {"from": sender, "text": text, "type": "text"})

    def write_media(self, kind: str, size: int) -> None:
        """Have a customer send media of so many bytes."""
        order(self.cloud_api, "inbound", {"type": kind, "media_bytes": size})

    def written(self) -> dict[str, int]:
        """Return when each customer has written last, unix ms."""
        return {line["from"]: line["created_at"] for line in lines(self.cloud_api, "inbound")}

    def answered(self) -> dict[str, list[int]]:
        """Return when messages to each customer were accepted, unix ms."""
        found: dict[str, list[int]] = {}
        for line in lines(self.cloud_api, "messages"):
            found.setdefault(line["to"].lstrip("+"), []).append(line["accepted_at"])
        return found

    def latencies_ms(self, senders: Sequence[str]) -> list[int]:
        """Return how long each of these customers has waited for the first answer."""
        written, answered = self.written(), self.answered()
        return [answered[sender][0] - written[sender] for sender in senders if sender in answered]

    def wait(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until something is so; return whether it is."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            if condition():
                return True
            time.sleep(0.1)
        return condition()
