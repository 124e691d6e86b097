"""Webhooks are taken up to a share of Redis's memory, and Redis is not asked for each of them."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts.jobs import Lane
from sidecar.inbox.store import WEBHOOK_BYTES, EntryHead, Inbox, InboxReader, InboxUnavailable
from sidecar.redis import keys
from sidecar.redis.client import Redis, ResponseError, connect
from sidecar.redis.memory_guard import LOOK_AGAIN_S, LOOK_S, MAX_VENDORS, MemoryGuard, VendorShare
from simulator.redis_server import RedisServer
from tests.eventually import eventually
from tests.sidecar.conftest import MakeService
from tests.sidecar.payloads import message_webhook

MB = 1024 * 1024


class Asked:
    """A Redis that says how full it is. ``times`` counts the questions."""

    def __init__(self, used: int, most: int) -> None:
        self.times = 0
        self.refuses = False
        self.answer = {"used_memory": used, "maxmemory": most, "mem_not_counted_for_evict": 0}

    async def info(self, section: str) -> dict[str, Any]:
        assert section == "memory"
        self.times += 1
        if self.refuses:
            raise ResponseError("NOPERM this user has no permissions to run the 'info' command")
        return self.answer


class Watch:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def make_room(redis: Any, share: float = 0.8) -> tuple[MemoryGuard, Watch]:
    watch = Watch()
    return MemoryGuard(redis, share, watch), watch


async def test_up_to_the_share_and_not_beyond() -> None:
    redis = Asked(79 * MB, 100 * MB)
    room, watch = make_room(redis)
    assert await room.refusal(MB // 2) is None
    assert "80% of its maxmemory" in (await room.refusal(MB) or "")
    redis.answer["used_memory"] = 50 * MB
    watch.now += 2 * LOOK_AGAIN_S
    assert await room.refusal(MB) is None
    redis.answer["used_memory"] = 81 * MB
    watch.now += LOOK_S
    assert await room.refusal(1) is not None


async def test_redis_is_asked_once_a_second() -> None:
    redis = Asked(10 * MB, 100 * MB)
    room, watch = make_room(redis)
    for _ in range(1000):
        watch.now += 0.0095
        assert await room.refusal(1000) is None
        room.taken(1000)
    assert redis.times == 10


async def test_what_is_written_between_two_looks_counts() -> None:
    redis = Asked(79 * MB, 100 * MB)
    room, watch = make_room(redis)
    taken = 0
    while await room.refusal(1000) is None:
        room.taken(1000)
        taken += 1000
    assert 0.5 * MB < taken < MB
    assert redis.times == 1
    redis.answer["used_memory"] = 80 * MB
    for _ in range(50):
        watch.now += LOOK_AGAIN_S / 4.99
        assert await room.refusal(1000) is not None
    assert redis.times == 11


async def test_a_redis_without_a_limit_has_room() -> None:
    room, _ = make_room(Asked(10**12, 0))
    assert await room.refusal(10**9) is None


async def test_buffers_that_redis_does_not_count_are_not_counted() -> None:
    redis = Asked(85 * MB, 100 * MB)
    redis.answer["mem_not_counted_for_evict"] = 10 * MB
    room, _ = make_room(redis)
    assert await room.refusal(MB) is None


async def test_a_redis_that_does_not_say_is_asked_once() -> None:
    redis = Asked(99 * MB, 100 * MB)
    redis.refuses = True
    room, watch = make_room(redis)
    for _ in range(3):
        assert await room.refusal(MB) is None
        watch.now += LOOK_S
    assert redis.times == 1


# -- one vendor's share --


async def make_share(stored: Any, share: float = 0.25) -> tuple[VendorShare, Watch]:
    """Make shares of a Redis that webhooks may fill with 80 MB; ``stored`` is asked what is there
    of a vendor."""
    room, watch = make_room(Asked(10 * MB, 100 * MB))
    await room.refusal(0)
    return VendorShare(stored, room, share, watch), watch


class Stored:
    """A Redis that says how much is stored of a vendor."""

    def __init__(self) -> None:
        self.bytes: dict[str, int] = {}
        self.times = 0

    async def hget(self, key: str, field: str) -> bytes | None:
        assert field == keys.STORED_BYTES
        self.times += 1
        found = self.bytes.get(key)
        return None if found is None else b"%d" % found


async def test_a_vendor_has_its_share_and_others_have_theirs() -> None:
    share, _ = await make_share(Stored())
    assert share.take("a", 20 * MB) is None
    assert "vendor a fills 25% of the inbox" in (share.take("a", 1) or "")
    assert share.take("b", 20 * MB) is None
    share.stored({"a": 19 * MB})
    assert share.take("a", MB) is None
    assert share.take("a", 1) is not None
    await asyncio.sleep(0)


async def test_a_vendor_that_is_refused_is_looked_at_again_now_and_then() -> None:
    """It is not written for, so no write tells what is stored of it."""
    stored = Stored()
    share, watch = await make_share(stored)
    share.stored({"a": 20 * MB})
    stored.bytes[keys.counters("a")] = 20 * MB
    for _ in range(50):
        assert share.take("a", MB) is not None
        watch.now += LOOK_AGAIN_S / 9.99
        await asyncio.sleep(0)
    assert stored.times == 5
    stored.bytes[keys.counters("a")] = 3 * MB
    watch.now += LOOK_AGAIN_S
    assert share.take("a", MB) is not None
    await asyncio.sleep(0)
    assert share.take("a", MB) is None


async def test_where_there_is_no_limit_there_are_no_shares() -> None:
    room, watch = make_room(Asked(10 * MB, 0))
    await room.refusal(0)
    assert VendorShare(Stored(), room, 0.01, watch).take("a", 10**12) is None  # type: ignore[arg-type]


async def test_vendors_beyond_number_take_no_memory() -> None:
    share, _ = await make_share(Stored())
    for number in range(2 * MAX_VENDORS):
        share.take(f"v{number}", MB)
    assert len(share._stored) <= MAX_VENDORS + 1


# -- with a real one --


@pytest.fixture
def small(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "small") as server:
        yield server


async def limit(redis: Redis, free: int) -> int:
    """Leave Redis so many bytes, and return its limit."""
    memory: Any = await redis.info("memory")
    most = int(memory["used_memory"]) + free
    await redis.config_set("maxmemory", most)
    return most


async def refused(redis: Redis) -> int:
    """Return how many commands Redis has refused because it was full."""
    errors: Any = await redis.info("errorstats")
    return int(errors.get("errorstat_OOM", {}).get("count", 0))


async def test_a_flood_is_refused_before_redis_refuses_anything(
    make_service: MakeService, small: RedisServer
) -> None:
    service = await make_service(redis_url=small.url, inbox_memory_share=0.7)
    redis = connect(small.url, timeout_s=5)
    most = await limit(redis, 8 * MB)
    statuses: list[int] = []
    texts = iter(range(10**6))

    async def send() -> None:
        for _ in range(40):
            body = message_webhook(next(texts), "x" * 20_000)
            statuses.append((await service.webhook(body)).status_code)

    await asyncio.gather(*(send() for _ in range(20)))
    assert set(statuses) == {200, 503}
    assert await refused(redis) == 0
    kept = len(await service.bodies())
    assert kept == statuses.count(200), "what was acknowledged is there, and nothing else"
    memory: Any = await redis.info("memory")
    assert memory["used_memory"] < 0.8 * most
    await redis.flushall()

    async def taken_again() -> bool:
        return (await service.webhook(message_webhook(next(texts)))).status_code == 200

    await eventually(taken_again)
    await redis.aclose()


async def test_the_reason_is_given(small: RedisServer) -> None:
    redis = connect(small.url, timeout_s=5)
    await limit(redis, 0)
    inbox = Inbox(
        redis,
        timeout_s=5,
        pending_limit_bytes=MB,
        wake=lambda _lane: None,
        memory_share=0.5,
    )
    with pytest.raises(Exception, match="Redis is filled to 50% of its maxmemory"):
        await inbox.put(Lane.MESSAGES, "v", b"sha256=", b"{}")
    assert inbox.writes == 0
    await redis.aclose()


async def test_only_the_vendor_is_refused_whose_webhooks_fill_its_share(small: RedisServer) -> None:
    redis = connect(small.url, timeout_s=5)
    most = await limit(redis, 64 * MB)
    inbox = Inbox(
        redis, timeout_s=5, pending_limit_bytes=64 * MB, wake=lambda _lane: None, vendor_share=0.02
    )
    lane = Lane.MESSAGES
    await inbox.put(lane, "b", b"sha256=", b"{}")  # now it knows the limit
    for _ in range(int(0.02 * most // (100_000 + WEBHOOK_BYTES))):
        await inbox.put(lane, "a", b"sha256=", bytes(100_000))
    with pytest.raises(InboxUnavailable, match="vendor a fills 2% of the inbox"):
        inbox.put(lane, "a", b"sha256=", bytes(100_000))
    await inbox.put(lane, "b", b"sha256=", b"{}")
    await inbox.put(Lane.STATUSES, "b", b"sha256=", b"{}")
    [first, *_] = (await InboxReader(redis).read(lane, {"a": "0"}, 100))["a"]
    assert first.head == EntryHead(first.id, 1, 100_000 + WEBHOOK_BYTES)
    await redis.hincrby(keys.counters("a"), keys.STORED_BYTES, -first.size)

    async def taken_again() -> bool:
        try:
            await inbox.put(lane, "a", b"sha256=", bytes(100_000))
        except InboxUnavailable:
            return False
        return True

    await eventually(taken_again)
    await inbox.close()
    await redis.aclose()
