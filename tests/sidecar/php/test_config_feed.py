"""Changes of configuration: each process learns of each, once, and of those that it missed."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from contracts.sidecar_api import InvalidateRequest, InvalidateScope
from sidecar.php import config_feed as config_changes
from sidecar.php.config_feed import ConfigChanges
from sidecar.redis import keys
from sidecar.redis.client import Redis, RedisUnavailable, connect
from sidecar.tasks import cancel
from tests.eventually import PATIENCE_S, eventually

SETTINGS, BOTS = InvalidateScope.SETTINGS, InvalidateScope.BOTS


class Follower:
    """``told``: what it was told, None for everything."""

    def __init__(self) -> None:
        self.told: list[set[str] | None] = []
        self.renewals = 0

    def forget(self, changed: Iterable[str] | None) -> None:
        self.told.append(None if changed is None else set(changed))

    def renew(self) -> None:
        self.renewals += 1


class Process:
    """What a process has of it, which has begun."""

    def __init__(self, redis: Redis) -> None:
        self.settings, self.bots = Follower(), Follower()
        self.changes = ConfigChanges(redis, {SETTINGS: self.settings, BOTS: self.bots})

    async def begin(self) -> "Process":
        await self.changes.look()
        assert self.settings.told == self.bots.told == [None]
        self.settings.told.clear()
        self.bots.told.clear()
        return self


def change(
    *vendor_uids: str, scopes: Iterable[InvalidateScope] = (SETTINGS, BOTS)
) -> InvalidateRequest:
    return InvalidateRequest(vendor_uids=list(vendor_uids) or None, scopes=list(scopes))


@pytest.fixture
async def one(redis: Redis) -> Process:
    return await Process(redis).begin()


@pytest.fixture
async def other(redis: Redis) -> Process:
    return await Process(redis).begin()


async def test_every_process_learns_of_a_change(one: Process, other: Process) -> None:
    for number in range(3):
        await one.changes.announce(change(f"v{number}"))
        for process in (one, other):
            await process.changes.look()
            assert (
                process.settings.told.pop()
                == process.bots.told.pop()
                == ({f"v{number}"} if number else None)
            ), "the first change of all has nothing before it that can be seen"
            await process.changes.look()
            assert process.settings.told == process.bots.told == []


async def test_changes_by_their_scope(one: Process, other: Process) -> None:
    await one.changes.announce(change("v0"))
    await other.changes.look()
    other.settings.told.clear()
    other.bots.told.clear()
    await one.changes.announce(change("a", "b", scopes=[SETTINGS]))
    await one.changes.announce(change("c", scopes=[SETTINGS, BOTS]))
    await one.changes.announce(change("d", scopes=[]))
    await other.changes.look()
    assert other.settings.told == [{"a", "b", "c"}]
    assert other.bots.told == [{"c"}]

    await one.changes.announce(change("e", scopes=[BOTS]))
    await one.changes.announce(change(scopes=[BOTS]))
    await other.changes.look()
    assert other.bots.told == [{"c"}, None]
    assert other.settings.told == [{"a", "b", "c"}]


async def test_a_look_at_nothing_new_renews_what_is_left(one: Process) -> None:
    await one.changes.look()
    await one.changes.look()
    assert one.settings.renewals == one.bots.renewals == 2


async def test_a_change_of_many_vendors_is_one_of_all(one: Process, redis: Redis) -> None:
    await one.changes.announce(change("v0"))
    await one.changes.look()
    await one.changes.announce(change(*(f"v{number}" for number in range(1001))))
    await one.changes.look()
    assert one.settings.told == [None, None]
    entries: Any = await redis.xrange(keys.CONFIG_CHANGES)
    assert max(len(fields[1]) for _, fields in entries) < 100


# -- what was missed --


async def begun(one: Process) -> None:
    """Let there be a change that it has seen."""
    await one.changes.announce(change("before"))
    await one.changes.look()
    one.settings.told.clear()
    one.bots.told.clear()


async def test_a_gap(one: Process, other: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config_changes, "KEPT", 10)
    await begun(one)
    for number in range(300):
        await other.changes.announce(change(f"v{number}"))
    await one.changes.look()
    assert one.settings.told == one.bots.told == [None]


async def test_the_stream_stays_short(
    one: Process, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config_changes, "KEPT", 100)
    for number in range(500):
        await one.changes.announce(change(f"v{number}"))
    assert await redis.xlen(keys.CONFIG_CHANGES) <= config_changes.KEPT + 200


async def test_a_redis_that_was_wiped(one: Process, redis: Redis) -> None:
    await begun(one)
    await redis.flushall()
    await one.changes.look()
    assert one.settings.told == one.bots.told == [None]
    await one.changes.look()
    assert one.settings.told == [None]


async def test_a_redis_that_was_wiped_and_changed_as_often(
    one: Process, other: Process, redis: Redis
) -> None:
    """As many changes as before, while nobody looked."""
    await begun(one)
    await redis.flushall()
    await asyncio.sleep(0.002)  # ids are times, to the millisecond
    await other.changes.announce(change("after"))
    await one.changes.look()
    assert one.settings.told == one.bots.told == [None]


async def test_a_redis_that_has_gone_back_in_time(
    one: Process, other: Process, redis: Redis
) -> None:
    await begun(one)
    version: Any = await redis.get(keys.CONFIG_VERSION)
    stream: Any = await redis.dump(keys.CONFIG_CHANGES)
    await other.changes.announce(change("lost"))
    await one.changes.look()
    assert one.settings.told == [{"lost"}]
    await redis.set(keys.CONFIG_VERSION, version)
    await redis.restore(keys.CONFIG_CHANGES, 0, stream, replace=True)
    await other.changes.announce(change("after"))
    await one.changes.look()
    assert one.settings.told == [{"lost"}, None]


async def test_an_entry_that_cannot_be_read(one: Process, redis: Redis) -> None:
    await begun(one)
    for fields in ({"change": '{"scopes": ["weather"]}'}, {"change": "\ufffd"}):
        entry: Any = await cast(Any, redis).xadd(keys.CONFIG_CHANGES, fields)
        await redis.set(keys.CONFIG_VERSION, entry)
        await one.changes.look()
    assert one.settings.told == one.bots.told == [None, None]


async def test_without_redis() -> None:
    redis = connect("redis://127.0.0.1:9/0", timeout_s=1.0)
    process = Process(redis)
    with capture_logs() as logs:
        for _ in range(3):
            await process.changes.look()
    assert logs == []
    assert process.settings.told == []
    assert process.settings.renewals == 3
    with pytest.raises(RedisUnavailable):
        await process.changes.announce(change("v"))
    await redis.aclose()


async def test_what_redis_cannot_read_is_said_once_and_does_not_end_it(
    one: Process, redis: Redis
) -> None:
    await begun(one)
    await redis.delete(keys.CONFIG_VERSION)
    await cast(Any, redis).lpush(keys.CONFIG_VERSION, "not a string")
    with capture_logs() as logs:
        for _ in range(3):
            await one.changes.look()
        await redis.delete(keys.CONFIG_VERSION)
        await one.changes.announce(change("v"))
        await one.changes.look()
    assert [log["event"] for log in logs] == [
        "config_changes.unreadable",
        "config_changes.unreadable.resolved",
    ]
    assert one.settings.told != []


@asynccontextmanager
async def running(*processes: Process) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(process.changes.run()) for process in processes]
    try:
        yield
    finally:
        await cancel(tasks)
    assert all(task.cancelled() for task in tasks)


async def blocked(redis: Redis) -> int:
    clients: Any = await redis.info("clients")
    return int(clients["blocked_clients"])


async def commands(redis: Redis) -> int:
    stats: Any = await redis.info("commandstats")
    return sum(one["calls"] for name, one in stats.items() if name != "cmdstat_info")


async def test_it_waits_and_asks_for_nothing(
    one: Process, other: Process, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it learns it was told: it would look by itself when the test is long over."""
    monkeypatch.setattr(config_changes, "WAIT_S", 10 * PATIENCE_S)

    async def both_wait() -> bool:
        return await blocked(redis) == 2

    async with running(one, other):
        await eventually(both_wait)
        before = await commands(redis)
        await redis.blpop(["nothing"], 0.5)
        assert await commands(redis) == before + 1, "that one was ours"
        for number in range(3):
            await one.changes.announce(change(f"v{number}"))
            await eventually(lambda: one.settings.told and other.settings.told)
            told = None if number == 0 else {f"v{number}"}
            assert one.settings.told.pop() == other.settings.told.pop() == told
    assert one.settings.renewals == 0


async def test_a_wipe_is_noticed_and_what_is_left_renewed_without_a_change(
    one: Process, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config_changes, "WAIT_S", 0.05)
    await begun(one)
    async with running(one):
        await redis.flushall()
        await eventually(lambda: one.settings.told == [None])
        await eventually(lambda: one.settings.renewals > 1)
    assert one.settings.told == [None]


@pytest.mark.parametrize("fault", ["no version", "no stream"])
async def test_what_tells_of_a_change_again_and_again_is_not_asked_without_a_pause(
    one: Process, redis: Redis, fault: str
) -> None:
    """The stream and the version belong together; here somebody has taken one away."""
    await begun(one)
    await redis.delete(keys.CONFIG_VERSION if fault == "no version" else keys.CONFIG_CHANGES)
    if fault == "no stream":
        await redis.set(keys.CONFIG_CHANGES, "no stream")
    await one.changes.look()
    async with running(one):
        before = await commands(redis)
        await redis.blpop(["nothing"], 0.6)
        assert await commands(redis) < before + 2 * 3 * (0.6 / config_changes.PAUSE_S + 2)
