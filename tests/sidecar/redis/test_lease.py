"""Leases: one holder at a time, and tokens that grow."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from sidecar.redis import keys
from sidecar.redis.client import Redis, RedisUnavailable, connect
from sidecar.redis.lease import Lease, Leases
from simulator.redis_server import RedisServer
from tests.eventually import eventually

TTL_MS = 1000


@pytest.fixture
def leases(redis: Redis) -> Leases:
    return Leases(redis, TTL_MS)


async def token_of(leases: Leases, name: str = "a") -> int:
    """Hold the lease once, and return the token."""
    async with leases.hold(name) as lease:
        assert lease is not None
        return lease.token


async def test_one_holder_at_a_time(leases: Leases) -> None:
    async with leases.hold("a") as lease:
        assert lease is not None
        assert lease.key == "lease:a"
        async with leases.hold("a") as second:
            assert second is None
        async with leases.hold("b") as other:
            assert other is not None


async def test_two_holders_never_at_once(redis: Redis) -> None:
    inside: list[int] = []
    most, turns = 0, 0

    async def work(leases: Leases) -> None:
        nonlocal most, turns
        for _ in range(30):
            async with leases.hold("a") as lease:
                if lease is not None:
                    inside.append(lease.token)
                    most = max(most, len(inside))
                    turns += 1
                    await asyncio.sleep(0.001)
                    inside.remove(lease.token)
            await asyncio.sleep(0)

    await asyncio.gather(*(work(Leases(redis, TTL_MS)) for _ in range(5)))
    assert most == 1
    assert turns > 5


async def test_it_is_given_back_at_once(leases: Leases, redis: Redis) -> None:
    before = asyncio.all_tasks()
    async with leases.hold("a"):
        assert 0 < await redis.pttl("lease:a") <= TTL_MS
    assert await redis.exists("lease:a") == 0
    assert asyncio.all_tasks() == before
    with pytest.raises(ZeroDivisionError):
        async with leases.hold("a"):
            raise ZeroDivisionError
    assert await redis.exists("lease:a") == 0


async def test_it_is_kept_while_it_is_held(leases: Leases) -> None:
    async with leases.hold("a") as lease:
        assert lease is not None
        for _ in range(8):
            await asyncio.sleep(TTL_MS / 4000)
            async with leases.hold("a") as second:
                assert second is None
        assert not lease.lost.is_set()


async def test_tokens_grow(leases: Leases) -> None:
    tokens = [await token_of(leases) for _ in range(20)]
    assert tokens == sorted(set(tokens))


async def test_tokens_grow_also_when_redis_was_wiped(leases: Leases, redis: Redis) -> None:
    before = await token_of(leases)
    await asyncio.sleep(0.002)
    await redis.flushall()
    assert await token_of(leases) > before


async def test_tokens_grow_also_when_the_clock_goes_back(leases: Leases, redis: Redis) -> None:
    ahead = await token_of(leases) + 60_000
    await redis.set(keys.fence("a"), ahead)
    assert [await token_of(leases), await token_of(leases)] == [ahead + 1, ahead + 2]


async def test_a_dead_holders_lease_runs_out(leases: Leases, redis: Redis) -> None:
    await redis.set("lease:a", 1, px=50)

    async def held() -> bool:
        async with leases.hold("a") as lease:
            return lease is not None

    assert not await held()
    await eventually(held)


async def test_a_lease_that_was_stolen_is_lost(leases: Leases, redis: Redis) -> None:
    with capture_logs() as logs:
        async with leases.hold("a") as lease:
            assert lease is not None
            await redis.set("lease:a", lease.token + 1)
            await asyncio.wait_for(lease.lost.wait(), 5)
    assert await redis.get("lease:a") == str(lease.token + 1).encode(), "it is not ours to delete"
    assert logs == [{"event": "lease.lost", "lease": "a", "log_level": "warning"}]


async def test_a_lease_that_vanished_is_lost(leases: Leases, redis: Redis) -> None:
    async with leases.hold("a") as lease:
        assert lease is not None
        await redis.flushall()
        await asyncio.wait_for(lease.lost.wait(), 5)


async def test_a_holder_that_is_cancelled_gives_it_back(leases: Leases, redis: Redis) -> None:
    held = asyncio.Event()

    async def hold() -> None:
        async with leases.hold("a"):
            held.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(hold())
    await held.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await redis.exists("lease:a") == 0


# -- Redis away ----------------------------------------------------------------------------------


@pytest.fixture
async def own(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Redis]:
    """A client of a server of its own, which tests make wait."""
    with RedisServer(tmp_path_factory.mktemp("own-valkey")) as server:
        async with aclosing(connect(server.url, timeout_s=0.2)) as client:
            yield client


async def test_redis_is_slow_for_a_while(own: Redis) -> None:
    """The lease is not lost before its time has run out."""
    async with Leases(own, 2000).hold("a") as lease:
        assert lease is not None
        await own.client_pause(800)
        await asyncio.sleep(1.0)
        assert not lease.lost.is_set()
    assert await own.exists("lease:a") == 0


async def test_a_lease_that_cannot_be_kept_is_lost(own: Redis) -> None:
    with capture_logs() as logs:
        async with Leases(own, TTL_MS).hold("a") as lease:
            assert lease is not None
            await own.client_pause(60_000)
            await asyncio.wait_for(lease.lost.wait(), 5)
    assert [line["event"] for line in logs] == ["lease.release_failed"]


async def test_an_error_of_redis_loses_it_too(
    leases: Leases, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    with capture_logs() as logs:
        async with leases.hold("a") as lease:
            assert isinstance(lease, Lease)
            await redis.delete("lease:a")
            await redis.lpush("lease:a", "something else")
            await asyncio.wait_for(lease.lost.wait(), 5)
    assert [line["event"] for line in logs] == ["lease.release_failed"]


# -- fences that nobody needs any more --

FENCE_MS = 7 * 86_400_000


async def test_a_fence_outlives_its_token_by_a_week(redis: Redis) -> None:
    async with Leases(redis, 10_000).hold("x") as lease:
        assert lease is not None
    assert await redis.pexpiretime(keys.fence("x")) == lease.token + FENCE_MS


async def test_a_token_never_goes_back_also_where_the_clock_did(redis: Redis) -> None:
    """When a fence is gone, the clock is past every token that it has given out."""
    seconds, _ = await redis.time()
    ahead = (seconds + 3600) * 1000
    await redis.set(keys.fence("x"), ahead)
    async with Leases(redis, 10_000).hold("x") as lease:
        assert lease is not None
        assert lease.token == ahead + 1
    assert await redis.pexpiretime(keys.fence("x")) == lease.token + FENCE_MS


async def test_a_lease_of_before_the_clock_was_set_back(leases: Leases, redis: Redis) -> None:
    """Its holder died, and Redis would keep it for a day: it ends as soon as any, unless it is
    kept alive."""
    await redis.set(keys.lease("a"), 1, px=24 * 3600 * 1000)
    async with leases.hold("a") as lease:
        assert lease is None
    assert 0 < await redis.pttl(keys.lease("a")) <= TTL_MS
    assert await eventually(lambda: token_of_free(leases))


async def token_of_free(leases: Leases) -> int:
    async with leases.hold("a") as lease:
        return 0 if lease is None else lease.token


# -- a Redis that may have gone back in time --

TO_SEND = "campaign:c1"


async def test_no_lease_to_send_until_redis_is_compared(redis: Redis, leases: Leases) -> None:
    """Whoever settles what an earlier holder has left might release what was sent."""
    await token_of(leases, TO_SEND)
    run = await redis.hget(keys.EPOCH, "run")
    await redis.hset(keys.EPOCH, "run", "another")
    with pytest.raises(RedisUnavailable, match="compared with PHP"):
        await token_of(leases, TO_SEND)
    assert await token_of(leases, "drain:messages"), "webhooks are delivered"
    await redis.hset(keys.EPOCH, "run", run)
    assert await token_of(leases, TO_SEND)


async def test_tokens_are_above_those_of_before_it_was_compared(
    redis: Redis, leases: Leases
) -> None:
    """The clock of the host that has taken over may be behind."""
    floor = await token_of(leases, TO_SEND) + 60_000
    await redis.hset(keys.EPOCH, "floor", floor)
    assert await token_of(leases, TO_SEND) > floor


async def test_a_wiped_redis_gives_them_out_as_ever(redis: Redis, leases: Leases) -> None:
    await token_of(leases, TO_SEND)
    begun = int(await redis.hget(keys.EPOCH, "begun") or 0)
    await redis.flushdb()
    assert await token_of(leases, TO_SEND)
    assert int(await redis.hget(keys.EPOCH, "begun") or 0) > begun, "it is not behind"


async def test_another_run_is_another_id(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        async with aclosing(connect(server.url, timeout_s=5.0)) as redis:
            await token_of(Leases(redis, TTL_MS), TO_SEND)
        server.kill()
        server.start()
        async with aclosing(connect(server.url, timeout_s=5.0)) as redis:
            with pytest.raises(RedisUnavailable, match="compared with PHP"):
                await token_of(Leases(redis, TTL_MS), TO_SEND)


async def test_it_is_given_up_before_the_holder_has_ended(redis: Redis) -> None:
    mine, theirs = Leases(redis, 300), Leases(redis, 10_000)
    async with mine.hold("a") as lease:
        assert lease is not None
        await mine.give_up("a")
        await mine.give_up("b")  # which nobody holds
        assert lease.lost.is_set()
        assert mine.held == set()
        async with theirs.hold("a") as other:
            assert other is not None
            await asyncio.sleep(0.4)  # who had it renews nothing
            assert await redis.get(other.key) == str(other.token).encode()
    assert not await redis.exists("lease:a")
