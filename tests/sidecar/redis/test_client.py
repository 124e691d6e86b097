"""Connections to Redis: nothing is repeated behind the caller's back, and all are closed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import uvloop
from redis.exceptions import DataError, ResponseError

from sidecar.redis import client as module
from sidecar.redis.client import (
    Redis,
    RedisUnavailable,
    connect,
    reason_of,
    script,
    with_patience,
)
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
            with pytest.raises(RedisUnavailable):
                await client.incr("a")
            assert writes == ["INCRBY"]
            pipeline = client.pipeline(transaction=True)
            pipeline.incr("a")
            with pytest.raises(RedisUnavailable):
                await pipeline.execute()
            assert writes == ["INCRBY", "MULTI"]


async def answering(reply: bytes, call: Callable[[Redis], Awaitable[object]]) -> None:
    """Make a call to a Redis that answers it so."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async for command in commands(reader):
            known = command in ("SELECT", "CLIENT")
            writer.write(b"+OK\r\n" if known else b"%s\r\n" % reply)
        writer.close()

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
        url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with aclosing(connect(url, timeout_s=1.0)) as client:
            await call(client)


@pytest.mark.parametrize(
    "reply",
    [
        "-LOADING Redis is loading the dataset in memory",
        "-OOM command not allowed when used memory > 'maxmemory'.",
        "-READONLY You can't write against a read only replica.",
        "-MISCONF Redis is configured to save RDB snapshots, but it is unable to persist to disk.",
        "-BUSY Redis is busy running a script.",
        "-NOREPLICAS Not enough good replicas to write.",
        "-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        "-NOPERM this user has no permissions to run the 'get' command",
        "-NOAUTH Authentication required.",
        "-DENIED Redis is running in protected mode",
        "-ERR max number of clients reached",
        "HTTP/1.1 400 Bad Request",
    ],
)
async def test_what_redis_refuses_for_now_is_unavailable(reply: str) -> None:
    with pytest.raises(RedisUnavailable):
        await answering(reply.encode(), lambda redis: redis.get("a"))


@pytest.mark.parametrize(
    "reply",
    [
        "-WRONGTYPE Operation against a key holding the wrong kind of value",
        "-ERR unknown command 'GETT'",
        "-ERR user_script:1: Script attempted to access nonexistent global variable 'x'",
    ],
)
async def test_a_fault_is_no_outage(reply: str) -> None:
    with pytest.raises(ResponseError) as raised:
        await answering(reply.encode(), lambda redis: redis.get("a"))
    assert not isinstance(raised.value, RedisUnavailable)


async def test_a_refusal_within_a_transaction_is_unavailable(redis: Redis) -> None:
    await redis.config_set("maxmemory", 1)
    try:
        pipeline = redis.pipeline(transaction=True)
        pipeline.set("a", 1)
        with pytest.raises(RedisUnavailable):
            await pipeline.execute()
    finally:
        await redis.config_set("maxmemory", 0)


async def test_a_script_that_fails_is_a_fault(redis: Redis) -> None:
    await redis.hset("fence:a", "x", "y")
    with pytest.raises(ResponseError) as raised:
        await script(redis, "redis/acquire")(keys=["lease:a", "fence:a"], args=[1000])
    assert not isinstance(raised.value, RedisUnavailable)


@pytest.mark.parametrize(
    "fault",
    [FileNotFoundError("grant.lua"), PermissionError("grant.lua"), TypeError(), DataError()],
    ids=lambda fault: type(fault).__name__,
)
def test_a_fault_of_ours_is_no_outage(fault: Exception) -> None:
    """A script that was missing was once taken for a Redis that is away, and tried for ever."""
    assert not isinstance(fault, RedisUnavailable)


def test_a_script_that_cannot_be_read_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.lua").write_text("-- include lib/missing.lua\n")
    monkeypatch.setattr(module, "_SCRIPTS", tmp_path)
    module._scripts.cache_clear()
    try:
        with pytest.raises(KeyError, match="lib/missing"):
            connect("redis://127.0.0.1:9", timeout_s=1.0)
    finally:
        module._scripts.cache_clear()


def test_a_script_that_does_not_exist(redis: Redis) -> None:
    with pytest.raises(KeyError, match="sending/nothing"):
        script(redis, "sending/nothing")


async def test_nobody_listens() -> None:
    client = connect("redis://127.0.0.1:9/0", timeout_s=1.0)
    with pytest.raises(RedisUnavailable):
        await client.get("a")
    await client.aclose()


async def test_no_answer_in_time() -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as silent:
        url = f"redis://127.0.0.1:{silent.sockets[0].getsockname()[1]}"
        async with aclosing(connect(url, timeout_s=0.1)) as client:
            with pytest.raises(RedisUnavailable):
                await client.get("a")


async def test_an_answer_may_take_longer_where_that_is_wanted(redis: Redis, redis_url: str) -> None:
    async with aclosing(connect(redis_url, timeout_s=0.1)) as client:
        with pytest.raises(RedisUnavailable):
            await client.blpop(["nothing"], 0.3)
        async with with_patience(client, 5.0) as patient:
            assert await patient.blpop(["nothing"], 0.3) is None
        async with with_patience(client, 0.1) as patient:
            with pytest.raises(RedisUnavailable):
                await patient.blpop(["nothing"], 0.6)


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
        with pytest.raises(RedisUnavailable):
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
        (ResponseError("LOADING the dataset"), "LOADING the dataset"),
        (ResponseError(), "ResponseError"),
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
            with pytest.raises(RedisUnavailable):
                await connection.send_command("PING")
        finally:
            await pool.release(connection)
            await client.aclose()

    uvloop.run(use_after_close())
