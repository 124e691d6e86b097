"""The short form of the benchmark: ratios, of what depends on no machine's speed.

Processor time is the kernel's, so that other work beside it changes little; the limits leave room
for what it does change.
"""

from collections.abc import Callable

import uvloop

from bench.load import connected
from bench.parts import growth
from bench.receivers import FLOOR, SIDECAR, Receiver, receiver
from bench.webhooks import as_request, webhook_body

_WARM, _COUNT = 1_000, 5_000
#: It was 2.7 to 3.1 when this was written, and the hybrid's receiver 4.3 to 5.3.
MAX_OF_FLOOR = 3.8
MAX_MEMORY = 1.5


async def post(one: Receiver, count: int) -> None:
    requests = [as_request(webhook_body(n), one.paths[n % len(one.paths)]) for n in range(500)]
    async with connected(one.process.port, requests, 64, again=True) as load:
        await load.at_saturation(120, count)
        assert len(load.latencies) == count


def cpu_of_a_webhook(one: Receiver) -> float:
    uvloop.run(post(one, _WARM))
    before = one.process.cpu_s()
    uvloop.run(post(one, _COUNT))
    return (one.process.cpu_s() - before) / _COUNT


def ratio() -> float:
    with receiver(FLOOR) as one:
        floor = cpu_of_a_webhook(one)
    with receiver(SIDECAR, inbox_write_timeout_ms=5000) as one:
        ours = cpu_of_a_webhook(one)
        assert one.stored() >= _WARM + _COUNT
    return ours / floor


def assert_once_in_three(measure: Callable[[], float], most: float, what: str) -> None:
    """The best of three, as other work can only make it worse."""
    found: list[float] = []
    while len(found) < 3:
        found.append(measure())
        if found[-1] <= most:
            return
    raise AssertionError(f"{found} {what}")


def test_a_webhook_costs_little_more_than_at_a_bare_server() -> None:
    assert_once_in_three(ratio, MAX_OF_FLOOR, "times the floor")


def memory_of_a_byte() -> float:
    with receiver(SIDECAR, inbox_write_timeout_ms=5000) as one:
        return growth.fill(one, (0,), 3_000)["memory_per_byte"]


def test_a_webhook_that_waits_takes_little_memory() -> None:
    """How many come in one commit is up to how busy the machine is."""
    assert_once_in_three(memory_of_a_byte, MAX_MEMORY, "bytes of Redis for a byte that waits")
