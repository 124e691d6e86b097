"""Webhooks are taken up to a share of Redis's memory, and Redis is not asked for each of them."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts.jobs import Lane
from sidecar.headroom import LOOK_AGAIN_S, LOOK_S, Headroom
from sidecar.inbox import Inbox
from sidecar.redis_client import Redis, ResponseError, connect
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


def make_room(redis: Any, share: float = 0.8) -> tuple[Headroom, Watch]:
    watch = Watch()
    return Headroom(redis, share, watch), watch


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
        ring=lambda _lane: None,
        memory_share=0.5,
    )
    with pytest.raises(Exception, match="Redis is filled to 50% of its maxmemory"):
        await inbox.put(Lane.MESSAGES, "v", b"sha256=", b"{}")
    assert inbox.writes == 0
    await redis.aclose()
