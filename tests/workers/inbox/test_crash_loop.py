"""Drains that do not come to their end are counted, and then the work is taken one by one."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from contracts import backend as contract
from contracts.jobs import Lane
from sidecar.php.client import Backend
from sidecar.redis import keys
from sidecar.redis.client import Hash, connect
from sidecar.redis.lease import Leases
from simulator.redis_server import RedisServer
from tests.conftest import MakeSettings
from tests.eventually import eventually
from tests.workers.conftest import MakeLane
from tests.workers.inbox.test_deaths import receive_together
from tests.workers.lane import LaneUnderTest
from tests.workers.payloads import VENDOR, message, some_texts, texts, webhook
from tests.workers.php import HTML_500, Answer, Php
from workers.inbox import split
from workers.inbox.clean import clean
from workers.inbox.commit import Commit
from workers.inbox.isolation import SharedLock

BATCH = contract.PROCESS_WEBHOOKS
MOST = 2


class Died(Exception):
    """Stands for the end of the process, or for an error that nobody thought of."""


@pytest.fixture
def deadly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever holds this text ends the process when it is taken apart."""

    def die(body: bytes) -> bytes:
        if b"KILLER" in body:
            raise Died
        return clean(body)

    monkeypatch.setattr(split, "clean", die)


@pytest.fixture
def lane(make_lane: MakeLane) -> LaneUnderTest:
    return make_lane(Lane.MESSAGES, crash_loop_threshold=MOST)


KILLER = webhook(messages=[message("99999", "KILLER")])


async def care(lane: LaneUnderTest) -> dict[str, str]:
    found = cast(Hash, await lane.redis.hgetall(keys.crashes(lane.lane)))
    begun = await lane.redis.scard(keys.begun(lane.lane))
    care = {name.decode(): value.decode() for name, value in found.items()}
    return {**care, "begun": str(begun)} if begun else care


async def die(lane: LaneUnderTest, times: int) -> None:
    for _ in range(times):
        with pytest.raises(Died):
            await lane.drain()


async def drain_to_the_end(lane: LaneUnderTest) -> int:
    """Drain until nothing is left. Return how often the process has died on the way."""
    deaths = 0

    async def empty() -> bool:
        nonlocal deaths
        try:
            await lane.drain()
        except Died:
            deaths += 1
        return not await lane.redis.exists(keys.ready(lane.lane), keys.deferred(lane.lane))

    await eventually(empty)
    return deaths


@pytest.mark.usefixtures("deadly")
async def test_the_one_that_kills_is_given_up_and_every_other_keeps_its_order(
    php: Php, lane: LaneUnderTest
) -> None:
    await receive_together(lane, *texts("a1", "b1"), KILLER, *texts("a2"))
    await lane.receive(*texts("a3", "a4"))
    await lane.receive(*texts("c1", "c2", sender="99922"), vendor="vendor-2")
    assert await drain_to_the_end(lane) == MOST + MOST
    assert [name for name in php.wamids if name[0] in "ab"] == ["a1", "b1", "a2", "a3", "a4"]
    assert [name for name in php.wamids if name[0] == "c"] == ["c1", "c2"]
    assert (await lane.counters())["dead"] == 1
    assert (await lane.counters())["done"] == 5
    await lane.assert_balanced()


@pytest.mark.usefixtures("deadly")
async def test_the_accounting_balances_at_every_death(php: Php, lane: LaneUnderTest) -> None:
    await receive_together(lane, *texts("a1"), KILLER, *texts("a2"), KILLER, *texts("a3"))
    for _ in range(3 * MOST + 3):
        try:
            await lane.drain()
        except Died:
            await lane.assert_balanced()
    await drain_to_the_end(lane)
    assert php.wamids == ["a1", "a2", "a3"], "none came twice"
    assert (await lane.counters())["dead"] == 2


async def test_a_drain_that_comes_to_its_end_is_not_counted(php: Php, lane: LaneUnderTest) -> None:
    for _ in range(MOST + 2):
        await lane.receive(*some_texts(2))
        await lane.drain()
        assert await care(lane) == {}
        await lane.drain()
        assert await care(lane) == {}


@pytest.mark.parametrize("given", [Answer(503), HTML_500])
async def test_a_drain_that_php_keeps_waiting_is_not_counted(
    php: Php, lane: LaneUnderTest, given: Answer
) -> None:
    rule = php.always(BATCH, given)
    await lane.receive(*some_texts(3), *some_texts(2, "99922"))
    for _ in range(2 * MOST):
        await lane.drain()
        assert "left" not in await care(lane)
        lane.delivery.breaker.worked()
    assert await care(lane) == {}
    php.forget(rule)
    await lane.drain_when_it_may()


async def test_something_settled_in_between_begins_the_count_anew(
    php: Php, lane: LaneUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers that are killed by something else, now and then."""
    commit = Commit.commit

    async def once(self: Commit) -> None:
        monkeypatch.setattr(Commit, "commit", die_at_commit)
        await commit(self)

    async def die_at_commit(_self: Commit) -> None:
        raise Died

    for _ in range(2 * MOST):
        monkeypatch.setattr(Commit, "commit", once)
        await lane.receive(*some_texts(1))
        php.when(BATCH, lambda call: None)
        await lane.drain()
        await lane.receive(*some_texts(1))
        await die(lane, MOST)
        assert int((await care(lane))["begun"]) == MOST
        monkeypatch.setattr(Commit, "commit", commit)
        await lane.drain()
    assert await care(lane) == {}


@pytest.mark.usefixtures("deadly")
async def test_php_is_ill_while_the_work_is_taken_one_by_one(php: Php, lane: LaneUnderTest) -> None:
    """Then it waits as ever, and is taken one by one again when the workers still die."""
    await receive_together(lane, *texts("a1"), KILLER)
    await die(lane, MOST)
    rule = php.always(BATCH, Answer(503))
    await die(lane, 1)
    assert await care(lane) == {}
    php.forget(rule)
    lane.delivery.breaker.worked()
    await drain_to_the_end(lane)
    counts = await lane.counters()
    assert (counts["done"], counts["dead"]) == (1, 1)
    assert await care(lane) == {}


@pytest.mark.usefixtures("deadly")
async def test_what_was_under_way_is_gone(php: Php, lane: LaneUnderTest) -> None:
    """Somebody has deleted the stream by hand."""
    await receive_together(lane, *texts("a1"), KILLER)
    await die(lane, MOST + 1)
    assert (await care(lane))["unit"].endswith(" 1 0")
    await lane.redis.delete(keys.inbox(lane.lane, VENDOR), keys.ready(lane.lane))
    await lane.drain()
    assert await care(lane) == {}
    await lane.redis.delete(keys.counters(VENDOR))
    await lane.receive(*texts("b1"))
    await lane.drain()
    assert (await lane.counters())["done"] == 1
    await lane.redis.delete(keys.counters(VENDOR))  # the accounting of a1 went with the stream


@pytest.mark.usefixtures("deadly")
async def test_it_is_taken_one_by_one_for_no_longer_than_a_batch(
    php: Php, make_lane: MakeLane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.inbox.drain.MAX_ENTRY_WEBHOOKS", 0)
    monkeypatch.setattr("workers.inbox.drain.MAX_DUE", 1)
    lane = make_lane(
        Lane.MESSAGES, crash_loop_threshold=MOST, message_batch_size=2, message_concurrency=2
    )
    await lane.receive(KILLER, *some_texts(20))
    await die(lane, MOST + MOST - 1)
    php.calls.clear()
    assert await drain_to_the_end(lane) == 1
    sizes = [len(batch) for batch in php.batches]
    assert sizes[:4] == [1, 1, 1, 1], "and the one that is given up is the first of five"
    assert max(sizes) > 1
    assert (await lane.counters())["done"] == 20


@pytest.mark.usefixtures("deadly")
async def test_it_works_in_a_full_redis(
    php: Php, backend: Backend, make_settings: MakeSettings, tmp_path: Path
) -> None:
    with RedisServer(tmp_path) as server:
        redis = connect(server.url, timeout_s=5)
        settings = make_settings(crash_loop_threshold=MOST)
        lane = LaneUnderTest(Lane.MESSAGES, settings, redis, Leases(redis, 10_000), backend)
        await receive_together(lane, *texts("a1"), KILLER, *texts("a2"))
        await redis.config_set("maxmemory", 1)
        await drain_to_the_end(lane)
        counts = await lane.counters()
        assert (counts["done"], counts["dead"]) == (2, 1)
        await redis.aclose()


# -- who works at the same time --


async def test_any_number_works_together_or_one_alone() -> None:
    lock = SharedLock()
    in_flight: list[str] = []
    most = {"together": 0, "alone": 0}

    async def work(how: str) -> None:
        async with getattr(lock, how)():
            in_flight.append(how)
            most[how] = max(most[how], len(in_flight))
            assert len(set(in_flight)) == 1
            await asyncio.sleep(0.001)
            in_flight.remove(how)

    await asyncio.gather(*(work("alone" if n % 7 == 3 else "together") for n in range(60)))
    assert most["alone"] == 1
    assert most["together"] > 1


async def test_who_wants_to_be_alone_is_not_kept_waiting_for_ever() -> None:
    lock = SharedLock()
    order: list[str] = []
    gate = asyncio.Event()

    async def work(name: str, enter: Callable[[], Any], wait: bool = False) -> None:
        async with enter():
            if wait:
                await gate.wait()
            order.append(name)

    tasks = [asyncio.create_task(work("first", lock.together, True))]
    await asyncio.sleep(0)
    tasks.append(asyncio.create_task(work("alone", lock.alone)))
    await asyncio.sleep(0.001)
    tasks += [asyncio.create_task(work(f"later-{n}", lock.together)) for n in range(3)]
    await asyncio.sleep(0.001)
    gate.set()
    await asyncio.gather(*tasks)
    assert order[:2] == ["first", "alone"]


async def test_who_gives_up_waiting_to_be_alone_is_in_nobodys_way() -> None:
    lock = SharedLock()
    async with lock.together():

        async def alone() -> None:
            async with lock.alone():
                raise AssertionError("somebody else works")

        waiting = asyncio.create_task(alone())
        await asyncio.sleep(0.001)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        async with asyncio.timeout(5), lock.together():
            pass
