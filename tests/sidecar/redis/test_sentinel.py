"""The primary is found by its Sentinels, again and again, and nothing stays with an old one."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any, cast

import pytest
import redis as blocking_redis

from contracts.jobs import Lane, drain
from sidecar.inbox.wakeups import WakeUpBroker, message
from sidecar.redis import sentinel
from sidecar.redis.client import (
    Redis,
    RedisUnavailable,
    ResponseError,
    blocking_pool,
    connect,
    script,
    with_patience,
)
from sidecar.redis.sentinel import NoPrimary, Primary, Sighting, primary_of
from sidecar.url import next_database, read_sentinel_url
from simulator.redis_group import RedisGroup
from simulator.redis_server import RedisServer
from tests.eventually import PATIENCE_S, eventually

#: Only what is broken off ends before this.
LONG_S = 4 * PATIENCE_S

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def group(redis_group: RedisGroup) -> RedisGroup:
    return redis_group


@pytest.fixture
async def client(group: RedisGroup) -> AsyncIterator[Redis]:
    async with aclosing(connect(group.url, timeout_s=2.0)) as client:
        await client.flushall()
        yield client


async def works(call: Callable[[], Any]) -> None:
    """Wait until a call is answered."""

    async def answered() -> bool:
        try:
            await call()
        except RedisUnavailable:
            return False
        return True

    await eventually(answered)


def port_of(client: Redis) -> set[int]:
    """Return where a client's connections lead."""
    pool: Any = client.connection_pool
    return {one.port for one in pool._available_connections if one.is_connected}


async def pop(client: Redis) -> object:
    return await cast(Any, client).blpop(["bell"], timeout=LONG_S)


async def fail_over(group: RedisGroup, old: RedisServer) -> RedisServer:
    return await asyncio.to_thread(group.wait_for_failover, old)


async def test_a_primary_that_is_lost(group: RedisGroup, client: Redis) -> None:
    acquire = script(client, "redis/acquire")
    assert await acquire(keys=["lease:a", "fence:a"], args=[1])
    await client.set("kept", 1)
    await client.wait(1, 1000)
    old = group.primary
    await asyncio.to_thread(group.lose, old)
    with pytest.raises(RedisUnavailable):
        await client.get("kept")
    new = await fail_over(group, old)
    await works(lambda: client.set("later", 1))
    assert port_of(client) == {new.port} != {old.port}
    assert await client.get("kept") == b"1"
    await asyncio.to_thread(group.add_replica)
    # The new one knows no scripts, in a transaction either.
    pipeline = client.pipeline()
    acquire = script(client, "redis/acquire")
    await acquire(keys=["lease:a", "fence:a"], args=[1], client=pipeline)
    assert await pipeline.execute()
    await client.script_flush()
    assert int(await acquire(keys=["lease:b", "fence:b"], args=[1])) > 0


async def test_a_primary_that_stands_still(group: RedisGroup, client: Redis) -> None:
    """Whoever waits for it, for however long, does no more when there is another one."""
    old = group.primary
    async with with_patience(client, LONG_S) as patient:
        waiting = asyncio.create_task(pop(patient))
        await eventually(lambda: blocked(group, old) == 1)
        with group.hung(old):
            await fail_over(group, old)
            with pytest.raises(RedisUnavailable):
                await wait_and_look(waiting, client)
            await asyncio.to_thread(group.add_replica)
            await works(lambda: patient.rpush("bell", 1))
            assert await patient.blpop(["bell"], timeout=1) == (b"bell", b"1")
    await asyncio.to_thread(group.settle)


async def test_a_primary_that_is_cut_off_and_answers(group: RedisGroup, client: Redis) -> None:
    """It takes what it is given until its Sentinels reach it again; nothing is given to it."""
    old = group.primary
    await client.set("before", 1)
    idle = connect(group.url, timeout_s=2.0)
    await idle.ping()
    async with with_patience(client, LONG_S) as patient, aclosing(idle):
        waiting = asyncio.create_task(pop(patient))
        await eventually(lambda: blocked(group, old) == 1)
        with group.isolated(old):
            await client.set("during", 1)
            new = await fail_over(group, old)
            with pytest.raises(RedisUnavailable):
                await wait_and_look(waiting, client)
            # Another client, which has done nothing since, knows what this one has learnt.
            await works(lambda: idle.set("after", 1))
            await works(lambda: client.get("after"))
            assert port_of(client) == port_of(idle) == {new.port}
            with group.client(old) as there:
                assert there.get("during") == b"1"
                assert there.get("after") is None
            await asyncio.to_thread(group.add_replica)
    await asyncio.to_thread(group.settle)


async def wait_and_look(waiting: "asyncio.Task[Any]", client: Redis) -> None:
    """Wait for somebody, while others work, as they do each second."""
    while not waiting.done():
        with suppress(*RedisUnavailable):
            await client.ping()
        await asyncio.sleep(0.1)
    await waiting


def blocked(group: RedisGroup, server: RedisServer) -> int:
    with group.client(server) as client:
        info: Any = client.info("clients")
    return int(info["blocked_clients"])


async def test_wake_ups(group: RedisGroup, client: Redis) -> None:
    """Dramatiq's client blocks, on a thread; and so does a command that waits on a third."""
    url = next_database(group.url)
    broker = WakeUpBroker(url, timeout_s=2.0)
    waiting = blocking_pool(url, socket_timeout=LONG_S)
    ended = threading.Event()

    def wait() -> None:
        connection = waiting.get_connection()
        try:
            connection.send_command("BLPOP", "bell", LONG_S)  # type: ignore[no-untyped-call]
            connection.read_response()
        except RedisUnavailable:
            ended.set()
        finally:
            waiting.release(connection)

    broker.enqueue(message(drain(Lane.MESSAGES)))
    old = group.primary
    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    await eventually(lambda: blocked(group, old) == 1)
    with group.isolated(old):
        await fail_over(group, old)
        await eventually(lambda: primary(group).known() and ended.is_set(), LONG_S)
        broker.enqueue(message(drain(Lane.STATUSES)))
        await asyncio.to_thread(group.add_replica)
    with group.client(group.primary, 1) as there:
        assert there.llen("dramatiq:statuses") == 1
    broker.close()
    waiting.disconnect()
    thread.join(PATIENCE_S)
    await asyncio.to_thread(group.settle)


def primary(group: RedisGroup) -> Primary:
    url = read_sentinel_url(group.url)
    assert url is not None
    return primary_of(url)


async def test_a_wrong_password_of_the_sentinels(group: RedisGroup) -> None:
    url = group.url.partition("?")[0] + "?sentinel_password=wrong"
    async with aclosing(connect(url, timeout_s=2.0)) as client:
        with pytest.raises(RedisUnavailable, match="invalid username-password pair"):
            await client.ping()


async def test_nobody_knows_such_a_primary(group: RedisGroup) -> None:
    url = group.url.replace("/mymaster/", "/another/")
    async with aclosing(connect(url, timeout_s=2.0)) as client:
        with pytest.raises(RedisUnavailable, match=r"primary another .* No such master"):
            await client.ping()


async def test_no_sentinel_listens() -> None:
    async with aclosing(connect("sentinel://127.0.0.1:9,[::1]:9/mymaster", timeout_s=2.0)) as one:
        with pytest.raises(RedisUnavailable, match=r"127.0.0.1:9: .*; \[::1\]:9: "):
            await one.ping()
    with pytest.raises(RedisUnavailable, match=r"127\.0\.0\.1:9: "):
        blocking_pool("sentinel://127.0.0.1:9/mymaster").get_connection()


def sighting(primary: str, epoch: int = 1, *, down: bool = False) -> Sighting:
    return Sighting(f"sentinel-{primary}-{epoch}", primary, epoch, down, 2, 3, ())


@pytest.fixture
def saying(monkeypatch: pytest.MonkeyPatch) -> tuple[Primary, list[Sighting | Exception]]:
    """What is known of a group, and what its Sentinels say."""
    url = read_sentinel_url("sentinel://0,1,2/mymaster")
    assert url is not None
    said: list[Sighting | Exception] = []
    found = Primary(url)

    def ask(address: str) -> Sighting:
        answer = said[int(address[0])]
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(found, "_ask", ask)
    return found, said


@pytest.mark.parametrize(
    ("answers", "found"),
    [
        ([sighting("a")] * 3, "a"),
        # One that was cut off has not heard of the failover.
        ([sighting("a", 1), sighting("b", 2), sighting("a", 1)], "b"),
        ([sighting("a", 1), blocking_redis.TimeoutError(), ResponseError("IDONTKNOW")], "a"),
        ([sighting("a", 1), sighting("a", 1, down=True), sighting("a", 1, down=True)], "a"),
        # The Sentinels were set up anew, and count from 0.
        ([sighting("c", 0)] * 3, "c"),
    ],
)
def test_who_is_believed(
    saying: tuple[Primary, list[Sighting | Exception]],
    answers: list[Sighting | Exception],
    found: str,
) -> None:
    primary, said = saying
    said[:] = answers
    assert primary.search().result() == found == primary.known() == primary.address


def test_all_say_that_it_is_down(saying: tuple[Primary, list[Sighting | Exception]]) -> None:
    primary, said = saying
    down = sighting("a", down=True)
    said[:] = [down, blocking_redis.TimeoutError("late"), down]
    with pytest.raises(NoPrimary, match="1:26379: late; sentinel-a-1: the primary is down"):
        primary.search().result()
    assert primary.known() is None


class Connection:
    def __init__(self) -> None:
        self.left = 0

    def leave(self) -> None:
        self.left += 1


def test_what_is_known_is_looked_up_again(
    saying: tuple[Primary, list[Sighting | Exception]], monkeypatch: pytest.MonkeyPatch
) -> None:
    primary, said = saying
    said[:] = [sighting("a")] * 3
    follower = Connection()
    primary.follow(follower)
    primary.search().result()
    said[:] = [sighting("b", 2)] * 3
    assert primary.known() == "a"
    assert follower.left == 0
    monkeypatch.setattr(sentinel, "LOOK_S", 0.0)
    assert primary.known() == "a", "nobody waits for it"
    primary.search().result()
    assert primary.known() == "b"
    assert follower.left == 1
    said[:] = [blocking_redis.TimeoutError()] * 3
    with pytest.raises(NoPrimary):
        primary.search().result()
    assert primary.known() == "b", "what was known a moment ago holds"
    assert follower.left == 1
    monkeypatch.setattr(sentinel, "STALE_S", 0.0)
    assert primary.known() is None


async def test_sentinels_that_are_gone_stop_nobody(
    group: RedisGroup, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those who are connected go on; nobody else can find the primary."""
    await client.set("a", 1)

    def gone(address: str) -> Sighting:
        raise blocking_redis.ConnectionError("gone")

    found = primary(group)
    monkeypatch.setattr(found, "_ask", gone)
    monkeypatch.setattr(found, "_seen_at", time.monotonic() - 60)
    assert await client.get("a") == b"1"
    async with aclosing(connect(group.url, timeout_s=2.0)) as another:
        with pytest.raises(RedisUnavailable, match="gone"):
            await another.get("a")


async def test_a_name_that_moves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a managed service's does: the old primary answers still, and takes no writes."""
    where = ["127.0.0.1"]
    real = asyncio.BaseEventLoop.getaddrinfo

    async def resolve(loop: Any, host: str, port: Any, **options: Any) -> Any:
        return await real(loop, where[0] if host == "redis.test" else host, port, **options)

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", resolve)
    with RedisServer(tmp_path / "old") as old:
        other = RedisServer(tmp_path / "new", options=("--bind", "127.0.0.2"))
        other.port = old.port
        monkeypatch.setattr(RedisServer, "is_ready", lambda self: True)
        with other, blocking_redis.Redis(port=old.port) as there:
            url = f"redis://redis.test:{old.port}/0"
            async with aclosing(connect(url, timeout_s=5.0, max_connections=1)) as client:
                await client.set("a", 1)
                there.replicaof("127.0.0.2", old.port)
                where[0] = "127.0.0.2"
                pipeline = client.pipeline()
                pipeline.eval("return redis.call('INCR', 'a')", 0)
                with pytest.raises(RedisUnavailable, match="read only"):
                    await pipeline.execute()
                await works(lambda: client.incr("b"))
                with blocking_redis.Redis("127.0.0.2", old.port) as moved:
                    assert moved.get("b") == b"1"
                    assert moved.get("a") is None
