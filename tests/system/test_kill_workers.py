"""Killing workers in the middle of a campaign, as a crash would, and counting what arrived."""

import pytest
import redis

from simulator.backend.tally import tally
from simulator.demo import Demo
from tests.system.running import assert_complete, wait_for_accepted


@pytest.mark.parametrize("at", [50, 230, 410])
def test_campaign_worker_killed(demo: Demo, at: int) -> None:
    wait_for_accepted(demo, at)
    demo.installation.crash("worker-campaigns")
    demo.installation.restart("worker-campaigns")
    assert_complete(demo, unknown=3)


def test_every_worker_killed_twice(demo: Demo) -> None:
    for at in (100, 350):
        wait_for_accepted(demo, at)
        for name in ("worker-campaigns", "worker-statuses", "worker-messages"):
            demo.installation.crash(name)
        for name in ("worker-campaigns", "worker-statuses", "worker-messages"):
            demo.installation.restart(name)
    assert_complete(demo, unknown=6)


def test_workers_end_cleanly_in_the_middle(demo: Demo) -> None:
    """After SIGTERM nothing is in status 3 or in the ledger."""
    wait_for_accepted(demo, 150)
    assert demo.installation.processes["worker-campaigns"].stop() == 0
    assert not tally(demo.installation.database).queue.get(3)
    client = redis.Redis.from_url(demo.installation.redis_url)
    assert client.hlen(f"ledger:{demo.campaign.uid}") == 0
    client.close()
    demo.installation.restart("worker-campaigns")
    assert_complete(demo)
