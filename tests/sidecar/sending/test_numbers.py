"""How fast the numbers are, by what the limiter has written."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.sending.lifting import lift
from sidecar.sending.numbers import (
    Budget,
    Held,
    LastOutage,
    NumberState,
    Outage,
    line_text,
    number_of,
    number_state,
    numbers,
)
from sidecar.sending.pauses import Paused, Pauses

FREE = NumberState("110", "v-1", 80.0, 80.0, 1.0, None, None, None, None, 0)
DAY_US = 86_400_000_000
PAUSED = Paused("number", "110", "v-1", 131048, "131048 spam limit", 5, False)


@pytest.mark.parametrize(
    ("line", "number", "vendor_uid", "text"),
    [("110", "110", None, "110"), ("v-1/110", "110", "v-1", "110 of vendor v-1")],
)
def test_a_line_is_of_all_vendors_or_of_one(
    line: str, number: str, vendor_uid: str | None, text: str
) -> None:
    assert number_of(line) == (number, vendor_uid)
    assert line_text(number, vendor_uid) == text
    assert replace(FREE, number=number, vendor_uid=vendor_uid).line == text


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({}, None),
        ({"effective_rate": 40.0}, "throttled not long ago; the rate is climbing"),
        ({"budget": Budget(5, 10, None)}, None),
        (
            {"budget": Budget(10, 10, 9.0)},
            "10 recipients of the portfolio in 24 hours are used up",
        ),
        (
            {"held": Held(5.0, "short"), "account_held": Held(9.0, "long"), "effective_rate": 1.0},
            "long",
        ),
        ({"app_held": Held(5.0, "calls"), "budget": Budget(10, 10, 9.0)}, "calls"),
        ({"held": Held(5.0, "short"), "paused": PAUSED}, str(PAUSED)),
        (
            {"held": Held(5.0, "short"), "outage": Outage("HTTP 502", 3.0)},
            "the Cloud API is down: HTTP 502",
        ),
    ],
)
def test_the_reason_that_matters_most(state: dict[str, Any], reason: str | None) -> None:
    assert replace(FREE, **state).reason == reason


async def test_nobody_has_asked_for_slots(redis: Redis) -> None:
    assert await numbers(redis) == []
    assert await number_state(redis, "v-1/110") is None


class Line:
    """A line that has sent, as ``grant.lua`` leaves it."""

    def __init__(self, redis: Redis, now_us: int) -> None:
        self.redis = redis
        self.now_us = now_us

    async def asked(self, **more: Any) -> None:
        known: dict[Any, Any] = {
            "rate": 80,
            "share": 0.5,
            "daily": 0,
            "recipients": keys.recipients("p"),
            "account": keys.hold("account", "waba"),
            "app": keys.hold("app", "a"),
            "pauses": orjson.dumps([PAUSED.name, "account:v-1/waba", "token:v-1"]),
            **more,
        }
        await self.redis.hset(keys.number("v-1/110"), mapping=known)
        await self.redis.zadd(keys.NUMBERS, {keys.number("v-1/110"): self.now_us})

    async def state(self) -> NumberState:
        state = await number_state(self.redis, "v-1/110")
        assert state is not None
        return state


@pytest.fixture
async def line(redis: Redis) -> Line:
    seconds, _ = await redis.time()
    return Line(redis, int(seconds) * 1_000_000)


async def test_what_was_given(line: Line, redis: Redis) -> None:
    await line.asked()
    assert await numbers(redis) == ["v-1/110"]
    state = await line.state()
    given = NumberState("110", "v-1", 80.0, 40.0, line.now_us / 1e6, None, None, None, None, 0)
    assert state == replace(given, account="waba", app="a")


async def test_holds_that_are_over_hold_nothing(line: Line, redis: Redis) -> None:
    await line.asked(until=line.now_us + 90 * 1_000_000, reason="number")
    until: dict[Any, Any] = {"until": line.now_us - 1, "reason": "account"}
    await redis.hset(keys.hold("account", "waba"), mapping=until)
    await redis.hset(keys.hold("app", "a"), mapping={**until, "until": line.now_us + DAY_US})
    state = await line.state()
    assert state.held == Held((line.now_us + 90 * 1_000_000) / 1e6, "number")
    assert state.account_held is None
    assert state.app_held == Held((line.now_us + DAY_US) / 1e6, "account")


async def test_recipients_of_24_hours(line: Line, redis: Redis) -> None:
    await line.asked(daily=3)
    hour = 3600 * 1_000_000
    written = {"old": line.now_us - 25 * hour}
    written |= {f"r-{ago}": line.now_us - ago * hour for ago in (1, 2)}
    await redis.zadd(keys.recipients("p"), written)
    assert (await line.state()).budget == Budget(2, 3, None)
    await redis.zadd(keys.recipients("p"), {"r-3": line.now_us - 3 * hour})
    free_at = (line.now_us - 3 * hour + DAY_US) / 1e6
    assert (await line.state()).budget == Budget(3, 3, free_at)
    await redis.zadd(keys.recipients("p"), {"r-4": line.now_us - 4 * hour})
    assert (await line.state()).budget == Budget(4, 3, free_at), "the one that makes room"


async def test_campaigns_that_would_send_faster(line: Line, redis: Redis) -> None:
    await line.asked()
    wants = {"c-1": line.now_us + DAY_US, "c-2": line.now_us + DAY_US, "c-3": line.now_us - DAY_US}
    await redis.zadd(keys.wanting("v-1/110"), wants)
    assert (await line.state()).campaigns_wanting == 2


async def test_what_a_person_must_resume(line: Line, redis: Redis) -> None:
    await line.asked()
    await Pauses(redis).put(PAUSED)
    assert (await line.state()).paused == PAUSED


async def test_an_outage_and_the_last_one(line: Line, redis: Redis) -> None:
    await line.asked()
    now, second = line.now_us, 1_000_000
    over: dict[Any, Any] = {
        "last_reason": "old",
        "last_since": now - 90 * second,
        "last_until": now - 80 * second,
    }
    await redis.hset(keys.outage("v-1/110"), mapping={**over, "looked": now})
    state = await line.state()
    last = LastOutage("old", now / 1e6 - 90, now / 1e6 - 80)
    assert (state.outage, state.last_outage) == (None, last)
    down: dict[Any, Any] = {"since": now - second, "reason": "HTTP 502", "until": now + second}
    await redis.hset(keys.outage("v-1/110"), mapping=down)
    state = await line.state()
    assert (state.outage, state.last_outage) == (Outage("HTTP 502", now / 1e6 - 1), last)


@pytest.mark.parametrize("probe_s", [None, -4.0, 1.0])
async def test_an_outage_that_nobody_probes_keeps_nothing_back(
    line: Line, redis: Redis, probe_s: float | None
) -> None:
    """There is nothing to send, so nobody knows whether it is over."""
    await line.asked()
    now, second = line.now_us, 1_000_000
    down: dict[Any, Any] = {"since": now - 60 * second, "reason": "r", "until": now - 6 * second}
    if probe_s is not None:
        down["probe_until"] = now + int(probe_s * second)
    await redis.hset(keys.outage("v-1/110"), mapping=down)
    assert ((await line.state()).outage is None) is (probe_s is None)


async def test_an_outage_that_was_lifted(line: Line, redis: Redis) -> None:
    """Nobody knows when it was over."""
    await line.asked()
    outage: dict[Any, Any] = {"since": line.now_us, "reason": "HTTP 502", "pause": 1}
    await redis.hset(keys.outage("v-1/110"), mapping=outage)
    await lift(redis, "number", "v-1/110")
    state = await line.state()
    assert (state.outage, state.last_outage) == (None, None)


async def test_times_move_back_with_redis_clock(line: Line, redis: Redis) -> None:
    """As the scripts count them; and nothing that was is in the future."""
    later = line.now_us + 1200 * 1_000_000
    held: dict[Any, Any] = {"until": later + 60 * 1_000_000, "reason": "r", "looked": later}
    await line.asked(**held)
    await redis.zadd(keys.NUMBERS, {keys.number("v-1/110"): later})
    await redis.hset(keys.hold("account", "waba"), mapping=held)
    times: dict[Any, Any] = {"since": later - 1, "reason": "r", "last_reason": "r", "looked": later}
    times["until"] = later
    await redis.hset(
        keys.outage("v-1/110"), mapping={**times, "last_since": later - 9, "last_until": later - 5}
    )
    state = await line.state()
    seconds, micros = await redis.time()
    now = seconds + micros / 1e6
    assert state.held is not None
    assert state.account_held is not None
    assert state.outage is not None
    assert state.last_outage is not None
    assert state.held.until == pytest.approx(now + 60, abs=2)
    assert state.account_held.until == pytest.approx(now + 60, abs=2)
    assert max(state.asked_at, state.outage.since, state.last_outage.until) <= now
