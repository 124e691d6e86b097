"""Ten vendors' ordinary day, in waves: campaigns that fall due, statuses, customers who write."""

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import orjson

from contracts.backend import QueueStatus
from simulator.backend.seed import SeededCampaign, SeededVendor
from simulator.control import lines, order, read
from simulator.processes import Process
from simulator.stack.installation import StackInstallation

#: Every message ends as read, and every webhook holds one update: of others, the reference
#: application's own routine takes the first and loses the rest, as real ones do.
_CLOUD_API: dict[str, Any] = {
    # The cron sends 50 side by side; what is refused for that, it would try again a minute later.
    "burst_s": 1,
    "batch_sizes": {1: 1},
    "duplicate_share": 0.02,
    "duplicate_delay_ms": (20, 400),
    "reorder_share": 0,
    "delivered_share": 1,
    "read_share": 1,
    "sent_delay_ms": (100, 300),
    "delivered_delay_ms": (100, 300),
    "read_delay_ms": (100, 300),
    "inbound_types": {"text": 1},
    "inbound_customers": 200,
    "retry_first_ms": 200,
    "retry_max_ms": 1000,
    "webhook_timeout_ms": 6000,
}


NOT_READ = "messages not read"

#: How long the sidecar takes for a vendor's campaign, so that commands meet it under way.
CAMPAIGN_S = 2.0
#: How many times as many messages a campaign has, and takes as long, that must not be over when it
#: is paused or given back; and the first of those who get nothing of the waves.
LONGER = 10
OTHERS = 100_000
#: How long customers write.
CUSTOMERS_S = 1.5
#: What PHP's own routine may leave lower of a hundred messages: it reads a row and writes it
#: without a lock. A status that comes twice, to either side while modes change, may come last.
LOWERED_OF_A_HUNDRED = 1


@dataclass(frozen=True, slots=True)
class Count:
    """Of all waves so far. ``by_sidecar``: messages that carry the sidecar's callback data; the
    crons' carry none. ``lost`` and ``twice`` name what is missing and what is there more than
    once."""

    messages: int
    by_sidecar: int
    customers: int
    lost: tuple[str, ...]
    twice: tuple[str, ...]


def lowered_by_php(unfinished: dict[str, Any], before: int, messages: int) -> int:
    """Return how many of the unfinished messages PHP's own routine may have left lower, where it
    has done so to some before: none if anything else is unfinished, or if they are many."""
    not_read = unfinished.get(NOT_READ, {})
    if unfinished.keys() - {NOT_READ} or not_read.keys() - {"delivered"}:
        return 0
    found = int(not_read.get("delivered", 0))
    return found if before + found <= math.ceil(messages * LOWERED_OF_A_HUNDRED / 100) else 0


class Load:
    """``messages`` of each vendor's campaign in a wave, and ``customers`` who write to it."""

    def __init__(
        self, installation: StackInstallation, *, vendors: int, messages: int, customers: int
    ) -> None:
        self._installation = installation
        self._messages = messages
        self._customers = customers
        self._waves = 0
        self._wanted: Counter[str] = Counter()
        self._paused: SeededCampaign | None = None
        #: Messages that PHP's own routine has left at a status below their highest.
        self.lowered = 0
        self.vendors: list[SeededVendor] = installation.seed_vendors(
            vendors=vendors, messages_per_second=max(0.5, messages / CAMPAIGN_S)
        )

    def start_cloud_api(self) -> None:
        """Start the Cloud API with the vendors' numbers; its webhooks go to nginx."""
        installation = self._installation
        numbers = [
            {
                "phone_number_id": number,
                "account_id": vendor.business_account_id,
                "webhook_url": installation.webhook_url(vendor.uid),
            }
            for vendor in self.vendors
            for number in vendor.phone_number_ids
        ]
        file = installation.folder / "cloud-api.json"
        config = {**_CLOUD_API, "phone_numbers": numbers}
        file.write_bytes(orjson.dumps(config, option=orjson.OPT_NON_STR_KEYS))
        installation.start_cloud_api("--config", str(file))

    @property
    def cloud_api(self) -> Process:
        return self._installation.processes["cloud-api"]

    def wave(self) -> int:
        """Begin another wave: a campaign of each vendor, due now, to people who have had nothing
        yet, and customers who write meanwhile. Returns how many messages it is."""
        for vendor in self.vendors:
            campaign = self._installation.seed_campaign(
                vendor.uid, self._messages, first_contact=self._waves * self._messages
            )
            self._wanted.update(f"{vendor.uid} {to}" for to in campaign.recipients)
            for number in vendor.phone_number_ids:
                per_s = max(0.1, self._customers / CUSTOMERS_S)
                asked = {"phone_number_id": number, "count": self._customers, "per_s": per_s}
                order(self.cloud_api, "inbound", asked)
        self._waves += 1
        return len(self.vendors) * self._messages

    def hold_webhooks(self) -> None:
        """Have Meta tell nothing for a while, not even what has become of messages."""
        order(self.cloud_api, "pause-webhooks", {})

    def release_webhooks(self) -> None:
        order(self.cloud_api, "resume-webhooks", {})

    def long_campaign(self, vendor: SeededVendor) -> SeededCampaign:
        """Begin a campaign of a vendor that takes long, to people who get nothing else."""
        messages = LONGER * self._messages
        campaign = self._installation.seed_campaign(vendor.uid, messages, first_contact=OTHERS)
        self._wanted.update(f"{vendor.uid} {to}" for to in campaign.recipients)
        return campaign

    def sent_of(self, campaign: SeededCampaign) -> tuple[int, int]:
        """Return how many messages of a campaign the sidecar and the crons have sent."""
        recipients = set(campaign.recipients)
        sent = [
            bool(one["callback_data"])
            for one in lines(self.cloud_api, "messages")
            if one["to"].lstrip("+") in recipients
        ]
        return sum(sent), len(sent) - sum(sent)

    def paused(self, campaign: SeededCampaign) -> None:
        """Have what is left of it wanted by nobody: somebody has paused that campaign."""
        self._paused = campaign

    def kept_back(self) -> Counter[str]:
        """Return who gets nothing as long as that campaign is paused."""
        if self._paused is None:
            return Counter()
        vendor_uid = self._paused.vendor_uid
        queued = set(self._installation.tables.queued_uids(vendor_uid))
        rows = zip(self._paused.row_uids, self._paused.recipients, strict=True)
        return Counter(f"{vendor_uid} {to}" for uid, to in rows if uid in queued)

    def resumed(self) -> None:
        """Have all of it wanted: somebody has resumed that campaign."""
        self._paused = None

    def forgive_lowered(self) -> None:
        """Expect no more of messages that PHP's own routine has left lower."""
        self.lowered += lowered_by_php(self.unfinished(), self.lowered, self._wanted.total())

    def unfinished(self) -> dict[str, Any]:
        """Return what has not come to its end yet, by name; nothing when all has."""
        report = read(self.cloud_api, "report")
        found = self._installation.tables.counts()
        accepted, created = report["accepted"], report["inbound"]["created"]
        kept = self.kept_back().total()
        not_read = {k: n for k, n in found.outgoing.items() if k != "read"}
        waits = {
            "webhooks of the Cloud API": 0 if report["idle"] else 1,
            "rows of the queue": dict(Counter(found.queue) - Counter({QueueStatus.QUEUED: kept})),
            "webhooks in PHP's table": found.pending_webhooks,
            NOT_READ: dict(Counter(not_read) - Counter({"delivered": self.lowered})),
            "messages to be sent": self._wanted.total() - kept - accepted,
            "messages to be logged": accepted - found.sent_messages,
            "customers' messages to be stored": created - found.incoming,
        }
        return {name: what for name, what in waits.items() if what}

    def count(self) -> Count:
        """Compare what the Cloud API has with what the tables say."""
        owners = {number: v.uid for v in self.vendors for number in v.phone_number_ids}
        messages = lines(self.cloud_api, "messages")
        sent = Counter(
            f"{owners[one['phone_number_id']]} {one['to'].lstrip('+')}" for one in messages
        )
        logged = Counter(row.wamid for row in self._installation.tables.outgoing_messages())
        inbound = Counter(line["wamid"] for line in lines(self.cloud_api, "inbound"))
        applied = Counter(self._installation.tables.incoming_wamids())
        wamids = Counter(one["wamid"] for one in messages)
        lost = [*(self._wanted - self.kept_back() - sent), *(wamids - logged), *(inbound - applied)]
        once = [*logged.items(), *applied.items()]
        twice = [*(sent - self._wanted), *(wamid for wamid, times in once if times > 1)]
        return Count(
            messages=len(messages),
            by_sidecar=sum(bool(one["callback_data"]) for one in messages),
            customers=inbound.total(),
            lost=tuple(map(str, lost)),
            twice=tuple(map(str, twice)),
        )
