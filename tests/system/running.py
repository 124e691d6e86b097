"""Watching a demo that runs, until it has come to rest."""

import time
from collections.abc import Callable
from dataclasses import replace

from contracts.backend import QueueStatus
from simulator.comparison import statuses_applied
from simulator.control import read
from simulator.demo import Demo

MESSAGES = 500
RATE = 200.0
#: Rows of one kill that may be unknown: a tenth of a second's worth. Slots are given out a quarter
#: of a second ahead, so writing rows down with their slots would exceed it.
MAX_UNKNOWN = int(RATE / 10)
QUICK_CUSTOMERS = (
    *("--sent-delay-ms", "20", "200"),
    *("--delivered-delay-ms", "20", "300"),
    *("--read-delay-ms", "20", "400"),
)
WAIT_S = 120.0


def accepted(demo: Demo) -> int:
    """Return how many of the last campaign's messages were."""
    count: int = read(demo.cloud_api, "report")["accepted"]
    return count - demo.earlier_messages


def wait_for(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end, f"waited {WAIT_S} s for {what}"
        time.sleep(0.1)


def wait_for_accepted(demo: Demo, count: int) -> None:
    wait_for(lambda: accepted(demo) >= count, f"{count} messages")


def is_quiescent(demo: Demo) -> bool:
    """Everything that was created has arrived, and no row waits for anything but a person."""
    report = read(demo.cloud_api, "report")
    found = demo.installation.tables.counts()
    return (
        report["idle"]
        and set(found.queue) <= {QueueStatus.UNKNOWN}
        and statuses_applied(found.outgoing) == sum(report["statuses"].values())
        and found.incoming == report["inbound"]["created"]
    )


def assert_complete(demo: Demo, *, unknown: int = 0) -> None:
    """Wait for rest, then compare. Up to so many rows may be unknown: what a worker had written
    down as being sent when it was killed, and had not handed to the network yet."""
    wait_for(lambda: is_quiescent(demo), "rest")
    comparison = demo.compare()
    left = demo.installation.tables.counts().queue.get(QueueStatus.UNKNOWN, 0)
    assert left <= unknown
    complete = replace(comparison, messages=comparison.messages - left)
    assert complete.differences == []
