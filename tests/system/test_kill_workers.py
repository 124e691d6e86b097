"""Killing workers in the middle of a campaign, as a crash would, and counting what arrived."""

import pytest
import redis

from simulator.demo import Demo
from tests.system.running import RATE, assert_complete, wait_for_accepted

#: Rows of one kill that may be unknown: a tenth of a second's worth. Slots are given out a quarter
#: of a second ahead, so writing rows down with their slots would exceed it.
MAX_UNKNOWN = int(RATE / 10)


@pytest.mark.parametrize("at", [50, 230, 410])
def test_campaign_worker_killed(demo: Demo, at: int) -> None:
    wait_for_accepted(demo, at)
    demo.installation.crash("worker-campaigns-effects")
    demo.installation.restart("worker-campaigns-effects")
    assert_complete(demo, unknown=MAX_UNKNOWN)


def test_every_worker_killed_twice(demo: Demo) -> None:
    for at in (100, 350):
        wait_for_accepted(demo, at)
        for name in ("worker-campaigns-effects", "worker-statuses", "worker-messages"):
            demo.installation.crash(name)
        for name in ("worker-campaigns-effects", "worker-statuses", "worker-messages"):
            demo.installation.restart(name)
    assert_complete(demo, unknown=2 * MAX_UNKNOWN)


def test_workers_end_cleanly_in_the_middle(demo: Demo) -> None:
    """After SIGTERM nothing is in status 3 or in the ledger."""
    wait_for_accepted(demo, 150)
    assert demo.installation.processes["worker-campaigns-effects"].stop() == 0
    assert not demo.installation.tables.counts().queue.get(3)
    client = redis.Redis.from_url(demo.installation.redis_url)
    assert client.hlen(f"ledger:{demo.campaign.uid}") == 0
    client.close()
    demo.installation.restart("worker-campaigns-effects")
    assert_complete(demo)
