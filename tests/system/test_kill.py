"""Killing parts of a running installation, as a crash would, and counting what arrived."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import redis

from contracts.backend import QueueStatus
from simulator.backend.tally import tally
from simulator.comparison import statuses_applied
from simulator.demo import Demo

MESSAGES = 500
RATE = 200.0
QUICK_CUSTOMERS = (
    *("--sent-delay-ms", "20", "200"),
    *("--delivered-delay-ms", "20", "300"),
    *("--read-delay-ms", "20", "400"),
    *("--inbound-per-s", "15"),
)
WAIT_S = 60.0


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    """A campaign that is being sent, with customers who write meanwhile."""
    demo = Demo(
        tmp_path, messages=MESSAGES, rate=RATE, replies=30, cloud_api_options=QUICK_CUSTOMERS
    )
    demo.installation.configure(
        lease_ttl_ms=1500,
        reconcile_interval_s=0.2,
        backend_timeout_s=5,
        due_campaigns_interval_s=1,
    )
    with demo.installation:
        demo.start()
        demo.start_campaign()
        yield demo


def accepted(demo: Demo) -> int:
    count: int = demo.get(demo.cloud_api, "report")["accepted"]
    return count


def wait_for(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end, f"waited {WAIT_S} s for {what}"
        time.sleep(0.02)


def wait_for_accepted(demo: Demo, count: int) -> None:
    wait_for(lambda: accepted(demo) >= count, f"{count} messages")


def at_rest(demo: Demo) -> bool:
    """Everything that was created has arrived, and no row waits for anything but a person."""
    report = demo.get(demo.cloud_api, "report")
    found = tally(demo.installation.database)
    return (
        report["idle"]
        and set(found.queue) <= {QueueStatus.UNKNOWN}
        and statuses_applied(found.outgoing) == sum(report["statuses"].values())
        and found.incoming == report["inbound"]["created"]
    )


def assert_complete(demo: Demo, *, unknown: int = 0) -> None:
    """Wait for rest, then compare. Up to so many rows may be unknown: what a worker had written
    down as being sent when it was killed, and had not handed to the network yet."""
    wait_for(lambda: at_rest(demo), "rest")
    comparison = demo.compare()
    left = tally(demo.installation.database).queue.get(QueueStatus.UNKNOWN, 0)
    assert left <= unknown
    complete = replace(comparison, messages=comparison.messages - left)
    assert complete.differences == []


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


def test_sidecar_killed(demo: Demo) -> None:
    """Meta gets no answer, or none but 200, and comes again."""
    for at in (100, 300):
        wait_for_accepted(demo, at)
        demo.installation.crash("sidecar")
        demo.installation.restart("sidecar")
    assert_complete(demo)
    assert demo.get(demo.cloud_api, "report")["webhooks"]["abandoned"] == 0


def test_redis_killed_with_its_append_only_file_kept(demo: Demo) -> None:
    wait_for_accepted(demo, 200)
    demo.installation.crash_redis()
    demo.installation.restart_redis()
    assert_complete(demo)


def test_backend_killed(demo: Demo) -> None:
    wait_for_accepted(demo, 200)
    demo.installation.crash("backend")
    demo.backend = demo.installation.restart("backend")
    assert_complete(demo)


def test_redis_wiped(demo: Demo) -> None:
    """What was acknowledged and not handed over is gone with Redis, but no message of the
    campaign is sent twice or forgotten."""
    demo.installation.configure(stale_claim_s=30)
    wait_for_accepted(demo, 200)
    client = redis.Redis.from_url(demo.installation.redis_url)
    client.flushall()
    client.close()

    def nothing_left() -> bool:
        queue = tally(demo.installation.database).queue
        return not queue.get(1) and not queue.get(3) and demo.get(demo.cloud_api, "report")["idle"]

    wait_for(nothing_left, "every row to be out of 1 and 3")
    report = demo.get(demo.cloud_api, "report")
    assert report["sent_twice"] == 0
    found = tally(demo.installation.database)
    assert not found.doubles
    assert found.sent_messages + found.queue.get(6, 0) >= MESSAGES
    assert report["accepted"] <= MESSAGES
    assert report["accepted"] >= found.sent_messages


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
