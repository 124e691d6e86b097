"""What the stack has to do in a round: campaigns of a few vendors, and customers who write and are
answered by a bot."""

from dataclasses import dataclass
from random import Random
from typing import Any

from contracts import sidecar_api as api
from contracts.bots import TriggerType
from contracts.effects import ForwardTarget
from simulator.backend.seed import SeededCampaign, SeededVendor
from simulator.backend.seed_bots import SeedBot
from simulator.chaos.stage import Stage
from simulator.cloud_api.odd.catalogue import kinds
from simulator.stack.engines import BEYOND_THE_ROUTINE

#: How long customers write, in seconds.
CUSTOMERS_S = 3.0
#: Odd payloads, as a share of the customers' messages.
ODD_SHARE = (0.5, 1.0)
#: Vendors on the Marketing Messages API, with a fallback, as a share of all.
MARKETING_SHARE = 0.3

#: One that answers everything, and one that says nothing.
_BOTS = [
    SeedBot(TriggerType.IS, "*", "Thank you!"),
    SeedBot(TriggerType.STOP_PROMOTIONAL, "stop"),
]

#: How the Cloud API of a round behaves, faults aside. Webhooks that are not answered 200 come again
#: soon, so that a round does not wait for them.
_CLOUD_API: dict[str, Any] = {
    "burst_s": 0.2,
    "error_shares": {"131026": 0.02, "130472": 0.01},
    "failed_shares": {"131026": 0.02, "131049": 0.02},
    "held_share": 0.01,
    "held_delay_ms": (100, 500),
    "delivered_share": 0.95,
    "read_share": 0.9,
    "delivered_omitted_share": 0.05,
    "sent_delay_ms": (20, 200),
    "delivered_delay_ms": (20, 400),
    "read_delay_ms": (20, 400),
    "failed_delay_ms": (20, 400),
    "duplicate_share": 0.1,
    "duplicate_delay_ms": (20, 600),
    "reorder_share": 0.1,
    "early_share": 0.05,
    "inbound_customers": 60,
    "hidden_share": 0.15,
    "templates": [{"name": "spring_offer", "language": "en", "body_parameters": 2}],
    "only_listed_templates": True,
    "webhook_connections": 16,
    "webhook_timeout_ms": 6000,
    "retry_first_ms": 100,
    "retry_factor": 1.5,
    "retry_max_ms": 500,
    "retry_age_s": 300,
}


@dataclass(frozen=True, slots=True)
class PlannedCampaign:
    """``vendor`` is the vendor's place among the load's. One that is ``called`` is started by the
    PHP admin's call; others are found because their rows are due."""

    vendor: int
    messages: int
    called: bool


@dataclass(frozen=True, slots=True)
class Load:
    """``rates`` are the vendors' messages per second, and ``marketing`` tells which of them send
    marketing templates by their own endpoint, because the other one takes none of them;
    ``customers_per_s`` write to each for ``customers_s``, and ``odd_per_s`` are the odd payloads
    among their messages."""

    rates: tuple[float, ...]
    marketing: tuple[bool, ...]
    campaigns: tuple[PlannedCampaign, ...]
    customers_per_s: float
    odd_per_s: float
    customers_s: float = CUSTOMERS_S


def draw_load(seed: int) -> Load:
    """Draw a load that takes two to three seconds where nothing goes wrong."""
    rng = Random(f"load {seed}")
    rates = tuple(float(rng.randint(30, 60)) for _ in range(rng.randint(2, 3)))
    campaigns = []
    for vendor, rate in enumerate(rates):
        parts = rng.choice((1, 1, 2))
        for _ in range(parts):
            messages = int(rate * rng.uniform(1.8, 2.8) / parts)
            campaigns.append(PlannedCampaign(vendor, messages, rng.random() < 0.5))
    customers_per_s = rng.uniform(3, 8)
    odd_per_s = customers_per_s * rng.uniform(*ODD_SHARE)
    marketing = tuple(rng.random() < MARKETING_SHARE for _ in rates)
    return Load(rates, marketing, tuple(campaigns), customers_per_s, odd_per_s)


class Work:
    """A load that was put on the stage: its vendors, and its campaigns in the load's order."""

    def __init__(self, stage: Stage, load: Load, seed: int) -> None:
        self._stage = stage
        self._load = load
        self._seed = seed
        self.vendors: list[SeededVendor] = []
        self.campaigns: list[SeededCampaign] = []

    @property
    def rates(self) -> tuple[float, ...]:
        """The vendors' messages per second at the start."""
        return self._load.rates

    @property
    def vendor_uids(self) -> list[str]:
        return [vendor.uid for vendor in self.vendors]

    @property
    def row_uids(self) -> list[str]:
        """All rows of all campaigns."""
        return [uid for campaign in self.campaigns for uid in campaign.row_uids]

    def begin(self) -> None:
        """Add the vendors and their campaigns, start those, and have the customers write."""
        installation = self._stage.installation
        own_webhook = ForwardTarget(url=f"{self._stage.vendor_webhook.url}/hook")
        for rate, marketing in zip(self._load.rates, self._load.marketing, strict=True):
            [vendor] = installation.seed_vendors(
                messages_per_second=rate, marketing_messages="fallback" if marketing else "off"
            )
            installation.seed_bots(vendor.uid, _BOTS)
            installation.seed_effects(vendor.uid, forward=own_webhook, bots_on_sidecar=False)
            self.vendors.append(vendor)
        self._stage.new_cloud_api(self._cloud_api())
        for planned in self._load.campaigns:
            vendor = self.vendors[planned.vendor]
            campaign = installation.seed_campaign(
                vendor.uid, planned.messages, paused=planned.called
            )
            self.campaigns.append(campaign)
            if planned.called:
                self._stage.call(api.CAMPAIGN_SEND, campaign.uid)
        per_s = self._load.customers_per_s
        for vendor in self.vendors:
            for number in vendor.phone_number_ids:
                order = {"phone_number_id": number, "count": int(per_s * self._load.customers_s)}
                self._stage.order("inbound", {**order, "per_s": per_s})
                self._order_odd(number)

    def _order_odd(self, number: str) -> None:
        """Have payloads come that each stand for themselves: those of several steps count on what
        was done between them."""
        per_s = self._load.odd_per_s
        beyond = BEYOND_THE_ROUTINE if self._stage.host_routine else frozenset()
        names = [
            kind.name
            for kind in kinds().values()
            if kind.random and len(kind.posts) == 1 and kind.name not in beyond
        ]
        drawn = Random(f"odd {self._seed} {number}").choices(
            names, k=max(1, int(per_s * self._load.customers_s))
        )
        self._stage.order("odd", {"phone_number_id": number, "kinds": drawn, "per_s": per_s})

    def _cloud_api(self) -> dict[str, Any]:
        installation = self._stage.installation
        numbers = [
            {
                "phone_number_id": number,
                "account_id": vendor.business_account_id,
                "messages_per_s": rate,
                "webhook_url": installation.webhook_url(vendor.uid),
            }
            for vendor, rate in zip(self.vendors, self._load.rates, strict=True)
            for number in vendor.phone_number_ids
        ]
        accounts = [
            {
                "account_id": vendor.business_account_id,
                "disable_marketing_messages_on_cloud_api": marketing,
            }
            for vendor, marketing in zip(self.vendors, self._load.marketing, strict=True)
        ]
        return {**_CLOUD_API, "seed": self._seed, "accounts": accounts, "phone_numbers": numbers}
