"""Taking over what PHP has stored, when something refuses or somebody dies: nothing is lost, and
nothing is applied twice."""

import asyncio
import uuid
from collections import Counter
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from contracts.jobs import Lane
from sidecar.inbox.store import Inbox, InboxReader, InboxUnavailable
from sidecar.redis.client import RedisUnavailable, connect
from sidecar.tasks import cancel
from simulator.redis_server import RedisServer
from tests.eventually import eventually
from tests.workers.conftest import MakeLane
from tests.workers.php import HTML_500, Answer, Call, answer, hang
from tests.workers.stored_webhooks import PENDING, TABLE, Stored, text
from workers.inbox.php_backlog import Backlog

# -- what goes wrong --


@pytest.mark.parametrize("given", [HTML_500, Answer(200, b"]"), Answer(200, b"{}"), Answer(503)])
async def test_php_does_not_answer(stored: Stored, given: Answer) -> None:
    await stored.store(b"1")
    gone = stored.php.always(PENDING, given)
    with capture_logs() as logs:
        for _ in range(3):
            assert await stored.backlog.take_over(stored.lease) is False
        stored.php.forget(gone)
        assert await stored.backlog.take_over(stored.lease) is False
    assert [log["event"] for log in logs] == [
        "stored_webhooks.not_adopted",
        "stored_webhooks.not_adopted.resolved",
        "stored_webhooks.adopted",
    ]
    assert await stored.inbox(Lane.MESSAGES) == [b"1"]
    assert stored.left == 0


async def test_php_does_not_delete(stored: Stored) -> None:
    """They come again, and are duplicates. Not over and over in a moment."""
    await stored.store(b"1")
    deaf = stored.on_deletion(answer({"webhooks": [], "deleted": 0, "pending": 1}))
    with capture_logs() as logs:
        for _ in range(2):
            assert await stored.backlog.take_over(stored.lease) is False
    assert await stored.inbox(Lane.MESSAGES) == [b"1", b"1"]
    assert [log["event"] for log in logs].count("stored_webhooks.not_adopted") == 1
    stored.php.forget(deaf)
    assert await stored.backlog.take_over(stored.lease) is False
    assert stored.left == 0


async def test_the_inbox_refuses(
    stored: Stored, small_pages: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is on disk is named, so that it is not written again while Redis is full."""
    monkeypatch.setattr("workers.inbox.php_backlog.WRITE_WEBHOOKS", 1)
    bodies = [b"%d" % number for number in range(5)]
    await stored.store(*bodies)
    put, room = Inbox.put, [True, True]

    def full(inbox: Inbox, *webhook: Any) -> asyncio.Future[None]:
        if not room:
            raise InboxUnavailable("OOM")
        room.pop()
        return put(inbox, *webhook)

    monkeypatch.setattr(Inbox, "put", full)
    with capture_logs() as logs:
        for _ in range(3):
            assert await stored.backlog.take_over(stored.lease) is False
    assert stored.left == 3
    assert sorted(log["event"] for log in logs) == [
        "stored_webhooks.adopted",
        "stored_webhooks.not_adopted",
    ]
    room += [True] * 9
    assert await stored.backlog.take_over(stored.lease) is False
    assert await stored.inbox(Lane.MESSAGES) == bodies
    assert stored.left == 0


async def test_redis_is_almost_full(stored: Stored, tmp_path: Path) -> None:
    """The rest of it is for the work that has begun."""
    await stored.store(b"1", b"2")
    with RedisServer(tmp_path / "redis") as server:
        async with aclosing(connect(server.url, timeout_s=5.0)) as redis:
            backlog = Backlog(redis, stored.backend, stored.rung.append, memory_share=0.5)
            await redis.set("filling", bytes(4 * 1024 * 1024))
            await redis.config_set("maxmemory", 8 * 1024 * 1024)
            with capture_logs() as logs:
                assert await backlog.take_over(stored.lease) is False
            assert "maxmemory" in logs[0]["reason"]
            assert (stored.left, stored.named()) == (2, [])
            await redis.delete("filling")

            async def taken() -> bool:
                await backlog.take_over(stored.lease)
                return stored.left == 0

            await eventually(taken)
            assert await InboxReader(redis).depth(Lane.MESSAGES, [stored.vendor.uid]) == 1


async def test_redis_is_too_slow(
    stored: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing goes on behind the back of whoever closes the connection next."""
    monkeypatch.setattr("workers.inbox.php_backlog.WRITE_TIMEOUT_S", 0.1)
    await stored.store(b"1")
    with RedisServer(tmp_path / "redis") as server:
        async with aclosing(connect(server.url, timeout_s=1.0)) as redis:
            backlog = Backlog(redis, stored.backend, stored.rung.append)
            await redis.client_pause(60_000, all=False)
            assert await backlog.take_over(stored.lease) is False
            assert "inbox writer" not in [task.get_name() for task in asyncio.all_tasks()]
            assert (stored.left, stored.named()) == (1, [])


async def test_redis_is_away(stored: Stored) -> None:
    await stored.store(b"1")
    async with aclosing(connect("redis://127.0.0.1:9/0", timeout_s=1.0)) as redis:
        with pytest.raises(RedisUnavailable):
            await Backlog(redis, stored.backend, stored.rung.append).take_over(stored.lease)
    assert stored.left == 1


async def test_it_stops_when_its_lease_is_lost(stored: Stored, small_pages: None) -> None:
    """What was written is named all the same: that is true, whoever holds the lease."""
    await stored.store(*[b"{}"] * 7)
    stored.on_deletion(lambda _call: stored.lease.lost.set())
    assert await stored.backlog.take_over(stored.lease) is False
    assert stored.left == 4
    assert await stored.backlog.take_over(stored.lease) is False
    assert len(stored.fetched()) == 1


# -- whoever takes over dies --


async def handed_over(stored: Stored, make_lane: MakeLane) -> Counter[str]:
    """Drain the inbox, and return the messages in PHP's log with how often each is there."""
    await make_lane(Lane.MESSAGES, to=stored.backend).drain_when_it_may()
    logs = stored.embedded.rows("whatsapp_message_logs", vendors__id=stored.vendor.id)
    return Counter(log["wamid"] for log in logs)


async def test_before_php_is_told(stored: Stored, make_lane: MakeLane) -> None:
    wamids = [f"wamid.{uuid.uuid4()}" for _ in range(5)]
    await stored.store(*(text(wamid, stored.vendor) for wamid in wamids))
    stored.on_deletion(hang)
    task = asyncio.create_task(stored.backlog.take_over(stored.lease))
    await eventually(stored.named)
    await cancel([task])
    assert len(await stored.inbox(Lane.MESSAGES)) == stored.left == 5
    stored.php.rules.clear()
    assert await stored.another().take_over(stored.lease) is False
    assert stored.left == 0
    assert len(await stored.inbox(Lane.MESSAGES)) == 10
    assert await handed_over(stored, make_lane) == Counter(wamids)


async def test_before_php_is_told_and_the_inbox_is_drained_in_between(
    stored: Stored, make_lane: MakeLane
) -> None:
    wamids = [f"wamid.{uuid.uuid4()}" for _ in range(5)]
    await stored.store(*(text(wamid, stored.vendor) for wamid in wamids))
    stored.on_deletion(HTML_500)
    assert await stored.backlog.take_over(stored.lease) is False
    assert await handed_over(stored, make_lane) == Counter(wamids)
    stored.php.rules.clear()
    assert await stored.another().take_over(stored.lease) is False
    assert await handed_over(stored, make_lane) == Counter(wamids)
    counts = await make_lane(Lane.MESSAGES).counters(stored.vendor.uid)
    assert (counts["done"], counts["duplicates"]) == (5, 5)


async def test_before_php_says_that_it_has_deleted(stored: Stored, make_lane: MakeLane) -> None:
    wamids = [f"wamid.{uuid.uuid4()}" for _ in range(5)]
    await stored.store(*(text(wamid, stored.vendor) for wamid in wamids))
    lost = iter([False, True])

    async def do_and_drop(call: Call) -> Answer | None:
        if not next(lost, False):
            return None
        await stored.php._forward(call)
        return Answer(drop=True)

    stored.php.when(PENDING, do_and_drop)
    assert await stored.backlog.take_over(stored.lease) is False
    assert stored.left == 0
    assert await stored.another().take_over(stored.lease) is False
    assert await handed_over(stored, make_lane) == Counter(wamids)


async def test_while_the_page_comes(stored: Stored) -> None:
    await stored.store(b"1")
    stored.php.when(PENDING, hang)
    task = asyncio.create_task(stored.backlog.take_over(stored.lease))
    await eventually(stored.fetched)
    await cancel([task])
    assert (stored.left, await stored.inbox(Lane.MESSAGES)) == (1, [])


async def test_the_cron_was_faster(stored: Stored, make_lane: MakeLane) -> None:
    """It has handled the row, and deletes it, while the same row is taken over."""
    wamid = f"wamid.{uuid.uuid4()}"
    await stored.store(text(wamid, stored.vendor))

    async def cron(call: Call) -> None:
        await stored.backend.process_webhook(stored.vendor.uid, text(wamid, stored.vendor), "")
        stored.embedded.delete(TABLE)

    stored.on_deletion(cron)
    assert await stored.backlog.take_over(stored.lease) is False
    assert await handed_over(stored, make_lane) == Counter([wamid])
