"""Draining while things break: nothing is lost, and nothing is applied twice."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from contracts import backend as contract
from contracts.jobs import Lane
from sidecar.clock import now_ms
from sidecar.inbox.partitions import drain_lease
from sidecar.inbox.store import InboxUnavailable
from sidecar.php.breaker import Breaker
from sidecar.php.client import Backend
from sidecar.redis import keys
from sidecar.redis.client import connect
from sidecar.redis.lease import Leases
from simulator.redis_server import RedisServer
from tests.conftest import MakeSettings
from tests.workers.conftest import MakeLane
from tests.workers.lane import LaneUnderTest
from tests.workers.payloads import some_texts, status, texts, webhook
from tests.workers.php import DROP, HTML_500, Answer, Call, Php, answer, results
from workers.inbox import drain as drain_module
from workers.inbox.processor import ILL_MAX_MS

BATCH = contract.PROCESS_WEBHOOKS
# -- PHP --


@pytest.mark.parametrize(
    "given", [HTML_500, Answer(503), Answer(200, b"<html>"), answer({"results": []}), DROP]
)
async def test_everything_waits_for_a_php_that_is_ill(
    php: Php, make_lane: MakeLane, given: Answer
) -> None:
    lane = make_lane(Lane.MESSAGES, update_max_attempts=1, update_retry_first_ms=10)
    illness = php.always(BATCH, given)
    await lane.receive(*some_texts(5), *some_texts(3, "99922"))
    for _ in range(5):
        await lane.drain()
        await lane.make_due()
        await asyncio.sleep(0.02)
    await lane.assert_balanced()
    assert "done" not in await lane.counters()
    php.forget(illness)
    await lane.drain_when_it_may()
    assert (await lane.counters())["done"] == 8


async def test_when_php_is_well_again_nobody_waits_for_long(php: Php, make_lane: MakeLane) -> None:
    """PHP failed on everything for an hour."""
    lane = make_lane(Lane.MESSAGES, update_retry_first_ms=1000, update_retry_longest_ms=3_600_000)
    php.always(BATCH, HTML_500)
    await lane.receive(*some_texts(1))
    for _ in range(9):
        await lane.drain()
        lane.delivery.breaker.worked()
        await lane.make_due()
    before = now_ms()
    await lane.drain()
    due_at = await lane.next_due_at()
    assert before < due_at <= now_ms() + ILL_MAX_MS


async def test_the_inbox_waits_for_a_php_that_is_down_and_says_why_once(
    php: Php, messages: LaneUnderTest
) -> None:
    await php.stop()
    await messages.receive(*some_texts(20))
    with capture_logs() as logs:
        for _ in range(10):
            await messages.drain()
        await php.start()
        await messages.drain_when_it_may()
    assert [log["event"] for log in logs] == ["php.failing", "php.failing.resolved"]
    assert "cannot connect" in logs[0]["reason"]
    assert (await messages.counters())["done"] == 20


async def test_nobody_knocks_while_the_breaker_is_open(
    php: Php, statuses: LaneUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drain_module, "MAX_RUN_S", 0.05)
    php.always(BATCH, Answer(503))
    statuses.delivery.breaker = Breaker("php.failing", first_s=60, longest_s=60)
    await statuses.receive(webhook(statuses=[status()]))
    for _ in range(3):
        assert await statuses.drain() is False, "the reconciler comes back to it"
    assert len(php.calls) == 1


async def test_a_status_is_not_given_up_because_php_is_down(php: Php, make_lane: MakeLane) -> None:
    lane = make_lane(Lane.STATUSES, update_max_attempts=1)
    php.always(BATCH, Answer(503))
    await lane.receive(webhook(statuses=[status()]))
    for _ in range(3):
        await lane.drain()
        lane.delivery.breaker.worked()
    assert await lane.waiting() == 1
    assert not await lane.redis.exists(keys.DEAD)


async def test_a_deferred_update_outlives_a_php_that_is_down(
    php: Php, statuses: LaneUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drain_module, "MAX_RUN_S", 0.3)
    refusing = php.when(BATCH, lambda call: results(call, "retry"))
    await statuses.receive(webhook(statuses=[status("wamid.1")]))
    await statuses.drain()
    php.forget(refusing)
    await php.stop()
    await statuses.make_due()
    await statuses.drain()
    [[waiting]] = (await statuses.deferred()).values()
    assert waiting.attempts == 1, "it was not tried"
    await php.start()
    await statuses.drain_when_it_may()
    assert (await statuses.counters())["done"] == 1


async def test_messages_after_one_that_php_went_away_on_stay_behind_it(
    php: Php, make_lane: MakeLane
) -> None:
    """The first of three is taken, then PHP goes away."""
    messages = make_lane(Lane.MESSAGES, message_batch_size=1)
    calls: list[Call] = []

    def rule(call: Call) -> Answer | None:
        calls.append(call)
        return Answer(503) if len(calls) == 2 else None

    php.when(BATCH, rule)
    await messages.receive(*texts("a", "b", "c"))
    drain = messages.make(stopping=lambda: len(calls) >= 2)
    await drain.run()
    [waiting] = (await messages.deferred()).values()
    assert [(one.wamid, one.attempts) for one in waiting] == [("b", 0), ("c", 0)]
    assert php.taken == ["a"]
    messages.delivery.breaker.worked()
    await messages.drain_when_it_may()
    assert php.taken == ["a", "b", "c"]


# -- the lease --


async def steal(lane: LaneUnderTest) -> None:
    """Let somebody else have the lane, as when this process had stood still."""
    name = drain_lease(lane.lane)
    token = int(await lane.redis.get(keys.fence(name)) or 0) + 1
    await lane.redis.set(keys.fence(name), token)
    await lane.redis.set(keys.lease(name), token)


async def give_back(lane: LaneUnderTest) -> None:
    await lane.redis.delete(keys.lease(drain_lease(lane.lane)))


async def test_nothing_is_recorded_after_the_lease_is_lost(
    php: Php, messages: LaneUnderTest
) -> None:
    async def lose(call: Call) -> Answer:
        await steal(messages)
        return results(call)

    losing = php.when(BATCH, lose)
    await messages.receive(*some_texts(4))
    assert await messages.drain() is False
    assert await messages.counters() == {"webhooks_received": 4}
    assert await messages.waiting() == 4
    php.forget(losing)
    await give_back(messages)
    await messages.drain()
    assert (await messages.counters())["done"] == 4


async def test_two_holders_at_once_record_each_update_once(
    php: Php, messages: LaneUnderTest
) -> None:
    """The first one stands still while PHP has its batch; the second does all of it."""
    nested: list[Call] = []
    second = replace(messages, leases=Leases(messages.redis, 10_000))

    async def meanwhile(call: Call) -> Answer:
        if not nested:
            nested.append(call)
            await give_back(messages)
            await second.drain()
            assert (await messages.counters())["done"] == 4
        return results(call)

    php.when(BATCH, meanwhile)
    await messages.receive(*some_texts(4))
    await messages.drain()
    assert (await messages.counters())["done"] == 4


async def test_redis_is_wiped_in_the_middle(php: Php, messages: LaneUnderTest) -> None:
    async def wipe(call: Call) -> Answer:
        await messages.redis.flushdb()
        return results(call)

    php.when(BATCH, wipe)
    await messages.receive(*some_texts(4))
    assert await messages.drain() is False
    assert await messages.counters() == {}


# -- Redis --


async def test_a_full_redis_is_drained(
    php: Php, backend: Backend, make_settings: MakeSettings, tmp_path: Path
) -> None:
    """It takes nothing more in; but what is in it leaves, and that makes room."""
    with RedisServer(tmp_path) as server:
        redis = connect(server.url, timeout_s=5)
        lane = LaneUnderTest(Lane.MESSAGES, make_settings(), redis, Leases(redis, 10_000), backend)
        php.rules.append(lambda call: results(call, "retry") if b"99922" in call.body else None)
        await lane.receive(*some_texts(20), *some_texts(5, "99922"))
        await redis.config_set("maxmemory", 1)
        with pytest.raises(InboxUnavailable):
            await lane.receive(*some_texts(1))
        await lane.drain()
        await lane.assert_balanced()
        assert (await lane.counters())["done"] == 20
        assert await lane.waiting() == 0
        assert [len(waiting) for waiting in (await lane.deferred()).values()] == [5]
        await redis.aclose()
