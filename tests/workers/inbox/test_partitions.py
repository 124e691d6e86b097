"""A lane is divided among workers and put together again, and no partition is in two hands."""

import asyncio
from contextlib import AsyncExitStack

import orjson
import pytest

from contracts.jobs import Lane
from sidecar.inbox.partitions import MAX_PARTITIONS, Partition, drain_lease
from sidecar.ops.publisher import KEEP_MS
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.redis.lease import Lease, LeaseLost, Leases
from workers.inbox import partitions as partitions_module
from workers.inbox.commit import Commit
from workers.inbox.partitions import PATIENCE, Partitions

LANE = Lane.STATUSES


class Worker:
    """One process that drains."""

    def __init__(self, redis: Redis, ttl_ms: int = 10_000) -> None:
        self.woken = 0
        self.partitions = Partitions(redis, Leases(redis, ttl_ms), LANE, self._wake)

    def _wake(self) -> None:
        self.woken += 1


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitions_module, "DIVIDE_S", 0.0)


async def announce(redis: Redis, *, queue: str = LANE, count: int = 2, **more: object) -> None:
    """Have so many worker processes be known."""
    for _ in range(count):
        name = f"worker-{await redis.scard(keys.PROCESSES)}"
        facts = {"role": "worker", "host": "h", "pid": 1, "since": 1, "queues": [queue]}
        facts |= {"partitioned": True, **more}
        await redis.sadd(keys.PROCESSES, name)
        await redis.set(keys.process(name), orjson.dumps(facts), px=KEEP_MS)


async def held(stack: AsyncExitStack, worker: Worker) -> tuple[Partition, Lease] | None:
    return await stack.enter_async_context(worker.partitions.hold())


async def divided(stack: AsyncExitStack, redis: Redis) -> tuple[Worker, Partition, Lease]:
    """Have a lane divided in two, and the first part held."""
    await announce(redis)
    first = Worker(redis)
    found = await held(stack, first)
    assert found is not None
    mine, lease = found
    await first.partitions.divide(mine, lease)
    assert mine.count == 2
    return first, mine, lease


async def test_one_holds_all_of_a_lane(redis: Redis) -> None:
    async with AsyncExitStack() as stack:
        found = await held(stack, Worker(redis))
        assert found is not None
        assert found[0] == Partition(0, 1)
        assert await held(stack, Worker(redis)) is None
    async with Worker(redis).partitions.hold() as again:
        assert again is not None


async def test_it_is_divided_among_the_workers_there_are(redis: Redis) -> None:
    async with AsyncExitStack() as stack:
        first, _, _ = await divided(stack, redis)
        assert first.woken == 1
        found = await held(stack, Worker(redis))
        assert found is not None
        assert found[0].words[:2] == (1, 2)
        assert await held(stack, Worker(redis)) is None


@pytest.mark.parametrize(
    "facts",
    [{"count": 1}, {"queue": "campaigns"}, {"partitioned": False}],
    ids=["one worker", "no worker of this lane", "workers of an older version"],
)
async def test_it_is_not_divided(redis: Redis, facts: dict[str, object]) -> None:
    await announce(redis, **facts)  # type: ignore[arg-type]
    async with AsyncExitStack() as stack:
        worker = Worker(redis)
        found = await held(stack, worker)
        assert found is not None
        await worker.partitions.divide(*found)
        assert found[0].count == 1
        assert not worker.woken
        assert await redis.get(keys.partitions(LANE)) is None


async def test_not_while_one_of_an_older_version_drains_too(redis: Redis) -> None:
    await announce(redis)
    await announce(redis, count=1, partitioned=False)
    async with Worker(redis).partitions.hold() as found:
        assert found is not None
        await Worker(redis).partitions.divide(*found)
        assert found[0].count == 1


async def test_there_are_not_more_than_so_many(redis: Redis) -> None:
    await announce(redis, count=MAX_PARTITIONS + 3)
    async with Worker(redis).partitions.hold() as found:
        assert found is not None
        await Worker(redis).partitions.divide(*found)
        assert found[0].count == MAX_PARTITIONS


async def test_a_process_holds_one_partition(redis: Redis) -> None:
    async with AsyncExitStack() as stack:
        first, _, _ = await divided(stack, redis)
        assert await held(stack, first) is None


async def test_who_has_lost_the_lease_divides_nothing(redis: Redis) -> None:
    await announce(redis)
    async with Worker(redis).partitions.hold() as found:
        assert found is not None
        await redis.delete(keys.lease(drain_lease(LANE)))
        with pytest.raises(LeaseLost):
            await Worker(redis).partitions.divide(*found)
    assert await redis.get(keys.partitions(LANE)) is None


async def test_it_is_put_together_when_nobody_else_drains(redis: Redis) -> None:
    async with AsyncExitStack() as stack:
        first, mine, lease = await divided(stack, redis)
        async with Worker(redis).partitions.hold() as second:
            assert second is not None
            assert not await first.partitions.look(mine, lease, now=True)
            assert mine.count == 2
            assert first.woken == 1, "there is none that nobody drains"
        assert await first.partitions.look(mine, lease, now=True)
        assert mine == Partition(0, 1)
        assert await redis.get(keys.partitions(LANE)) is None


async def test_it_looks_every_second(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    async with AsyncExitStack() as stack:
        first, mine, lease = await divided(stack, redis)
        assert not await first.partitions.look(mine, lease)
        monkeypatch.setattr(first.partitions, "_look_at", 0.0)
        assert await first.partitions.look(mine, lease)


async def test_one_that_nobody_drains_is_made_known_and_then_waited_for_no_longer(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All who might drain it have one already."""
    monkeypatch.setattr(partitions_module, "LOOK_S", 0.0)
    await redis.set(keys.partitions(LANE), "3 0")
    async with AsyncExitStack() as stack:
        first, second = Worker(redis), Worker(redis)
        mine, other = await held(stack, first), await held(stack, second)
        assert mine is not None
        assert other is not None
        for looks in range(1, PATIENCE + 1):
            assert not second.partitions.is_stuck
            assert not await second.partitions.look(*other)
            assert not await first.partitions.look(*mine)
            assert second.woken == first.woken == looks
        assert second.partitions.is_stuck
        assert not first.partitions.is_stuck, "it puts the lane together"


async def test_the_first_ends_and_nobody_takes_its_place(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions_module, "LOOK_S", 0.0)
    async with AsyncExitStack() as stack:
        first = AsyncExitStack()
        await divided(first, redis)
        second = Worker(redis)
        found = await held(stack, second)
        assert found is not None
        await first.aclose()
        for _ in range(PATIENCE):
            await second.partitions.look(*found)
        assert second.partitions.is_stuck


async def test_one_that_is_taken_again_is_no_reason_to_end(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions_module, "LOOK_S", 0.0)
    await redis.set(keys.partitions(LANE), "3 0")
    async with AsyncExitStack() as stack:
        await held(stack, Worker(redis))
        second = Worker(redis)
        found = await held(stack, second)
        assert found is not None
        for _ in range(PATIENCE):
            async with Worker(redis).partitions.hold():
                await second.partitions.look(*found)
            for _ in range(PATIENCE - 1):
                await second.partitions.look(*found)
        assert not second.partitions.is_stuck


async def test_while_an_older_version_drains_the_lane_the_others_commit_nothing(
    redis: Redis,
) -> None:
    """It knows of no partitions, and takes all vendors."""
    async with AsyncExitStack() as stack:
        first = AsyncExitStack()
        await divided(first, redis)
        found = await held(stack, Worker(redis))
        assert found is not None
        await Commit(redis, LANE, found[1]).commit()
        await first.aclose()
        await Commit(redis, LANE, found[1]).commit()
        async with Leases(redis, 10_000).hold(drain_lease(LANE)):
            with pytest.raises(LeaseLost):
                await Commit(redis, LANE, found[1]).commit()
        async with Worker(redis).partitions.hold():
            await Commit(redis, LANE, found[1]).commit()


async def test_only_the_first_puts_it_together(redis: Redis) -> None:
    async with AsyncExitStack() as stack:
        await divided(stack, redis)
        second = Worker(redis)
        found = await held(stack, second)
        assert found is not None
        assert not await second.partitions.look(*found, now=True)
        assert found[0].words[:2] == (1, 2)


async def test_who_has_lost_the_lease_puts_nothing_together(redis: Redis) -> None:
    async with AsyncExitStack() as stack:
        first, mine, lease = await divided(stack, redis)
        await redis.delete(keys.lease(lease.name))
        with pytest.raises(LeaseLost):
            await first.partitions.look(mine, lease, now=True)
        assert await redis.exists(keys.partitions(LANE))


async def test_it_was_put_together_before_the_second_had_its_part(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with AsyncExitStack() as stack:
        first, mine, lease = await divided(stack, redis)
        second = Worker(redis)
        division = second.partitions._division

        async def late() -> tuple[int, int]:
            found = await division()
            monkeypatch.setattr(second.partitions, "_division", division)
            assert await first.partitions.look(mine, lease, now=True)
            return found

        monkeypatch.setattr(second.partitions, "_division", late)
        assert await held(stack, second) is None


async def test_what_has_killed_drains_is_the_firsts_now(redis: Redis) -> None:
    async with AsyncExitStack() as stack:
        first, mine, lease = await divided(stack, redis)
        await redis.sadd(keys.begun(LANE), 1)
        await redis.sadd(keys.begun(LANE, 1), 2, 3)
        await redis.hset(keys.crashes(LANE, 1), mapping={"left": 40, "unit": "x", "tries": 2})
        assert await first.partitions.look(mine, lease, now=True)
        assert await redis.smembers(keys.begun(LANE)) == {b"1", b"2", b"3"}
        assert await redis.hgetall(keys.crashes(LANE)) == {b"left": b"40"}
        assert not await redis.exists(keys.begun(LANE, 1), keys.crashes(LANE, 1))


async def test_its_successor_finds_it_divided(redis: Redis) -> None:
    async with AsyncExitStack() as stack:
        await divided(stack, redis)
    async with Worker(redis).partitions.hold() as found:
        assert found is not None
        assert found[0].words[:2] == (0, 2)


async def test_many_want_it_at_once(redis: Redis) -> None:
    await redis.set(keys.partitions(LANE), "3 5")
    async with AsyncExitStack() as stack:
        found = await asyncio.gather(*(held(stack, Worker(redis)) for _ in range(6)))
        mine = [one for one in found if one is not None]
        assert sorted(partition.index for partition, _ in mine) == [0, 1, 2]
        assert len({lease.name for _, lease in mine}) == 3
