"""The main job, end to end, with every part a real process on this machine.

A campaign is started by the signed call that the PHP admin would make, while customers write. At
the end the backend's tables are compared with what the Cloud API counted.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import redis

from contracts import sidecar_api as api
from simulator.backend.seed import SeededCampaign, SeededVendor
from simulator.cloud_api.throughput import Throughput
from simulator.comparison import Comparison, compare, statuses_applied
from simulator.control import call_sidecar, lines, order, read
from simulator.installation import Installation
from simulator.processes import Process, ProcessFailed

PHONE_NUMBER_ID = "106540352242922"
#: The demo gives up when nothing has changed for so long.
STALLED_S = 60.0
WORKERS = (("messages",), ("statuses",), ("campaigns", "effects"))


class Demo:
    """Campaigns of ``messages`` each, one after the other, at a limit of ``rate`` per second, of a
    marketing template that goes as ``marketing_messages`` of the vendor says."""

    def __init__(
        self,
        installation: Installation,
        *,
        messages: int,
        rate: float,
        cloud_api_options: Sequence[str] = (),
        marketing_messages: str = "off",
    ) -> None:
        self.installation = installation
        self.messages = messages
        self.rate = rate
        self.cloud_api_options = cloud_api_options
        self.marketing_messages = marketing_messages
        self.vendor: SeededVendor
        self.campaigns: list[SeededCampaign] = []
        #: What there was before the last campaign: messages that the Cloud API had accepted, and
        #: rows of the log.
        self.earlier_messages = self._earlier_statuses = self._earlier_replies = 0
        self.memory: list[tuple[float, dict[str, int]]] = []

    def start(self) -> None:
        """Start all parts."""
        installation = self.installation
        installation.start_redis()
        installation.start_backend()
        [self.vendor] = installation.seed_vendors(
            phone_number_ids=[PHONE_NUMBER_ID],
            messages_per_second=self.rate,
            marketing_messages=self.marketing_messages,
        )
        self.prepare()
        installation.start_sidecar()
        installation.start_cloud_api(
            *("--phone-number-id", PHONE_NUMBER_ID, "--rate", str(self.rate)),
            *("--webhook-url", installation.webhook_url(self.vendor.uid)),
            *self.cloud_api_options,
        )
        for queues in WORKERS:
            installation.start_worker(*queues)

    def prepare(self) -> None:
        """Do what is to be done when there is a vendor and no sidecar yet."""

    @property
    def campaign(self) -> SeededCampaign:
        """The last one that was started."""
        return self.campaigns[-1]

    @property
    def cloud_api(self) -> Process:
        return self.installation.processes["cloud-api"]

    def start_campaign(self, replies: int) -> dict[str, Any]:
        """Add a campaign and start it as the PHP admin would, and have customers write so many
        messages while it is sent. Return what the sidecar says of the campaign."""
        found = self.installation.tables.counts()
        self.earlier_messages = read(self.cloud_api, "report")["accepted"]
        self._earlier_statuses = statuses_applied(found.outgoing)
        self._earlier_replies = found.incoming
        campaign = self.installation.seed_campaign(self.vendor.uid, self.messages, paused=True)
        self.campaigns.append(campaign)
        if replies:
            per_s = replies / (self.messages / self.rate)
            order(self.cloud_api, "inbound", {"count": replies, "per_s": per_s})
        path = api.CAMPAIGN_SEND.format(campaign_uid=self.campaign.uid)
        key = next(iter(self.installation.keys.items()))
        return call_sidecar(self.installation.processes["sidecar"], path, key)

    def watch(self) -> Iterator[str]:
        """Yield a line of progress twice a second, until everything has arrived or nothing
        moves."""
        started = changed_at = time.monotonic()
        last = ""
        with closing(redis.Redis.from_url(self.installation.redis_url)) as client:
            while True:
                time.sleep(0.5)
                line, everything = self._progress(client)
                self._sample_memory(time.monotonic() - started)
                yield f"{time.monotonic() - started:6.1f} s   {line}"
                self._refuse_dead_processes()
                if everything:
                    return
                if line != last:
                    last, changed_at = line, time.monotonic()
                elif time.monotonic() - changed_at > STALLED_S:
                    return

    def _progress(self, client: "redis.Redis") -> tuple[str, bool]:
        """Return where everything stands, in words, and whether it has all arrived."""
        report = read(self.cloud_api, "report")
        found = self.installation.tables.counts()
        applied = statuses_applied(found.outgoing)
        counters = client.hmget(f"count:{self.vendor.uid}", "webhooks_received", "webhooks_done")
        received, done = (int(counter or 0) for counter in counters)
        line = (
            f"sent {report['accepted'] - self.earlier_messages:>6} of {self.messages}   "
            f"statuses applied {applied - self._earlier_statuses:>6}   "
            f"customers' messages {found.incoming - self._earlier_replies:>5}   "
            f"inbox {received - done:>5}"
        )
        everything = (
            report["idle"]
            and received == done
            and not found.queue
            and applied == sum(report["statuses"].values())
            and found.incoming == report["inbound"]["created"]
        )
        return line, everything

    def compare(self) -> Comparison:
        """Compare what arrived where of the last campaign, and of the customers' messages since it
        was started."""
        return compare(
            self.installation.tables,
            self.messages,
            self._sent(),
            lines(self.cloud_api, "inbound")[self._earlier_replies :],
        )

    def throughput(self) -> dict[str, float | None]:
        """Return how fast the Cloud API accepted the last campaign's messages; ``throttled``
        counts those of all campaigns that it refused because they came too fast."""
        throughput = Throughput()
        for accepted_at in sorted(message["accepted_at"] for message in self._sent()):
            throughput.record(accepted_at / 1000)
        number = read(self.cloud_api, "report")["numbers"][PHONE_NUMBER_ID]
        return {
            "average_per_s": throughput.average_per_s(),
            "worst_second": throughput.worst_second,
            "throttled": number["throttled"],
        }

    def by_marketing_messages_api(self) -> int:
        """Return how many of the last campaign's messages went by the Marketing Messages API."""
        return sum(message["lite"] for message in self._sent())

    def _sent(self) -> list[dict[str, Any]]:
        """Return what the Cloud API has accepted, without earlier campaigns' messages."""
        earlier = {uid for campaign in self.campaigns[:-1] for uid in campaign.row_uids}
        return [m for m in lines(self.cloud_api, "messages") if m["callback_data"] not in earlier]

    def memory_mb(self) -> dict[str, dict[str, float]]:
        """Return each process's memory after a fifth of the time and at the end."""
        if not self.memory:
            return {}
        end_s = self.memory[-1][0]
        early = next(sample for at, sample in self.memory if at >= end_s / 5)
        late = self.memory[-1][1]
        return {
            name: {"early": round(early[name] / 1e6, 1), "end": round(late[name] / 1e6, 1)}
            for name in late
        }

    def _sample_memory(self, at: float) -> None:
        processes = self.installation.processes
        names = [name for name in processes if name == "sidecar" or name.startswith("worker")]
        self.memory.append((at, {name: processes[name].memory_bytes() for name in names}))

    def _refuse_dead_processes(self) -> None:
        for name, process in self.installation.processes.items():
            if not process.running:
                raise ProcessFailed(f"{name} has ended:\n{process.last_words()}")
