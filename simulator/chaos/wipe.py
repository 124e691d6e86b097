"""Redis is wiped in the middle of a campaign: no message may be sent twice or forgotten.

Webhooks that were in the inbox are gone with it, so only what was sent is looked at.
"""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from contracts import sidecar_api as api
from contracts.backend import QueueStatus
from simulator.backend.seed import SeededCampaign, SeededVendor
from simulator.backend.seed_bots import SeedBot
from simulator.chaos.evidence import QueueRow, log_rows, queue_rows
from simulator.chaos.stage import WORKERS, Stage
from simulator.processes import ProcessFailed

#: The least that the setting takes. Rows that were being sent stand in 3 for so long.
STALE_CLAIM_S = 30
#: Makes rows in a status as old as PHP waits for.
AGE = """
UPDATE whatsapp_message_queue SET updated_at = updated_at - INTERVAL ? SECOND WHERE status = ?"""
#: When the wipe comes, as shares of the campaign.
_WIPED_AT = (0.2, 0.8)
#: Without any progress for so long, nothing more is to come.
STALLED_S = 60.0
_POLL_S = 0.02
_SLOW_POLL_S = 0.25

_CLOUD_API = {
    "sent_delay_ms": (20, 200),
    "delivered_delay_ms": (20, 400),
    "read_delay_ms": (20, 600),
    "retry_first_ms": 100,
    "retry_factor": 1.5,
    "retry_max_ms": 500,
}


@dataclass(frozen=True, slots=True)
class Remains:
    """What is there in the end. ``accepted`` are the rows' uids, once for each time that the Cloud
    API accepted it; ``logged`` those that a message in the log names."""

    seeded: Sequence[str]
    accepted: Sequence[str]
    queue: dict[str, QueueRow]
    logged: Sequence[str | None]

    @classmethod
    def of(cls, stage: Stage, vendor: SeededVendor, campaign: SeededCampaign) -> "Remains":
        """Return what is there now."""
        outgoing, _ = log_rows(stage, [vendor.uid])
        return cls(
            campaign.row_uids,
            [message["callback_data"] for message in stage.lines("messages")],
            queue_rows(stage, [vendor.uid]),
            [row.row_uid for row in outgoing],
        )

    def violations(self) -> dict[str, list[str]]:
        """Return the rows that break a promise, by the promise."""
        accepted, logged = Counter(self.accepted), Counter(self.logged)
        missing = [uid for uid in self.seeded if uid not in self.queue and uid not in logged]
        return {
            "lost": missing,
            "sent_twice": [
                str(uid)
                for counter in (accepted, logged)
                for uid, times in counter.items()
                if times > 1
            ],
            "stuck": [uid for uid, row in self.queue.items() if not self._ended(row, uid)],
        }

    def _ended(self, row: QueueRow, uid: str) -> bool:
        if row.status == QueueStatus.AWAITING_STATUS:
            return uid in self.accepted
        if row.status in (QueueStatus.ERROR, QueueStatus.EXPIRED):
            return uid not in self.accepted
        return row.status == QueueStatus.UNKNOWN


def run_wipe(folder: Path, *, seed: int, messages: int, rate: float) -> tuple[dict[str, Any], bool]:
    """Send a campaign and wipe Redis at a moment that follows from the seed, as does whether the
    workers die with it. Return what became of it, and whether the promises were kept."""
    started = time.monotonic()
    rng = Random(f"wipe {seed}")
    wipe_after = int(messages * rng.uniform(*_WIPED_AT))
    kill_workers = rng.random() < 0.5
    with Stage(folder, {"stale_claim_s": STALE_CLAIM_S}, direct=True) as stage:
        vendor, campaign = begin(stage, messages, rate)
        wait_for(stage, wipe_after)
        with stage.redis() as client:
            client.flushall()
        in_progress = _kill_workers(stage, vendor) if kill_workers else 0
        _wait_for_end(stage, vendor)
        remains = Remains.of(stage, vendor, campaign)
        average = stage.ask("report")["numbers"][vendor.phone_number_ids[0]]["average_per_s"]
    violations = remains.violations()
    statuses = Counter(str(row.status) for row in remains.queue.values())
    line = {
        "seed": seed,
        "messages": messages,
        "wiped_after": wipe_after,
        "workers_killed": kill_workers,
        "in_progress_when_killed": in_progress,
        "sent": len(remains.accepted),
        "average_per_s": average and round(average),
        **{promise: len(rows) for promise, rows in violations.items()},
        "deleted_by_status": messages - len(remains.queue),
        "left_in_status": dict(sorted(statuses.items())),
        "seconds": round(time.monotonic() - started, 1),
    }
    return line, not any(violations.values())


def begin(
    stage: Stage, messages: int, rate: float, bots: Sequence[SeedBot] = ()
) -> tuple[SeededVendor, SeededCampaign]:
    """Have a vendor start a campaign, and its customers answered by these bots."""
    [vendor] = stage.installation.seed_vendors(messages_per_second=rate)
    stage.installation.seed_bots(vendor.uid, bots)
    number = {
        "phone_number_id": vendor.phone_number_ids[0],
        "messages_per_s": rate,
        "webhook_url": stage.installation.webhook_url(vendor.uid),
    }
    stage.new_cloud_api({**_CLOUD_API, "phone_numbers": [number]})
    campaign = stage.installation.seed_campaign(vendor.uid, messages, paused=True)
    stage.call(api.CAMPAIGN_SEND, campaign.uid)
    return vendor, campaign


def _kill_workers(stage: Stage, vendor: SeededVendor) -> int:
    """Kill them all before one is started again, so that nobody goes on with the campaign. What
    they had is as old as it has to be for PHP to say so, or everybody would wait until it is.
    Return how many rows they had."""
    for name in WORKERS:
        stage.installation.crash(name)
    rows = queue_rows(stage, [vendor.uid]).values()
    in_progress = sum(row.status == QueueStatus.PROCESSING for row in rows)
    stage.installation.database.rows(AGE, [STALE_CLAIM_S, QueueStatus.PROCESSING])
    for name in WORKERS:
        stage.installation.start(name)
    return in_progress


def wait_for(stage: Stage, accepted: int) -> None:
    """Wait until the Cloud API has accepted so many messages."""
    last, changed_at = -1, time.monotonic()
    while (now := stage.ask("report")["accepted"]) < accepted:
        if now != last:
            last, changed_at = now, time.monotonic()
        if time.monotonic() - changed_at > STALLED_S:
            raise ProcessFailed(f"{now} messages were sent, and no more in {STALLED_S:.0f} s")
        time.sleep(_POLL_S)


def _wait_for_end(stage: Stage, vendor: SeededVendor) -> None:
    """Wait until no row is to be sent or being sent, and the Cloud API is done; or until nothing
    has changed for so long that nothing will."""
    last: object = None
    changed_at = time.monotonic()
    while time.monotonic() - changed_at < STALLED_S:
        queue = Counter(row.status for row in queue_rows(stage, [vendor.uid]).values())
        report = stage.ask("report")
        if not (queue[QueueStatus.QUEUED] or queue[QueueStatus.PROCESSING]) and report["idle"]:
            return
        if (now := (queue, report["accepted"], report["webhooks"]["posts"])) != last:
            last, changed_at = now, time.monotonic()
        time.sleep(_SLOW_POLL_S)
