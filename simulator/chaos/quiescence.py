"""Waiting until nothing moves any more."""

import time

import redis

from contracts.backend import QueueStatus
from simulator.chaos.evidence import left_in_redis, pending_updates, queue_rows
from simulator.chaos.load import Work
from simulator.chaos.stage import Stage
from simulator.stack.database import SqlError

_POLL_S = 0.1
_MOVING = (QueueStatus.QUEUED, QueueStatus.PROCESSING, QueueStatus.AWAITING_STATUS)


def wait_for_quiescence(stage: Stage, work: Work, timeout_s: float) -> bool:
    """Wait until everything has come to its end, for at most so long. Tell whether it has."""
    end = time.monotonic() + timeout_s
    while not _is_quiescent(stage, work):
        if time.monotonic() > end:
            return False
        time.sleep(_POLL_S)
    return True


def _is_quiescent(stage: Stage, work: Work) -> bool:
    """Look in the order in which work moves on, so that nothing slips by between two looks."""
    try:
        if not stage.ask("report")["idle"] or pending_updates(stage, work.vendor_uids):
            return False
        rows = queue_rows(stage, work.vendor_uids).values()
        return not any(row.status in _MOVING for row in rows) and left_in_redis(stage).empty
    except (SqlError, redis.RedisError):
        return False  # a part has ended by itself; the verdict will say so
