"""Waiting until nothing moves any more."""

import time
from collections import Counter

import redis

from contracts.backend import QueueStatus
from simulator.chaos.evidence import left_in_redis, pending_updates, queue_rows
from simulator.chaos.load import Work
from simulator.chaos.stage import Stage
from simulator.stack.database import SqlError

_POLL_S = 0.1
#: Whatever moves, it comes to its end within this time.
_LONGEST_S = 180.0
_MOVING = (QueueStatus.QUEUED, QueueStatus.PROCESSING, QueueStatus.AWAITING_STATUS)


def wait_for_quiescence(stage: Stage, work: Work, timeout_s: float) -> bool:
    """Wait until everything has come to its end; as long as something is done within
    ``timeout_s``, for the machine may have a lot else to do. Tell whether everything has."""
    began = changed_at = time.monotonic()
    last: tuple[object, ...] = ()
    while now := _left(stage, work):
        at = time.monotonic()
        if now != last:
            last, changed_at = now, at
        if at - changed_at > timeout_s or at - began > _LONGEST_S:
            return False
        time.sleep(_POLL_S)
    return True


def _left(stage: Stage, work: Work) -> tuple[object, ...]:
    """Return what there is still to do, as something that changes when some of it is done; nothing
    if there is nothing. Look in the order in which work moves on, so that nothing slips by between
    two looks."""
    try:
        report = stage.ask("report")
        if not report["idle"]:
            return "webhooks", report["accepted"], report["webhooks"]["posts"]
        if pending := len(pending_updates(stage, work.vendor_uids)):
            return "stored", pending
        rows = Counter(row.status for row in queue_rows(stage, work.vendor_uids).values())
        if any(rows[status] for status in _MOVING):
            return "rows", rows
        left = left_in_redis(stage)
        return () if left.empty else ("redis", len(left.waiting), len(left.ledgers))
    except (SqlError, redis.RedisError):
        return ("away",)  # a part has ended by itself; the verdict will say so
