"""What is stored of notifications: in one step, by the holder of the lease, bounded."""

from collections.abc import AsyncIterator

import orjson
import pytest

from sidecar.ops.notifications import (
    EMAIL,
    LEASE,
    MAX_WAITING,
    SLACK,
    WEBHOOK,
    Event,
    Notifications,
    TargetState,
    configured,
)
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.redis.lease import Lease, LeaseLost, Leases
from tests.conftest import MakeSettings
from tests.sidecar.notify.told import make_notification

EVENT = Event("redis-full", "Redis is full", "Empty it.", since=1, told_at=2, size=3)


@pytest.fixture
async def lease(redis: Redis) -> AsyncIterator[Lease]:
    async with Leases(redis, 10_000).hold(LEASE) as lease:
        assert lease is not None
        yield lease


@pytest.fixture
def stored(redis: Redis) -> Notifications:
    return Notifications(redis)


async def test_nothing(stored: Notifications, lease: Lease) -> None:
    assert await stored.events() == {}
    assert await stored.targets() == []
    assert await stored.targets(["slack"]) == [TargetState("slack")]
    assert await stored.next("slack") is None
    await stored.record(lease, {}, [], {}, 5)


async def test_an_event_and_its_notifications_are_stored_in_one_step(
    stored: Notifications, lease: Lease
) -> None:
    await stored.record(lease, {"a": EVENT, "b": EVENT}, [], {"slack": make_notification()}, 5)
    assert await stored.events() == {"a": EVENT, "b": EVENT}
    raw = await stored.next("slack")
    assert raw is not None
    assert orjson.loads(raw)["id"] == "n1"
    await stored.record(lease, {}, ["a"], {}, 5)
    assert list(await stored.events()) == ["b"]
    assert await stored.targets(["slack"]) == [TargetState("slack", waiting=1)]


async def test_without_the_lease_nothing_is_stored(
    stored: Notifications, lease: Lease, redis: Redis
) -> None:
    await redis.delete(lease.key)
    with pytest.raises(LeaseLost):
        await stored.record(lease, {"a": EVENT}, [], {"slack": make_notification()}, 5)
    assert not await redis.exists(keys.NOTIFY_EVENTS, keys.notify_queue("slack"))


async def test_a_queue_is_bounded_and_what_is_dropped_is_said(
    stored: Notifications, lease: Lease
) -> None:
    for number in range(MAX_WAITING + 2):
        queued = {"slack": make_notification(id_=str(number))}
        await stored.record(lease, {}, [], queued, 7)
    [state] = await stored.targets()
    assert (state.waiting, state.dropped, state.dropped_at) == (MAX_WAITING, 2, 7)
    raw = await stored.next("slack")
    assert raw is not None
    assert orjson.loads(raw)["id"] == "2"


async def test_a_target_that_fails_and_takes_it_in_the_end(
    stored: Notifications, lease: Lease
) -> None:
    await stored.record(lease, {}, [], {"slack": make_notification()}, 5)
    [state] = await stored.targets(["slack"])
    state = await stored.failed(lease, state, "it answers 500", 10, 15)
    state = await stored.failed(lease, state, "it answers 502", 20, 40)
    expected = TargetState("slack", 1, "it answers 502", failures=2, since=10, again_at=40)
    assert await stored.targets() == [expected] == [state]
    raw = await stored.next("slack")
    assert raw is not None
    await stored.taken(lease, state, raw)
    assert await stored.targets() == [TargetState("slack")]
    assert await stored.next("slack") is None


async def test_what_is_given_up(stored: Notifications, lease: Lease) -> None:
    await stored.record(lease, {}, [], {"slack": make_notification()}, 5)
    raw = await stored.next("slack")
    assert raw is not None
    state = await stored.give_up(lease, TargetState("slack", 1, failures=4), raw, 9)
    assert (state.dropped, state.dropped_at, state.failures) == (1, 9, 4)
    assert await stored.next("slack") is None


async def test_targets_that_are_not_in_the_settings_any_more(
    stored: Notifications, lease: Lease, redis: Redis
) -> None:
    await stored.record(lease, {}, [], {"slack": make_notification()}, 5)
    await stored.failed(lease, TargetState("slack"), "gone", 5, 6)
    await stored.forget_targets(lease, [])
    await stored.forget_targets(lease, ["slack"])
    assert not await redis.exists(keys.NOTIFY_TARGETS, keys.notify_queue("slack"))


async def test_what_was_told_while_redis_was_away_is_stored_once(stored: Notifications) -> None:
    await stored.add_told("redis-unavailable", EVENT)
    await stored.add_told("redis-unavailable", Event("x", "y", "z", since=9))
    assert await stored.events() == {"redis-unavailable": EVENT}


async def test_an_earlier_outage_that_is_over_gives_way(
    stored: Notifications, lease: Lease
) -> None:
    over = Event("redis-unavailable", "y", "z", since=1, told_at=1, over=True, returns=2)
    await stored.record(lease, {"redis-unavailable": over}, [], {}, 5)
    await stored.add_told("redis-unavailable", EVENT)
    [event] = (await stored.events()).values()
    assert (event.told_at, event.over, event.returns) == (EVENT.told_at, False, 3)


def test_what_the_settings_name(make_settings: MakeSettings) -> None:
    assert configured(make_settings()) == []
    settings = make_settings(
        notify_webhook_url="http://127.0.0.1:1/x",
        notify_webhook_keys="n:0123456789abcdef",
        notify_slack_url="https://slack.example/x",
        notify_email_to="ops@example.com",
    )
    assert configured(settings) == [WEBHOOK, SLACK, EMAIL]
