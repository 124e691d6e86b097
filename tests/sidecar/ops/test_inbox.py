"""What waits in the inbox: how much, since when, why, who drains it, and what is in it."""

import asyncio
from typing import Any

import pytest

from contracts.jobs import Lane, Queue
from sidecar.inbox.partitions import drain_lease
from sidecar.inbox.store import Inbox
from sidecar.metrics import MetricsRegistry
from sidecar.ops import inbox as ops_inbox
from sidecar.ops.ignored import IgnoredCount
from sidecar.ops.inbox import WaitingReader, by_reason, read_webhook, read_webhooks
from sidecar.ops.publisher import Telemetry
from sidecar.redis import keys
from sidecar.redis.client import Redis
from tests.sidecar.ops.test_waits import defer

MESSAGES = Lane.MESSAGES
OLD_MS = 60_000


async def put(redis: Redis, vendor_uid: str, *bodies: bytes, lane: Lane = MESSAGES) -> None:
    """Put webhooks into the inbox, all of them in one entry."""
    inbox = Inbox(redis, timeout_s=5, pending_limit_bytes=10**8, wake=lambda _lane: None)
    await asyncio.gather(*(inbox.put(lane, vendor_uid, b"sig", body) for body in bodies))
    await inbox.close()


async def put_old(redis: Redis, vendor_uid: str, ago_ms: int = OLD_MS) -> None:
    """Have a webhook wait for so long."""
    seconds, _ = await redis.time()
    at = seconds * 1000 - ago_ms
    await redis.xadd(keys.inbox(MESSAGES, vendor_uid), {"sig": b"{}"}, id=f"{at}-1")
    await redis.sadd(keys.ready(MESSAGES), vendor_uid)
    await redis.hincrby(keys.waiting(MESSAGES), vendor_uid, 1)


async def work(redis: Redis, **facts: Any) -> None:
    """Have a worker that lives."""
    told = {"queues": [Queue.MESSAGES.value], **facts}
    await Telemetry(redis, "worker", lambda: told, MetricsRegistry()).publish()


# -- lanes and vendors --


async def test_nothing_waits(redis: Redis) -> None:
    found = await WaitingReader(redis).read()
    for lane in Lane:
        assert (found[lane].vendors, found[lane].more, found[lane].breaker) == ([], 0, None)
        assert [one.holder for one in found[lane].partitions] == [None]
    assert await redis.keys("*") == []


async def test_by_vendor_most_of_it_first(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    await put(redis, "a", b"{}")
    await put(redis, "b", b"{}", b"{}")
    await put(redis, "c", b"{}", lane=Lane.STATUSES)
    await redis.hset(keys.counters("d"), keys.deferred_count(MESSAGES), 3)
    await redis.sadd(keys.VENDORS, "d")
    found = await WaitingReader(redis).read()
    seen = [(one.vendor_uid, one.webhooks, one.deferred) for one in found[MESSAGES].vendors]
    assert seen == [("b", 2, 0), ("a", 1, 0), ("d", 0, 3)]
    assert [one.vendor_uid for one in found[Lane.STATUSES].vendors] == ["c"]
    for one in found[MESSAGES].vendors[:2]:
        assert one.oldest_s is not None
        assert (one.oldest_s < 60, one.why) == (True, "")
    assert found[MESSAGES].vendors[2].oldest_s is None
    monkeypatch.setattr(ops_inbox, "MAX_VENDORS", 1)
    found = await WaitingReader(redis).read()
    assert ([one.vendor_uid for one in found[MESSAGES].vendors], found[MESSAGES].more) == (["b"], 2)
    mine = await WaitingReader(redis).vendor("d")
    assert (mine[MESSAGES].deferred, mine[Lane.STATUSES].deferred) == (3, 0)
    assert (await WaitingReader(redis).vendor("x"))[MESSAGES].webhooks == 0


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        (None, "no worker is running for messages"),
        ({}, "no worker has begun with it"),
        ({"leases": [drain_lease(MESSAGES)]}, "the worker is busy"),
        ({"breakers": {"messages": "500"}}, "PHP has not been reached yet: 500"),
        ({"isolated": {"messages": {"v": "slow"}}}, "the vendor is isolated, because PHP fails"),
    ],
)
async def test_why(redis: Redis, facts: dict[str, Any] | None, why: str) -> None:
    await put_old(redis, "v")
    if facts is not None:
        await work(redis, **facts)
    found = (await WaitingReader(redis).read())[MESSAGES]
    [one] = found.vendors
    assert one.why.startswith(why)
    assert one.oldest_s is not None
    assert 50 < one.oldest_s < 120
    assert found.breaker == (facts or {}).get("breakers", {}).get("messages")
    assert found.isolated == (facts or {}).get("isolated", {}).get("messages", {})


async def test_what_waits_for_a_retry(redis: Redis) -> None:
    await put_old(redis, "v")
    await defer(redis, "v/1", attempts=3, reason="the contact is locked")
    await defer(redis, "w/1", attempts=3, reason="the contact is gone")
    for vendor_uid in ("v", "w"):
        await redis.hset(keys.counters(vendor_uid), keys.deferred_count(MESSAGES), 1)
        await redis.sadd(keys.VENDORS, vendor_uid)
    first, second = (await WaitingReader(redis).read())[MESSAGES].vendors
    refused = "PHP refuses updates: the contact is"
    assert first.why == f"no worker is running for messages; {refused} locked"
    assert second.why == f"{refused} gone"
    assert (await WaitingReader(redis).vendor("w"))[MESSAGES].why == second.why


async def test_who_drains_which_part(redis: Redis) -> None:
    await redis.set(keys.partitions(MESSAGES), "2 5 17")
    seconds, _ = await redis.time()
    await redis.set(keys.lease(drain_lease(MESSAGES, 1)), (seconds - 30) * 1000)
    await work(redis, leases=[drain_lease(MESSAGES, 1)])
    first, second = (await WaitingReader(redis).read())[MESSAGES].partitions
    assert (first.index, first.holder, first.held_s) == (0, None, None)
    assert second.index == 1
    assert second.holder is not None
    assert second.held_s is not None
    assert 20 < second.held_s < 60


async def test_large_entries_are_not_all_read(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(redis, "a", b"x" * 2000, b"y")
    await put(redis, "b", b"{}")
    monkeypatch.setattr(ops_inbox, "MAX_HEAD_BYTES", 1000)
    first, second = (await WaitingReader(redis).read())[MESSAGES].vendors
    assert first.oldest_s is not None
    assert second.oldest_s is None


async def test_a_million_cost_no_more_than_a_hundred(redis: Redis) -> None:
    async def cost() -> int:
        await redis.config_resetstat()
        await WaitingReader(redis).read()
        await read_webhooks(redis, MESSAGES, "v")
        found = await redis.info("commandstats")
        return sum(int(one["calls"]) for one in found.values())

    await put(redis, "v", *[b"{}"] * 256)
    few = await cost()
    for _ in range(5):
        await put(redis, "v", *[b"{}"] * 256)
    await redis.hset(keys.waiting(MESSAGES), "v", 1_000_000)
    assert await cost() <= few


# -- webhooks --


async def all_of(redis: Redis, vendor_uid: str = "v") -> list[bytes]:
    found, after = list[bytes](), None
    while True:
        page = await read_webhooks(redis, MESSAGES, vendor_uid, after)
        assert len(page.webhooks) <= ops_inbox.PAGE
        found += [one.webhook.body for one in page.webhooks]
        after = page.after
        if after is None:
            return found


async def test_page_after_page(redis: Redis) -> None:
    assert await all_of(redis) == []
    bodies = [b"%d" % number for number in range(70)]
    await put(redis, "v", *bodies[:45])
    await put(redis, "v", bodies[45])
    await put(redis, "v", *bodies[46:])
    await put(redis, "w", b"other")
    assert await all_of(redis) == bodies


async def test_an_entry_that_has_gone_since(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ops_inbox, "PAGE", 3)
    for number in range(6):
        await put(redis, "v", b"%d" % number)
    page = await read_webhooks(redis, MESSAGES, "v")
    last = page.webhooks[-1]
    await redis.xdel(keys.inbox(MESSAGES, "v"), last.entry_id)
    again = await read_webhooks(redis, MESSAGES, "v", page.after)
    assert [one.webhook.body for one in again.webhooks] == [b"3", b"4", b"5"]
    assert await read_webhook(redis, MESSAGES, "v", last.at) is None


async def test_large_ones_end_a_page(redis: Redis) -> None:
    bodies = [b"x" * 600_000, b"y" * 600_000, b"z" * 600_000]
    for body in bodies:
        await put(redis, "v", body)
    page = await read_webhooks(redis, MESSAGES, "v")
    assert len(page.webhooks) == 2
    assert await all_of(redis) == bodies


async def test_one_webhook_and_what_php_has_of_its_entry(redis: Redis) -> None:
    await put(redis, "v", b"a", b"b", b"c")
    first, second, third = (await read_webhooks(redis, MESSAGES, "v")).webhooks
    assert [one.done for one in (first, second, third)] == [False] * 3
    await redis.hset(keys.cursor(MESSAGES), "v", f"{first.entry_id} 1 0")
    page = await read_webhooks(redis, MESSAGES, "v")
    assert [one.done for one in page.webhooks] == [True, False, False]
    one = await read_webhook(redis, MESSAGES, "v", second.at)
    assert one is not None
    assert (one.webhook.body, one.done, one.received_at) == (b"b", False, second.received_at)
    assert (await read_webhook(redis, MESSAGES, "v", first.at) or third).done
    assert await read_webhook(redis, MESSAGES, "v", f"{first.entry_id}:9") is None


@pytest.mark.parametrize("at", ["odd", "1:1", "1-:0", "1-1:x", "²-1:0", "1" * 50 + "-1:0"])
async def test_no_place(redis: Redis, at: str) -> None:
    with pytest.raises(ValueError, match="no place"):
        await read_webhook(redis, MESSAGES, "v", at)
    with pytest.raises(ValueError, match="no place"):
        await read_webhooks(redis, MESSAGES, "v", at)


async def test_the_beginning_of_time_is_a_place(redis: Redis) -> None:
    await put(redis, "v", b"a")
    assert await read_webhook(redis, MESSAGES, "v", "0-0:0") is None
    assert len((await read_webhooks(redis, MESSAGES, "v", "0-0:5")).webhooks) == 1
    await redis.xadd(keys.inbox(MESSAGES, "w"), {"sig": b"x"}, id="5-0")
    one = await read_webhook(redis, MESSAGES, "w", "5-0:0")
    assert one is not None
    assert one.webhook.body == b"x"


# -- ignored --


def test_ignored_by_reason() -> None:
    counts = [
        IgnoredCount("v", "a", 3, 10),
        IgnoredCount("w", "a", 2, 30),
        IgnoredCount("v", "b", 9, 20),
    ]
    assert by_reason(counts) == {"b": (9, 1, 20), "a": (5, 2, 30)}
    assert list(by_reason(counts)) == ["b", "a"]
