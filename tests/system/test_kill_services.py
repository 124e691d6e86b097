"""Killing what the workers depend on in the middle of a campaign, and counting what arrived."""

import redis

from simulator.control import read
from simulator.demo import Demo
from tests.system.running import MESSAGES, assert_complete, wait_for, wait_for_accepted


def test_sidecar_killed(shared_demo: Demo) -> None:
    """Meta gets no answer, or none but 200, and comes again."""
    for at in (100, 300):
        wait_for_accepted(shared_demo, at)
        shared_demo.installation.crash("sidecar")
        shared_demo.installation.restart("sidecar")
    assert_complete(shared_demo)
    assert read(shared_demo.cloud_api, "report")["webhooks"]["abandoned"] == 0


def test_redis_killed_with_its_append_only_file_kept(shared_demo: Demo) -> None:
    wait_for_accepted(shared_demo, 200)
    shared_demo.installation.crash("redis")
    shared_demo.installation.restart("redis")
    assert_complete(shared_demo)


def test_backend_killed(shared_demo: Demo) -> None:
    wait_for_accepted(shared_demo, 200)
    shared_demo.installation.crash("backend")
    shared_demo.installation.restart("backend")
    assert_complete(shared_demo)


def test_redis_wiped(demo: Demo) -> None:
    """What was acknowledged and not handed over is gone with Redis, but no message of the
    campaign is sent twice or forgotten."""
    demo.installation.configure(stale_claim_s=30)
    wait_for_accepted(demo, 200)
    client = redis.Redis.from_url(demo.installation.redis_url)
    client.flushall()
    client.close()

    def nothing_left() -> bool:
        queue = demo.installation.tables.counts().queue
        return not queue.get(1) and not queue.get(3) and read(demo.cloud_api, "report")["idle"]

    wait_for(nothing_left, "every row to be out of 1 and 3")
    report = read(demo.cloud_api, "report")
    assert report["sent_twice"] == 0
    found = demo.installation.tables.counts()
    assert not found.doubles
    assert found.sent_messages + found.queue.get(6, 0) >= MESSAGES
    assert report["accepted"] <= MESSAGES
    assert report["accepted"] >= found.sent_messages
