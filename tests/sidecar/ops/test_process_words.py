"""Processes in words."""

from typing import Any

import pytest

from contracts.jobs import Queue
from sidecar.ops.process_words import held, together, troubles
from sidecar.ops.processes import Process

NOW = 10**12
ALL = [queue.value for queue in Queue]


def process(role: str = "worker", age_s: float = 0.0, **more: Any) -> Process:
    return Process("id", role, "h", 7, NOW - 60_000, age_s, **{"version": "1", **more})


def test_what_it_holds() -> None:
    assert held(process()) == ""
    assert held(process(leases=["b", "a"])) == "a, b"
    assert held(process(leases=[str(number) for number in range(10)])).endswith("4 and 5 more")


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, []),
        ({"breakers": {"messages": "500"}}, ["PHP does not take messages: 500"]),
        (
            {"isolated": {"statuses": {"v": "hangs"}}},
            ["PHP fails on statuses of vendor v: hangs"],
        ),
        ({"php_failures": {"bots": "404"}}, ["PHP fails on each call of bots: 404"]),
        ({"ai_failures": {"v": "401"}}, ["AIs of vendor v answer nothing: 401"]),
        (
            {"in_vain": {"c": 90.0}},
            ["nobody sends campaign c: workers have been woken for 90 s"],
        ),
        (
            {"unasked": {"messages": 2, "oldest_at": 0}},
            ["nobody sends 2 messages that stand pending in PHP's log"],
        ),
        ({"slow": {"n": 4.0}}, ["the Cloud API takes 4.0 s to answer for n"]),
        ({"php_away": True}, ["PHP does not answer it: others do its work, if there are any"]),
        ({"wakeups": "refused"}, ["it can wake no worker: refused"]),
        ({"clock": NOW + 20_000}, ["its clock is 20 s ahead of Redis's"]),
        ({"clock": NOW - 20_000}, ["its clock is 20 s behind Redis's"]),
        ({"clock": NOW - 20_000, "age_s": 3600.0}, []),
        (
            {"breakers": {str(lane): "500" for lane in range(5)}},
            [*(f"PHP does not take {lane}: 500" for lane in range(3)), "and 2 more of the kind"],
        ),
    ],
)
def test_what_troubles_it(more: dict[str, Any], expected: list[str]) -> None:
    assert troubles(process(**more), NOW) == expected


def test_all_together() -> None:
    serve = process("serve")
    assert list(together([serve, process(queues=ALL)])) == []
    assert list(together([process(queues=ALL)])) == ["No serve runs: webhooks go to PHP."]
    [missing] = together([serve, process(queues=["statuses"]), process(age_s=60, queues=ALL)])
    assert missing == "No worker runs for messages, campaigns, effects: their work waits."
    [versions] = together([serve, process(queues=ALL, version="")])
    assert versions.startswith("Different versions run: 1, unknown.")
