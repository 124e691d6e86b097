"""A lane's work unit by unit, to find what kills the workers. How it comes to that, and what is
killed on the way, is in test_crash_loop.py."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from contracts import backend as contract
from contracts.jobs import Lane
from sidecar.effects.outbox import make_outbox
from sidecar.inbox.partitions import drain_lease
from sidecar.redis import keys
from sidecar.redis.lease import Lease, Leases
from sidecar.redis.memory_guard import MemoryGuard
from tests.workers.conftest import MakeLane
from tests.workers.lane import LaneUnderTest
from tests.workers.payloads import VENDOR, message, texts, webhook
from tests.workers.php import Answer, Php, wanting_again
from workers.inbox.crash_loop import CrashLoop
from workers.inbox.effects import UpdateEffects
from workers.inbox.one_by_one import MAX_UPDATES, OneByOne
from workers.inbox.processor import Processor
from workers.inbox.reader import FairReader, LanePolicy
from workers.inbox.retries import Retries

MOST = 2
UNITS = 20


@dataclass
class Stand:
    """A lane whose drains have died so often that its work is taken one by one."""

    lane: LaneUnderTest
    lease: Lease
    reader: FairReader = field(init=False)
    crash_loop: CrashLoop = field(init=False)
    one_by_one: OneByOne = field(init=False)

    def __post_init__(self) -> None:
        lane, settings, redis = self.lane.lane, self.lane.settings, self.lane.redis
        policy = LanePolicy.of(lane, settings)
        effects = UpdateEffects(make_outbox(settings, redis), lambda *_: None)
        self.reader = FairReader(redis, policy, MemoryGuard(redis, settings.inbox_memory_share))
        self.crash_loop = CrashLoop(redis, lane, most=MOST, units=UNITS)
        self.one_by_one = OneByOne(
            policy,
            self.crash_loop,
            self.reader,
            Retries(redis, lane),
            Processor(lane, settings, redis, effects),
            self.lane.delivery,
        )

    async def begin(self) -> None:
        for token in range(MOST + 1):
            await self.crash_loop.begin(token)

    async def step(self, times: int = 1) -> None:
        for _ in range(times):
            await self.one_by_one.step(self.lease)

    async def refuse(self, php: Php, *bodies: bytes) -> None:
        """Have PHP refuse webhooks, so that they wait to be tried again, and are due."""
        rule = php.when(contract.PROCESS_WEBHOOKS, wanting_again(""))
        await self.lane.receive(*bodies)
        await self.begin()
        await self.step(len(bodies))
        await self.lane.make_due()
        php.forget(rule)
        php.calls.clear()

    async def kill(self, unit: str) -> None:
        """Have a unit begun as often as it may, and never end."""
        for _ in range(MOST):
            assert await self.crash_loop.begin_unit(unit)

    async def count(self, what: str) -> int:
        return int(await self.lane.redis.hget(keys.counters(VENDOR), what) or 0)


@pytest.fixture
async def stand(make_lane: MakeLane, leases: Leases) -> AsyncIterator[Stand]:
    async with leases.hold(drain_lease(Lane.MESSAGES)) as lease:
        assert lease is not None
        yield Stand(make_lane(Lane.MESSAGES), lease)


async def test_a_unit_is_one_webhook(stand: Stand, php: Php) -> None:
    await stand.lane.receive(*texts("a", "b", "c"))
    await stand.begin()
    assert stand.crash_loop.left == UNITS
    await stand.step()
    assert php.wamids == ["a"]
    assert await stand.lane.waiting() == 2
    await stand.step(2)
    assert php.wamids == ["a", "b", "c"]
    assert stand.crash_loop.left == UNITS - 3


async def test_or_a_part_of_a_large_one(stand: Stand, php: Php) -> None:
    wamids = [f"m{number}" for number in range(2 * MAX_UPDATES + 1)]
    elements = [message(f"999{number}", wamid) for number, wamid in enumerate(wamids)]
    await stand.lane.receive(webhook(messages=elements))
    await stand.begin()
    await stand.step()
    assert php.wamids == wamids[:MAX_UPDATES]
    assert await stand.lane.waiting() == 1, "the rest of it comes next"
    await stand.step(2)
    assert php.wamids == wamids
    assert await stand.lane.waiting() == 0


async def test_one_that_kills_goes_to_the_dead_letters_unread(stand: Stand, php: Php) -> None:
    await stand.lane.receive(*texts("killer", "b"))
    await stand.begin()
    head = await stand.reader.head(VENDOR)
    assert head is not None
    await stand.kill(f"webhook {VENDOR} {head[0].id} 0 0")
    await stand.step()
    assert php.wamids == []
    assert await stand.count("dead") == 1
    await stand.step()
    assert php.wamids == ["b"]


async def test_what_waits_is_taken_by_turns_with_what_is_fresh(stand: Stand, php: Php) -> None:
    await stand.refuse(php, *texts("w1", sender="1"), *texts("w2", sender="2"))
    await stand.lane.receive(*texts("f1", "f2", sender="3"))
    await stand.step(4)
    assert [name[0] for name in php.wamids] in (["w", "f", "w", "f"], ["f", "w", "f", "w"])
    assert await stand.lane.deferred() == {}


async def test_what_kills_where_it_waits_is_not_read(stand: Stand, php: Php) -> None:
    await stand.refuse(php, *texts("killer", sender="1"))
    [order_key] = await stand.lane.deferred()
    await stand.kill(f"waiting {order_key}")
    await stand.step()
    assert php.calls == []
    assert await stand.lane.deferred() == {}
    assert await stand.count("dead") == 1


async def test_nothing_is_left(stand: Stand) -> None:
    await stand.begin()
    await stand.step()
    assert (stand.crash_loop.left, stand.crash_loop.unit) == (0, None)
    assert not await stand.lane.redis.exists(keys.crashes(Lane.MESSAGES))


async def test_the_unit_under_way_is_gone(stand: Stand, php: Php) -> None:
    """Somebody has deleted it by hand."""
    await stand.lane.receive(*texts("a"))
    await stand.begin()
    assert await stand.crash_loop.begin_unit(f"webhook {VENDOR} 1-1 0 0")
    await stand.step()
    assert php.calls == []
    assert stand.crash_loop.left == 0, "it goes on as ever"


async def test_php_could_not_be_asked(stand: Stand, php: Php) -> None:
    php.always(contract.PROCESS_WEBHOOKS, Answer(503))
    await stand.lane.receive(*texts("a"))
    await stand.begin()
    await stand.step()
    assert stand.crash_loop.left == 0
    assert await stand.lane.waiting() == 1
