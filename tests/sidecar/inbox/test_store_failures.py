"""The inbox when Redis is killed, away, full or slow."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from random import Random

import pytest

from contracts.jobs import Lane
from sidecar.inbox.store import Inbox, InboxReader, InboxUnavailable
from sidecar.redis import keys
from sidecar.redis.client import Redis, connect
from sidecar.tasks import cancel
from simulator.redis_server import RedisServer

SIGNATURE = b"sha256=" + b"0" * 64


@pytest.fixture(scope="module")
def own_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server for this module alone: tests fill it and make it wait."""
    with RedisServer(tmp_path_factory.mktemp("own-valkey")) as server:
        yield server


@asynccontextmanager
async def client(url: str, timeout_s: float = 5.0) -> AsyncIterator[Redis]:
    redis = connect(url, timeout_s=timeout_s)
    async with aclosing(redis):
        yield redis


def make_inbox(redis: Redis, timeout_s: float = 5.0) -> Inbox:
    return Inbox(redis, timeout_s=timeout_s, pending_limit_bytes=1 << 30, wake=lambda lane: None)


async def test_what_is_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    random = Random(1)
    webhooks = [(random.randbytes(71), random.randbytes(size)) for size in (0, 1, 700, 70_000)]
    server = RedisServer(tmp_path)
    with server:
        async with client(server.url) as redis:
            inbox = make_inbox(redis)
            for signature, body in webhooks[:-1]:
                await inbox.put(Lane.MESSAGES, "v", signature, body)
            await asyncio.gather(
                inbox.put(Lane.STATUSES, "w", *webhooks[0]),
                inbox.put(Lane.MESSAGES, "v", *webhooks[-1]),
            )
            server.kill()
    with server:
        async with client(server.url) as redis:
            reader = InboxReader(redis)
            assert await reader.vendors(Lane.MESSAGES) == ["v"]
            found = await reader.read(Lane.MESSAGES, {"v": "0"}, 100)
            assert [(w.signature, w.body) for e in found["v"] for w in e.webhooks] == webhooks
            [entry] = (await reader.read(Lane.STATUSES, {"w": "0"}, 100))["w"]
            assert [(w.signature, w.body) for w in entry.webhooks] == webhooks[:1]


async def test_redis_goes_away_and_comes_back(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        async with client(server.url) as redis:
            inbox = make_inbox(redis)
            await inbox.put(Lane.MESSAGES, "v", SIGNATURE, b"before")
            server.stop()
            for _ in range(2):
                with pytest.raises(InboxUnavailable):
                    await inbox.put(Lane.MESSAGES, "v", SIGNATURE, b"lost, and it was said")
            server.start()
            await inbox.put(Lane.MESSAGES, "v", SIGNATURE, b"after")
            found = await InboxReader(redis).read(Lane.MESSAGES, {"v": "0"}, 100)
            assert [entry.webhooks[0].body for entry in found["v"]] == [b"before", b"after"]


async def test_redis_is_not_there() -> None:
    async with client("redis://127.0.0.1:9/0") as redis:
        inbox = make_inbox(redis)
        with pytest.raises(InboxUnavailable, match=r"127\.0\.0\.1:9"):
            await inbox.put(Lane.MESSAGES, "v", SIGNATURE, b"{}")
        assert inbox.writes == 0
        assert inbox.webhooks == 0


async def test_redis_is_full_and_is_emptied(own_valkey: RedisServer) -> None:
    async with client(own_valkey.url) as redis:
        await redis.flushall()
        inbox = make_inbox(redis)
        await inbox.put(Lane.MESSAGES, "v", SIGNATURE, b"{}")
        await redis.set("filling", bytes(2 * 1024 * 1024))
        await redis.config_set("maxmemory", 2 * 1024 * 1024)
        with pytest.raises(InboxUnavailable, match="used memory > 'maxmemory'"):
            await inbox.put(Lane.MESSAGES, "v", SIGNATURE, b"{}")
        await redis.config_set("maxmemory", 0)
        await inbox.put(Lane.MESSAGES, "v", SIGNATURE, b"{}")
        assert await InboxReader(redis).depth(Lane.MESSAGES, ["v"]) == 2


async def test_the_reason_does_not_repeat_the_webhook(own_valkey: RedisServer) -> None:
    async with client(own_valkey.url) as redis:
        await redis.flushall()
        await redis.set(keys.inbox(Lane.MESSAGES, "v"), "no stream")
        with pytest.raises(InboxUnavailable, match="WRONGTYPE") as raised:
            await make_inbox(redis).put(Lane.MESSAGES, "v", b"sha256=5", b"Dear Ada")
        assert "Ada" not in str(raised.value)
        assert "sha256" not in str(raised.value)


async def test_redis_is_too_slow(own_valkey: RedisServer) -> None:
    """Also for a webhook that waits behind a write that hangs, the time is counted from when it
    came."""

    async def put(inbox: Inbox, body: bytes) -> bool:
        """Return whether it was refused in time, by the loop, which may be late itself."""
        over = asyncio.create_task(after(1.6))
        with pytest.raises(InboxUnavailable):
            await inbox.put(Lane.MESSAGES, "v", SIGNATURE, body)
        in_time = not over.done()
        await cancel([over])
        return in_time

    async def after(seconds: float) -> None:
        await asyncio.sleep(seconds)
        for _ in range(20):  # what was due before that comes before that
            await asyncio.sleep(0)

    async with client(own_valkey.url) as outside, client(own_valkey.url, 1.0) as redis:
        await outside.flushall()
        inbox = make_inbox(redis, timeout_s=1.0)
        await inbox.put(Lane.MESSAGES, "v", SIGNATURE, b"before")
        await outside.client_pause(60_000, all=False)
        first = asyncio.create_task(put(inbox, b"first"))
        await asyncio.sleep(0.1)
        behind = asyncio.create_task(put(inbox, b"behind"))
        await asyncio.sleep(0.8)
        last = asyncio.create_task(put(inbox, b"last"))
        in_time = await asyncio.gather(first, behind, last)
        await outside.client_unpause()
        assert all(in_time)

        await inbox.close()
        await inbox.put(Lane.MESSAGES, "v", SIGNATURE, b"after")
        found = (await InboxReader(outside).read(Lane.MESSAGES, {"v": "0"}, 100))["v"]
        assert found[0].webhooks[0].body == b"before"
        assert found[-1].webhooks[0].body == b"after"


async def test_nobody_joins_a_group_whose_time_is_over(own_valkey: RedisServer) -> None:
    async with client(own_valkey.url) as outside, client(own_valkey.url, 5.0) as redis:
        await outside.flushall()
        inbox = make_inbox(redis, timeout_s=0.2)
        await outside.client_pause(60_000, all=False)
        writing = inbox.put(Lane.MESSAGES, "v", SIGNATURE, b"1")
        await asyncio.sleep(0.05)
        waiting = inbox.put(Lane.MESSAGES, "v", SIGNATURE, b"2")
        for put in (writing, waiting):
            with pytest.raises(InboxUnavailable, match=r"has not written it in 0\.2 s"):
                await put
        later = inbox.put(Lane.MESSAGES, "v", SIGNATURE, b"3")
        await outside.client_unpause()
        await later
        found = (await InboxReader(outside).read(Lane.MESSAGES, {"v": "0"}, 100))["v"]
        # The first one came through after all, as may happen; the second was never written.
        assert [entry.webhooks[0].body for entry in found] == [b"1", b"3"]


async def test_what_was_refused_is_not_written_later(own_valkey: RedisServer) -> None:
    async with client(own_valkey.url) as outside, client(own_valkey.url, 5.0) as redis:
        await outside.flushall()
        inbox = make_inbox(redis, timeout_s=0.1)
        await outside.client_pause(60_000, all=False)
        writing = inbox.put(Lane.MESSAGES, "v", SIGNATURE, b"1")
        await asyncio.sleep(0.05)
        waiting = inbox.put(Lane.MESSAGES, "v", SIGNATURE, b"2")
        for put in (writing, waiting):
            with pytest.raises(InboxUnavailable):
                await put
        await outside.client_unpause()
        await inbox.close()
        found = (await InboxReader(outside).read(Lane.MESSAGES, {"v": "0"}, 100))["v"]
        assert [entry.webhooks[0].body for entry in found] == [b"1"]
