"""A person lifts what holds a number, an account or an app."""

import pytest

from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.sending.lifting import lift
from sidecar.sending.numbers import Outage

FAR_US = 4_000_000_000_000_000


async def held(redis: Redis, key: str, reason: str) -> None:
    await redis.hset(key, mapping={"until": FAR_US, "pause": 1, "reason": reason, "rate": 80})


async def down(redis: Redis, line: str) -> None:
    await redis.hset(keys.outage(line), mapping={"since": 1, "reason": "HTTP 502", "pause": 1})


async def test_nothing_is_held(redis: Redis) -> None:
    assert await lift(redis, "number", "110") == []
    assert await lift(redis, "account", "waba") == []
    await redis.hset(keys.number("110"), mapping={"until": 1, "pause": 1, "reason": "over"})
    assert await lift(redis, "number", "110") == []


async def test_all_that_holds_a_number(redis: Redis) -> None:
    await held(redis, keys.number("v-1/110"), "131057 maintenance")
    await redis.hset(keys.number("v-1/110"), mapping={"ceiling": "0.5", "climbs_from": 1})
    await down(redis, "v-1/110")
    assert await lift(redis, "number", "v-1/110") == [
        "the hold: 131057 maintenance",
        "the slowed rate",
        "the outage: HTTP 502",
    ]
    assert await redis.hgetall(keys.number("v-1/110")) == {b"rate": b"80"}
    assert not await redis.hexists(keys.outage("v-1/110"), "since")


async def test_a_number_whose_outage_was_lifted_is_on_trial(redis: Redis) -> None:
    """If the Cloud API is still down, one call is enough to know it."""
    await down(redis, "110")
    assert await lift(redis, "number", "110") == ["the outage: HTTP 502"]
    left = await redis.hgetall(keys.outage("110"))
    assert int(left[b"trial_until"]) - int(left[b"last_until"]) == 60_000_000
    assert left[b"carry"] == b"1"
    assert 0 < await redis.pttl(keys.outage("110")) <= 60_000
    assert await lift(redis, "number", "110") == []


@pytest.mark.parametrize("scope", ["account", "app"])
async def test_a_hold_of_others(redis: Redis, scope: str) -> None:
    await held(redis, keys.hold(scope, "x"), "80007 calls")
    assert await lift(redis, scope, "x") == ["the hold: 80007 calls"]
    assert not await redis.hexists(keys.hold(scope, "x"), "until")


async def test_another_number_stays_held(redis: Redis) -> None:
    await held(redis, keys.number("110"), "held")
    await lift(redis, "number", "v-1/110")
    assert await redis.hexists(keys.number("110"), "until")


async def test_campaigns_that_wait_for_it_look_again(redis: Redis) -> None:
    waits = {"c-1": "80007 calls", "c-2": str(Outage("HTTP 502", 0.0)), "c-3": "134101 syncing"}
    for campaign, reason in waits.items():
        await redis.hset(keys.CAMPAIGNS, campaign, "v-1")
        await redis.set(keys.wait(campaign), reason)
    await held(redis, keys.number("110"), "80007 calls")
    await down(redis, "110")
    await lift(redis, "number", "110")
    assert [await redis.exists(keys.wait(campaign)) for campaign in waits] == [0, 0, 1]


async def test_only_what_can_be_held(redis: Redis) -> None:
    with pytest.raises(ValueError, match="token"):
        await lift(redis, "token", "v-1")
