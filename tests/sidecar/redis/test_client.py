"""Connections to Redis: nothing is repeated behind the caller's back, and all are closed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest
import uvloop
from redis.exceptions import ResponseError

from sidecar.redis.client import UNAVAILABLE, Redis, RedisError, connect, reason_of, script
from tests.eventually import eventually


async def clients(redis: Redis) -> int:
    return len(await redis.client_list())


async def commands(reader: asyncio.StreamReader) -> AsyncIterator[str]:
    """Yield the names of the commands that come in on a connection."""
    while header := await reader.readline():
        words = []
        for _ in range(int(header[1:])):
            size = int((await reader.readline())[1:])
            words.append((await reader.readexactly(size + 2))[:-2])
        yield words[0].decode().upper()


async def test_a_write_whose_answer_was_lost_is_not_repeated() -> None:
    writes: list[str] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer what a connection begins with, and break off at the write."""
        async for command in commands(reader):
            if command in ("INCRBY", "MULTI"):
                writes.append(command)
                break
            writer.write(b"+OK\r\n")
        writer.close()

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
        url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/1"
        async with aclosing(connect(url, timeout_s=1.0)) as client:
            with pytest.raises(UNAVAILABLE):
                await client.incr("a")
            assert writes == ["INCRBY"]
            pipeline = client.pipeline(transaction=True)
            pipeline.incr("a")
            with pytest.raises(UNAVAILABLE):
                await pipeline.execute()
            assert writes == ["INCRBY", "MULTI"]


async def test_nobody_listens() -> None:
    client = connect("redis://127.0.0.1:9/0", timeout_s=1.0)
    with pytest.raises(UNAVAILABLE):
        await client.get("a")
    await client.aclose()


async def test_no_answer_in_time() -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as silent:
        url = f"redis://127.0.0.1:{silent.sockets[0].getsockname()[1]}"
        async with aclosing(connect(url, timeout_s=0.1)) as client:
            with pytest.raises(UNAVAILABLE):
                await client.get("a")


async def test_connections_are_limited_and_waited_for(redis: Redis, redis_url: str) -> None:
    before = await clients(redis)
    client = connect(redis_url, timeout_s=5.0, max_connections=2)
    await asyncio.gather(*(client.blpop(["nothing"], timeout=0.05) for _ in range(6)))
    assert await clients(redis) == before + 2
    await client.aclose()
    await eventually(lambda: _are(redis, before))


async def _are(redis: Redis, count: int) -> bool:
    return await clients(redis) == count


async def test_waiting_for_a_connection_ends(redis_url: str) -> None:
    client = connect(redis_url, timeout_s=0.1, max_connections=1)
    async with client.pubsub() as holding:
        await holding.subscribe("nothing")
        with pytest.raises(UNAVAILABLE):
            await client.get("a")
    assert await client.get("a") is None
    await client.aclose()


async def test_fields_of_an_entry_come_as_they_are(redis: Redis) -> None:
    """Also where one comes twice."""
    fields = [b"a", b"1", b"a", b"2", b"\xff", b""]
    untyped: Any = redis
    entry_id = await untyped.execute_command("XADD", "s", "*", *fields)
    assert await untyped.execute_command("XRANGE", "s", "-", "+") == [[entry_id, fields]]
    pipeline = untyped.pipeline(transaction=False)
    pipeline.execute_command("XRANGE", "s", "-", "+")
    assert await pipeline.execute() == [[[entry_id, fields]]]


async def test_scripts_survive_a_wiped_redis(redis: Redis) -> None:
    acquire = script(redis, "redis/acquire")
    assert int(await acquire(keys=["lease:a", "fence:a"], args=[1000])) > 0
    assert int(await acquire(keys=["lease:a", "fence:a"], args=[1000])) == 0
    await redis.flushall()
    await redis.script_flush()
    assert int(await acquire(keys=["lease:a", "fence:a"], args=[1000])) > 0


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RedisError("LOADING the dataset"), "LOADING the dataset"),
        (RedisError(), "RedisError"),
        (TimeoutError(), "TimeoutError"),
        (
            ResponseError("Command # 3 (XADD inbox Dear Ada) of pipeline caused error: WRONGTYPE"),
            "WRONGTYPE",
        ),
    ],
)
def test_the_reason_of_an_error(error: Exception, reason: str) -> None:
    assert reason_of(error) == reason


def test_a_connection_that_uvloop_finds_closed_is_unavailable(redis_url: str) -> None:
    """uvloop raises RuntimeError there; a worker once stood still for it."""

    async def use_after_close() -> None:
        client = connect(redis_url, timeout_s=2)
        pool: Any = client.connection_pool
        connection = await pool.get_connection()
        try:
            connection._writer.transport.abort()
            await asyncio.sleep(0)
            with pytest.raises(UNAVAILABLE):
                await connection.send_command("PING")
        finally:
            await pool.release(connection)
            await client.aclose()

    uvloop.run(use_after_close())
