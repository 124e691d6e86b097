"""The accounting: what is read, and what shows a difference."""

from typing import Any

import pytest

from contracts.effects import EffectKind
from contracts.jobs import Lane
from sidecar.inbox.store import MAX_ENTRY_WEBHOOKS, Inbox
from sidecar.ops import accounting as counters
from sidecar.ops.accounting import Accounting, BalanceCheck, Counters
from sidecar.redis import keys
from sidecar.redis.client import Redis


@pytest.fixture
def accounting(redis: Redis) -> Counters:
    return Counters(redis)


async def receive(redis: Redis, *vendors: str, lane: Lane = Lane.MESSAGES) -> None:
    inbox = Inbox(redis, timeout_s=5, pending_limit_bytes=10**8, wake=lambda _lane: None)
    for vendor_uid in vendors:
        await inbox.put(lane, vendor_uid, b"", b"{}")
    await inbox.close()


async def only(counters: Counters) -> Accounting:
    [found] = await counters.read()
    return found


async def test_a_redis_without_anything_has_no_accounting(
    accounting: Counters, redis: Redis
) -> None:
    assert await accounting.read() == []
    await receive(redis, "v")
    await redis.flushall()
    assert await accounting.read() == []


async def test_webhooks_wait_in_their_lanes(accounting: Counters, redis: Redis) -> None:
    await receive(redis, "v", "v", "w")
    await receive(redis, "v", lane=Lane.STATUSES)
    first, second = await accounting.read()
    assert (first.vendor_uid, second.vendor_uid) == ("v", "w")
    assert first.webhooks == BalanceCheck("webhooks", 3, {"done": 0, "waiting": 3})
    assert first.waiting == {Lane.MESSAGES: 2, Lane.STATUSES: 1}
    assert second.webhooks.total == 1
    assert first.balanced
    assert second.balanced


async def test_everything_that_is_counted(accounting: Counters, redis: Redis) -> None:
    names = ("done", "ignored", "duplicates", "coalesced", "dead")
    sends = ("accepted", "failed", "requeued", "unknown", "released")
    counted: dict[Any, Any] = {name: 10**number for number, name in enumerate(names)}
    counted |= {name: 10**number for number, name in enumerate(sends)}
    counted |= {"webhooks_received": 7, "webhooks_done": 7, "updates": 11_115, "claimed": 11_112}
    counted |= {"effects": 113, "effects_done": 1, "effects_dropped": 10, "effects_dead": 100}
    await redis.hset(keys.counters("v"), mapping={**counted, "expired": 5, "skipped": 6})
    await redis.sadd(keys.VENDORS, "v")
    await redis.zadd(keys.deferred(Lane.MESSAGES), {"v/999": 1, "w/1": 1})
    await redis.zadd(keys.deferred(Lane.STATUSES), {"v/wamid/1": 1})
    await redis.rpush(keys.deferred_updates(Lane.MESSAGES, "v/999"), "a", "b", "c")
    await redis.rpush(keys.deferred_updates(Lane.MESSAGES, "w/1"), "a")
    await redis.rpush(keys.deferred_updates(Lane.STATUSES, "v/wamid/1"), "a")
    await redis.hset(keys.LEDGERS, mapping={"c1": "v", "c2": "w"})
    await redis.hset(keys.ledger("c1"), "row-1", "c:x")
    for kind, vendor_uid, name in (
        (EffectKind.FORWARD, "v", "e1"),
        (EffectKind.AI_REPLY, "v", "e2"),
        (EffectKind.AI_REPLY, "w", "e3"),
    ):
        await redis.zadd(keys.outbox_of(kind, vendor_uid), {name: 1})
        await redis.hset(keys.effects(kind, vendor_uid), name, "{}")
    counted = {"dead_too_old": 9997, "dead_discarded": 1, "effects_dead_too_many": 99}
    counted |= {"deferred_messages": 3, "deferred_statuses": 1}
    await redis.hset(keys.counters("v"), mapping=counted)
    for number, index in enumerate((*[keys.dead_updates("v")] * 2, keys.dead_effects("v"))):
        await redis.zadd(index, {str(number): 7 + number})
        await redis.hset(keys.dead_letters("v"), str(number), "{}")
    found = next(one for one in await accounting.read() if one.vendor_uid == "v")
    assert found.webhooks.parts == {"done": 7, "waiting": 0}
    assert found.updates.parts == {
        "done": 1,
        "ignored": 10,
        "duplicate": 100,
        "coalesced": 1000,
        "dead": 10_000,
        "waiting": 4,
    }
    assert found.sends.parts == {
        "accepted": 1,
        "failed": 10,
        "requeued": 100,
        "unknown": 1000,
        "released": 10_000,
        "in_flight": 1,
    }
    assert found.effects.parts == {"done": 1, "left_out": 10, "dead": 100, "waiting": 2}
    assert (found.expired, found.skipped) == (5, 6)
    left = {"too_old": 9997, "too_many": 0, "too_large": 0, "discarded": 1}
    assert found.check("dead_updates").parts == {"stored": 2, **left}
    assert found.check("dead_effects").parts["too_many"] == 99
    assert found.letters.number == 3
    assert found.letters.given_up_at == 7
    assert [check.difference for check in found.checks] == [0] * 10


# -- what shows --


async def test_a_stream_that_was_deleted_shows(accounting: Counters, redis: Redis) -> None:
    await receive(redis, "v", "v")
    await redis.delete(keys.inbox(Lane.MESSAGES, "v"))
    found = await only(accounting)
    assert found.webhooks.difference == 2
    assert not found.balanced


async def test_webhooks_that_nobody_received_show(accounting: Counters, redis: Redis) -> None:
    await receive(redis, "v")
    for _ in range(3):
        await redis.xadd(keys.inbox(Lane.MESSAGES, "v"), {"signature": "body"})
    assert (await only(accounting)).webhooks.difference == -3


async def test_a_stream_holds_no_more_than_its_entries_can(
    accounting: Counters, redis: Redis
) -> None:
    await receive(redis, "v")
    for name, key in (
        ("webhooks_received", keys.counters("v")),
        ("v", keys.waiting(Lane.MESSAGES)),
    ):
        await redis.hincrby(key, name, MAX_ENTRY_WEBHOOKS)
    assert (await only(accounting)).webhooks.difference == 1


async def test_a_list_that_was_deleted_shows(accounting: Counters, redis: Redis) -> None:
    await redis.sadd(keys.VENDORS, "v")
    await redis.hset(keys.counters("v"), "updates", 1)
    await redis.zadd(keys.deferred(Lane.MESSAGES), {"v/999": 1})
    assert (await only(accounting)).updates.difference == 1


async def test_an_update_that_nobody_counted_shows(accounting: Counters, redis: Redis) -> None:
    await redis.hset(keys.counters("v"), mapping={"updates": 1, "deferred_messages": 1})
    await redis.sadd(keys.VENDORS, "v")
    await redis.zadd(keys.deferred(Lane.MESSAGES), {"v/999": 1})
    await redis.rpush(keys.deferred_updates(Lane.MESSAGES, "v/999"), "a")
    assert (await only(accounting)).balanced
    await redis.rpush(keys.deferred_updates(Lane.MESSAGES, "v/999"), "b")
    assert (await only(accounting)).check("deferred").difference == -1


async def test_vendors_that_stand_in_no_list_show(accounting: Counters, redis: Redis) -> None:
    await redis.zadd(keys.DEAD, {"v": 1})
    await redis.hset(keys.dead_letters("v"), "a", "{}")
    assert (await only(accounting)).check("letters").difference == -1


async def test_a_ledger_that_was_deleted_shows(accounting: Counters, redis: Redis) -> None:
    await redis.sadd(keys.VENDORS, "v")
    await redis.hset(keys.counters("v"), "claimed", 3)
    await redis.hset(keys.LEDGERS, "c1", "v")
    assert (await only(accounting)).sends.difference == 3


# -- cost --


async def test_more_that_waits_than_is_looked_at(
    accounting: Counters, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then it is not known whether there is a difference, and nothing is claimed."""
    monkeypatch.setattr(counters, "MAX_ORDER_KEYS", 2)
    await redis.sadd(keys.VENDORS, "v")
    for number in range(3):
        await redis.zadd(keys.deferred(Lane.MESSAGES), {f"v/{number}": 1})
        await redis.rpush(keys.deferred_updates(Lane.MESSAGES, f"v/{number}"), "a")
    found = await only(accounting)
    assert found.updates.parts["waiting"] is None
    assert found.updates.difference is None
    assert found.balanced


async def test_more_vendors_than_are_read_at_once(
    accounting: Counters, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counters, "CHUNK", 2)
    await receive(redis, "a", "b", "c", "d", "e", "c")
    assert [(b.vendor_uid, b.webhooks.total) for b in await accounting.read()] == [
        ("a", 1),
        ("b", 1),
        ("c", 2),
        ("d", 1),
        ("e", 1),
    ]
