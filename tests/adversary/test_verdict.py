"""A judge that acquits everybody is worth nothing: each kind of harm is planted once."""

from dataclasses import replace
from typing import Any

import pytest

from simulator.adversary.evidence import Siege, Webhooks
from simulator.adversary.stage import REDIS_BYTES, Stopped
from simulator.adversary.verdict import (
    PROCESS_BYTES,
    PROMISES,
    REDIS_BUFFERS,
    REDIS_FACTOR,
    STOP_S,
    WAIT_S,
    Verdict,
)
from tests.chaos.test_verdict import CLEAN

B, A = "vendor-b", "vendor-a"

CALM = Siege(
    waits=[0.05] * 70,
    webhooks={B: Webhooks(100), A: Webhooks(600, ["413, upstream none"])},
    received={B: 100, A: 600},
    lost=[],
    sent_twice=[],
    peaks={"sidecar": 70_000_000, "worker-1": 90_000_000},
    redis_bytes=1_000_000,
    bytes_in=500_000,
    out_of_memory=0,
    restrained=[],
    unnamed=[],
    deaths=0,
    stopped={"sidecar": Stopped(0.4, 0), "worker-1": Stopped(0.3, 0)},
    blind=[],
    logging_errors=0,
    errors={},
)


def broken(**changes: Any) -> set[str]:
    return {one.promise for one in Verdict(CLEAN, replace(CALM, **changes), B).violations}


def test_a_busy_machine_may_take_longer() -> None:
    siege = replace(CALM, waits=[WAIT_S], stopped={"sidecar": Stopped(STOP_S, 0)})
    assert Verdict(CLEAN, siege, B, slowness=2.0).violations == []


def test_an_attack_that_harms_nobody() -> None:
    verdict = Verdict(CLEAN, CALM, B)
    assert verdict.violations == []
    line = verdict.line()
    assert not any(line[promise] for promise in PROMISES)
    assert (line["wait_p99_s"], line["wait_most_s"], line["stop_s"]) == (0.05, 0.05, 0.4)


@pytest.mark.parametrize(
    ("promise", "changes"),
    [
        ("late", {"waits": [0.05] * 69 + [WAIT_S]}),
        ("refused", {"webhooks": {B: Webhooks(99, ["200, upstream 503 : 200"])}}),
        ("uncounted", {"received": {B: 99, A: 600}}),
        ("uncounted", {"received": {B: 100, A: 599}}),
        ("lost", {"lost": ["wamid.a1"]}),
        ("sent_twice", {"sent_twice": ["row-of-a"]}),
        ("memory", {"peaks": {"worker-2": PROCESS_BYTES}}),
        ("redis", {"redis_bytes": REDIS_FACTOR * 500_000 + REDIS_BUFFERS + 1}),
        ("redis", {"redis_bytes": REDIS_BYTES + 1, "bytes_in": REDIS_BYTES}),
        ("redis", {"out_of_memory": 1}),
        ("restrained", {"restrained": ["number 2001 is paused"]}),
        ("unnamed", {"unnamed": [A]}),
        ("died", {"deaths": 1}),
        ("sigterm", {"stopped": {"worker-1": Stopped(STOP_S, 0)}}),
        ("sigterm", {"stopped": {"worker-1": Stopped(0.1, -9)}}),
        ("logging", {"logging_errors": 1}),
        ("blind", {"blind": ["sidecar status failed"]}),
    ],
)
def test_harm(promise: str, changes: dict[str, Any]) -> None:
    assert broken(**changes) == {promise}


def test_what_chaos_finds_counts_too() -> None:
    evidence = replace(CLEAN, incoming=[], ended=["worker-1"], differences=["vendor a: updates"])
    found = {one.promise for one in Verdict(evidence, CALM, B).violations}
    assert found == {"lost", "ended", "accounting"}


def test_the_longest_wait_is_told_beside_the_99th_percentile() -> None:
    siege = replace(CALM, waits=[float(n) / 100 for n in range(200)])
    line = Verdict(CLEAN, siege, B).line()
    assert (line["wait_p99_s"], line["wait_most_s"]) == (1.98, 1.99)
