"""What Redis takes for a million webhooks, by the slope between two sizes, as keys.py says.

Measured is what Redis says of each key (MEMORY USAGE), which no client and no buffer disturbs.
"""

import collections
import re

from contracts.jobs import Lane
from sidecar.clock import now_ms
from sidecar.inbox.store import WEBHOOK_BYTES, Inbox
from sidecar.ops.accounting import Counters
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.redis.lease import Lease
from sidecar.redis.letter_bounds import Bounds
from sidecar.redis.marks import Marks
from tests.workers.conftest import MakeLane
from tests.workers.payloads import VENDOR, make_update, message, webhook
from tests.workers.php import Php
from workers.inbox.commit import Commit

MILLION = 1_000_000
#: What Redis has for a key beside what MEMORY USAGE says: its places in two tables.
PLACE_BYTES = 32


async def memory(redis: Redis) -> collections.Counter[str]:
    """Return how many bytes the keys take, by what they begin with."""
    names = [name async for name in redis.scan_iter(count=5000)]
    pipeline = redis.pipeline(transaction=False)
    for name in names:
        pipeline.memory_usage(name, samples=0)
    taken: collections.Counter[str] = collections.Counter()
    for name, size in zip(names, await pipeline.execute(), strict=True):
        taken[re.split(r":(?![a-z]+:)", name.decode())[0]] += size + PLACE_BYTES
    return taken


async def put(redis: Redis, lane: Lane, count: int, vendors: int) -> int:
    """Have webhooks come in, many in one group commit. Return their bytes."""
    inbox = Inbox(redis, timeout_s=30, pending_limit_bytes=10**9, wake=lambda _lane: None)
    size, written = 0, []
    for number in range(count):
        body = webhook(messages=[message(str(number % 500), f"wamid.{number:060}")])
        size += len(body)
        written.append(inbox.put(lane, f"vendor-{number % vendors}", b"sha256=" + b"0" * 64, body))
        if len(written) == 500:
            await written[-1]
            written.clear()
    await inbox.close()
    return size


async def test_marks_of_a_million_messages(redis: Redis) -> None:
    marks, now_s = Marks(redis, 86_400, keys.dedup), now_ms() / 1000
    taken = []
    for first, last in ((0, 10_000), (10_000, 40_000)):
        pipeline = redis.pipeline(transaction=False)
        for number in range(first, last):
            for command in marks.commands(b"%d" % number, now_s):
                pipeline.execute_command(*command)
            if number % 10_000 == 9999:
                await pipeline.execute()
        await pipeline.execute()
        taken.append((await memory(redis)).total())
    each = (taken[1] - taken[0]) / 30_000
    buckets = taken[0] - 10_000 * each
    # As many as come in a window and in the slice beyond it, in buckets of five slices.
    assert 1.25 * MILLION * each + 5 * buckets < 25e6


async def test_webhooks_that_wait(redis: Redis) -> None:
    """Of whatever shape, Redis has at most half as much again of what has come."""
    taken, came = [], []
    for count in (2000, 6000):
        size = await put(redis, Lane.MESSAGES, count, 10)
        taken.append((await memory(redis)).total())
        came.append(size + count * WEBHOOK_BYTES)
    assert (taken[1] - taken[0]) / came[1] < 1.5


async def test_what_is_left_of_webhooks_that_php_has_taken(
    redis: Redis, php: Php, make_lane: MakeLane
) -> None:
    """Their marks, and nothing else that grows."""
    lane = make_lane(Lane.MESSAGES, message_batch_size=500)
    taken = []
    for count in (2000, 4000):
        inbox = Inbox(redis, timeout_s=30, pending_limit_bytes=10**9, wake=lambda _lane: None)
        done = sum([len(batch) for batch in php.batches])
        for number in range(done, done + count):
            body = webhook(messages=[message(str(number % 500), f"wamid.{number}")])
            last = inbox.put(Lane.MESSAGES, VENDOR, b"", body)
            if number % 200 == 199:
                await last
        await inbox.close()
        await lane.drain_when_it_may()
        taken.append(await memory(redis))
    grown = taken[1] - taken[0]
    assert taken[1]["dedup"] > 0
    assert {name for name, size in grown.items() if size > 1000} <= {"dedup"}


async def test_dead_letters_take_what_their_bounds_say(
    redis: Redis, drain_lease_held: Lease
) -> None:
    taken = []
    for rounds in (2, 4):
        for _ in range(rounds):
            bounds = Bounds(number=2000, size_bytes=1_500_000)
            commit = Commit(redis, Lane.STATUSES, drain_lease_held, bounds)
            for _ in range(1000):
                commit.dead_letter(make_update(reason="x" * 300), now_ms())
            await commit.commit()
        taken.append((await memory(redis)).total())
    [accounting] = await Counters(redis).read()
    number, size = accounting.letters.number, accounting.letters.size_bytes
    assert 1_000_000 < size <= 1_500_000
    assert taken[1] < 1.25 * size + 300 * number + 5000
    assert taken[1] < 1.05 * taken[0], "however many come"
