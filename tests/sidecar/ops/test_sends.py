"""Recent sends of all workers are added up, and matter from some number on."""

from typing import Any

import pytest

from sidecar.ops.processes import Process
from sidecar.ops.sends import RecentSends, recent_sends


def told(**more: Any) -> dict[str, Any]:
    found = {"accepted": 0, "failed": 0, "requeued": 0, "unknown": 0, "per_s": 0.0, "reasons": []}
    return {"vendor_uid": "v", "campaign_uid": "c", **found, **more}


def worker(*sends: dict[str, Any], age_s: float = 0.0) -> Process:
    return Process("p", "worker", "host", 7, 0, age_s, sends=list(sends))


def test_all_live_workers_count() -> None:
    one = told(accepted=5, failed=2, per_s=0.5, reasons=[["failed", "a", 2]])
    two = told(failed=4, unknown=1, per_s=1.0, reasons=[["failed", "b", 3], ["failed", "a", 1]])
    replies = told(campaign_uid=None, accepted=1)
    dead = worker(told(failed=99), age_s=99.0)
    found = recent_sends([worker(one), worker(two, replies), dead, worker()])
    assert found == [
        RecentSends("v", None, accepted=1),
        RecentSends(
            *("v", "c", 5, 6, 0, 1, 1.5),
            reasons={"failed": {"a": 3, "b": 3}},
        ),
    ]
    assert found[1].tried == 12
    assert found[1].why("failed") == "3 x a, 3 x b"
    assert found[0].what == "replies of vendor v"
    assert found[1].what == "rows of campaign c (vendor v)"


@pytest.mark.parametrize(
    ("accepted", "failed", "failing"),
    [
        (0, 9, False),
        (0, 10, True),
        (90, 10, True),
        (91, 10, False),
        (4900, 100, True),
        (5000, 100, False),
    ],
)
def test_when_failures_matter(accepted: int, failed: int, failing: bool) -> None:
    assert RecentSends("v", "c", accepted=accepted, failed=failed).failing is failing


@pytest.mark.parametrize(
    ("accepted", "unknown", "unclear"),
    [(0, 9, False), (0, 10, True), (990, 10, True), (991, 10, False), (10**6, 100, True)],
)
def test_when_unknown_outcomes_matter(accepted: int, unknown: int, unclear: bool) -> None:
    assert RecentSends("v", "c", accepted=accepted, unknown=unknown).unclear is unclear
