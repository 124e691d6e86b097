"""Campaigns on the list, and updates that wait to be tried again."""

from typing import Any

import orjson

from contracts.backend import CampaignState
from contracts.jobs import Lane
from sidecar.ops.backlog import (
    MAX_LOOKED_AT,
    REFUSED_MS,
    CampaignWork,
    read_campaigns,
    read_deferred,
)
from sidecar.ops.snapshot import Observer
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.sending.campaigns import campaign_lease
from sidecar.sending.halts import Halt, Halts

LANE = Lane.MESSAGES


async def campaigns(redis: Redis) -> list[CampaignWork]:
    return await read_campaigns(redis, await Observer(redis).read())


async def test_no_campaigns(redis: Redis) -> None:
    assert await campaigns(redis) == []


async def test_one_that_is_sent(redis: Redis) -> None:
    await redis.hset(keys.CAMPAIGNS, "c-1", "v-1")
    rows: dict[Any, Any] = {"r-1": b"c:1", "r-2": b"c:1", "r-3": b"s:1", "r-4": b"k:1"}
    await redis.hset(keys.ledger("c-1"), mapping=rows)
    await redis.set(keys.wait("c-1"), "the limit of the number")
    seconds, _ = await redis.time()
    await redis.set(keys.lease(campaign_lease("c-1")), (seconds - 60) * 1000)
    [one] = await campaigns(redis)
    assert (one.uid, one.vendor_uid, one.listed, one.state) == ("c-1", "v-1", True, "running")
    assert (one.claimed, one.sending, one.known, one.in_flight) == (2, 1, 1, 4)
    assert one.waits == "the limit of the number"
    assert one.held_s is not None
    assert 60 <= one.held_s < 120


async def test_one_that_gets_no_slots_for_the_moment(redis: Redis) -> None:
    await redis.hset(keys.CAMPAIGNS, "c-1", "v-1")
    await redis.set(keys.blocked("c-1"), "the Cloud API is down: HTTP 503")
    [one] = await campaigns(redis)
    assert (one.waits, one.waits_s) == ("the Cloud API is down: HTTP 503", 0)
    await redis.set(keys.wait("c-1"), "an hour", px=60_000)
    [one] = await campaigns(redis)
    assert one.waits == "an hour"
    assert one.waits_s > 50


async def test_one_that_is_halted_or_is_left_in_a_ledger_only(redis: Redis) -> None:
    await Halts(redis).put("halted", "v-1", Halt(CampaignState.PAUSED, "why"))
    await redis.hset(keys.LEDGERS, "left", "v-2")
    await redis.hdel(keys.CAMPAIGNS, "halted")
    halted, left = await campaigns(redis)
    assert (halted.uid, halted.state, halted.listed) == ("halted", "paused", False)
    assert halted.halt is not None
    assert halted.halt.reason == "why"
    assert (left.uid, left.vendor_uid, left.state) == ("left", "v-2", "settling")
    assert left.held_s is None


async def test_replies_are_no_campaign(redis: Redis) -> None:
    await redis.hset(keys.LEDGERS, "replies:v-1", "v-1")
    assert await campaigns(redis) == []


async def defer(redis: Redis, order_key: str, **update: Any) -> None:
    values = {"vendor_uid": "v-1", "received_at": await now(redis), **update}
    await redis.rpush(keys.deferred_updates(LANE, order_key), orjson.dumps(values))
    await redis.zadd(keys.deferred(LANE), {order_key: 10**15})


async def now(redis: Redis) -> int:
    seconds, _ = await redis.time()
    return int(seconds) * 1000


async def test_nothing_deferred(redis: Redis) -> None:
    found = await read_deferred(redis, await Observer(redis).read(), LANE)
    assert (found.reasons, found.refused) == ({}, {})
    assert (found.oldest_s, found.deaths, found.one_by_one) == (0.0, 0, 0)


async def test_why_updates_wait_the_most_frequent_first(redis: Redis) -> None:
    await defer(redis, "v-1/1", reason="locked", attempts=1)
    await defer(redis, "v-1/2")
    await defer(redis, "v-1/3", reason="locked", attempts=1, received_at=1)
    await defer(redis, "v-1/3", reason="not looked at")
    found = await read_deferred(redis, await Observer(redis).read(), LANE)
    assert list(found.reasons.items()) == [("locked", 2), ("behind an earlier one", 1)]
    assert found.oldest_s > 10**9, "since 1970"
    other = await read_deferred(redis, await Observer(redis).read(), Lane.STATUSES)
    assert other.reasons == {}


async def test_refused_twice_or_for_a_while(redis: Redis) -> None:
    late = await now(redis) - 2 * REFUSED_MS
    await defer(redis, "once/1", vendor_uid="once", reason="a", attempts=1)
    await defer(redis, "twice/1", vendor_uid="twice", reason="b", attempts=2)
    await defer(redis, "late/1", vendor_uid="late", reason="c", attempts=1, received_at=late)
    await defer(redis, "waits/1", vendor_uid="waits", attempts=0, received_at=late)
    early = {"kind": "status", "reason": "message_unknown", "attempts": 9}
    await defer(redis, "early/1", vendor_uid="early", received_at=late, **early)
    found = await read_deferred(redis, await Observer(redis).read(), LANE)
    assert found.refused == {"twice": "b", "late": "c"}


async def test_no_more_are_looked_at_than_are_needed(redis: Redis) -> None:
    for number in range(MAX_LOOKED_AT + 3):
        await defer(redis, f"v-1/{number}", reason="locked")
    found = await read_deferred(redis, await Observer(redis).read(), LANE)
    assert found.reasons == {"locked": MAX_LOOKED_AT}


async def test_a_vendor_with_many_hides_nobody(redis: Redis) -> None:
    for number in range(3 * MAX_LOOKED_AT):
        await defer(redis, f"a/{number}", vendor_uid="a")
    await defer(redis, "z/1", vendor_uid="z", reason="refused", attempts=2)
    found = await read_deferred(redis, await Observer(redis).read(), LANE)
    assert found.refused == {"z": "refused"}


async def test_the_last_drain_that_began_may_be_under_way(redis: Redis) -> None:
    for begun, deaths in ((1, 0), (3, 2)):
        await redis.sadd(keys.begun(LANE), *range(begun))
        await redis.hset(keys.crashes(LANE), "left", "40")
        found = await read_deferred(redis, await Observer(redis).read(), LANE)
        assert (found.deaths, found.one_by_one) == (deaths, 40)
