"""Redis goes back in time in the middle of a campaign, while customers write and are answered: its
files are copied, work goes on, it is killed, and the copy is put in their place. No message may be
sent twice, none may be left, and `sidecar status` must name it.

Webhooks of the lost time are gone with it, so only what was sent is looked at.
"""

import shutil
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from contracts.backend import QueueStatus
from contracts.bots import TriggerType
from simulator.backend.seed import SeededVendor
from simulator.backend.seed_bots import SeedBot
from simulator.chaos.evidence import left_in_redis, log_rows, queue_rows
from simulator.chaos.stage import WORKERS, Stage
from simulator.chaos.wipe import AGE, STALE_CLAIM_S, STALLED_S, Remains, begin, wait_for

#: When the files are copied, as shares of the campaign, and for how long it goes on: longer than
#: what PHP may not have been told where nobody lives who remembers (docs/reliability.md).
_COPIED_AT = (0.1, 0.5)
_GOES_ON_S = (2.5, 5.0)
#: How long after Redis is back the workers are killed again, if they are.
_KILLED_AGAIN_S = (0.0, 4.5)
_POLL_S = 0.25
_BOTS = [SeedBot(TriggerType.IS, "*", "Thank you!")]
_CUSTOMERS = {"count": 150, "per_s": 10}
_NAMED = "redis-went-back"


@dataclass(frozen=True, slots=True)
class Plan:
    """``killed`` die with Redis; with ``killed_again_after_s`` the workers die again, most likely
    while Redis is being compared."""

    copied_after: int
    goes_on_s: float
    killed: tuple[str, ...]
    killed_again_after_s: float | None

    @classmethod
    def of(cls, seed: int, messages: int) -> "Plan":
        """What follows from a seed. Four in a row are one of each."""
        rng = Random(f"snapshot {seed}")
        killed = ((), WORKERS, ("sidecar",), (*WORKERS, "sidecar"))[seed % 4]
        return cls(
            copied_after=int(messages * rng.uniform(*_COPIED_AT)),
            goes_on_s=rng.uniform(*_GOES_ON_S),
            killed=killed,
            killed_again_after_s=rng.uniform(*_KILLED_AGAIN_S) if rng.random() < 0.5 else None,
        )


def run_snapshot(
    folder: Path, *, seed: int, messages: int, rate: float
) -> tuple[dict[str, Any], bool]:
    """Send a campaign and put Redis back at a moment that follows from the seed, as does who dies
    with it. Return what became of it, and whether the promises were kept."""
    started = time.monotonic()
    plan = Plan.of(seed, messages)
    with Stage(folder, {"stale_claim_s": STALE_CLAIM_S}, direct=True) as stage:
        vendor, campaign = begin(stage, messages, rate, _BOTS)
        number = vendor.phone_number_ids[0]
        stage.order("inbound", {"phone_number_id": number, **_CUSTOMERS})
        wait_for(stage, plan.copied_after)
        _go_back(stage, plan)
        if plan.killed_again_after_s is not None:
            time.sleep(plan.killed_again_after_s)
            _kill(stage, WORKERS)
        named = _wait_until_named(stage)
        _wait_for_end(stage, vendor)
        remains = Remains.of(stage, vendor, campaign)
        replies = sum(row.reply for row in log_rows(stage, [vendor.uid])[0])
        left = left_in_redis(stage)
        problems = stage.status()["problems"]
    violations = remains.violations()
    violations["stuck"] += [*left.waiting, *left.ledgers]
    statuses = Counter(str(row.status) for row in remains.queue.values())
    line = {
        "seed": seed,
        "messages": messages,
        "copied_after": plan.copied_after,
        "went_on_s": round(plan.goes_on_s, 1),
        "killed": plan.killed,
        "killed_again": plan.killed_again_after_s is not None,
        "sent": len(remains.accepted),
        "replies": replies,
        **{promise: len(rows) for promise, rows in violations.items()},
        "named": named,
        "problems": sorted({one["code"] for one in problems}),
        "left_in_status": dict(sorted(statuses.items())),
        "seconds": round(time.monotonic() - started, 1),
    }
    return line, named and not any(violations.values())


def _go_back(stage: Stage, plan: Plan) -> None:
    installation = stage.installation
    files, copy = installation.folder / "redis", installation.folder / "redis-copy"
    shutil.copytree(files, copy)
    time.sleep(plan.goes_on_s)
    installation.crash("redis")
    for name in plan.killed:
        installation.crash(name)
    shutil.rmtree(files)
    shutil.copytree(copy, files)
    for name in ("redis", *plan.killed):
        stage.start(name)


def _kill(stage: Stage, names: tuple[str, ...]) -> None:
    for name in names:
        stage.installation.crash(name)
    for name in names:
        stage.start(name)


def _wait_until_named(stage: Stage) -> bool:
    end = time.monotonic() + STALLED_S
    while time.monotonic() < end:
        if any(problem["code"] == _NAMED for problem in stage.status()["problems"]):
            return True
        time.sleep(_POLL_S)
    return False


def _wait_for_end(stage: Stage, vendor: SeededVendor) -> None:
    """Wait until no row is to be sent or being sent, nothing is left in Redis, and the Cloud API is
    done; or until nothing has changed for so long that nothing will. Rows that only PHP knows to be
    claimed are made as old as they have to be, when nobody sends any more."""
    last: object = None
    changed_at = time.monotonic()
    while time.monotonic() - changed_at < STALLED_S:
        queue = Counter(row.status for row in queue_rows(stage, [vendor.uid]).values())
        report, left = stage.ask("report"), left_in_redis(stage)
        idle = report["idle"] and not (left.waiting or left.ledgers)
        if idle and not queue[QueueStatus.QUEUED]:
            if not queue[QueueStatus.PROCESSING]:
                return
            stage.installation.database.rows(AGE, [STALE_CLAIM_S, QueueStatus.PROCESSING])
        if (now := (queue, report["accepted"], report["webhooks"]["posts"])) != last:
            last, changed_at = now, time.monotonic()
        time.sleep(_POLL_S)
