"""The short form of the benchmark: ratios, of what depends on no machine's speed.

Processor time is the kernel's, so that other work beside it changes little; the limits leave room
for what it does change.
"""

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
    async with connected(one.process.port, requests, 64) as load:
        await load.at_saturation(120, count)
        assert (len(load.latencies), load.refused) == (count, 0)


def cpu_of_a_webhook(one: Receiver) -> float:
    uvloop.run(post(one, _WARM))
    before = one.process.cpu_s()
    uvloop.run(post(one, _COUNT))
    return (one.process.cpu_s() - before) / _COUNT


def test_a_webhook_costs_little_more_than_a_bare_server_and_little_memory() -> None:
    with receiver(FLOOR) as one:
        floor = cpu_of_a_webhook(one)
    with receiver(SIDECAR, inbox_write_timeout_ms=5000) as one:
        ours = cpu_of_a_webhook(one)
        assert one.stored() == _WARM + _COUNT
        figures = growth.fill(one, (0,), 2_000)
    assert ours / floor <= MAX_OF_FLOOR, f"{ours * 1e6:.0f} us, and the floor {floor * 1e6:.0f}"
    assert figures["memory_per_byte"] <= MAX_MEMORY
