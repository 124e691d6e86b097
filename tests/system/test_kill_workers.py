"""Killing workers in the middle of a campaign, as a crash would, and counting what arrived."""

import redis

from simulator.demo import Demo
from tests.system.running import MAX_UNKNOWN, assert_complete, wait_for_accepted


def test_campaign_worker_killed(demo: Demo) -> None:
    wait_for_accepted(demo, 230)
    demo.installation.crash("worker-campaigns-effects")
    demo.installation.restart("worker-campaigns-effects")
    assert_complete(demo, unknown=MAX_UNKNOWN)


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
