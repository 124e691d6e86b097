"""PHP hangs on one vendor's updates: the others' go on."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import pytest

from contracts import backend as contract
from contracts.jobs import Lane
from sidecar.php.bisect import MAX_TIMEOUTS
from sidecar.php.client import Backend
from sidecar.redis import keys
from tests.eventually import eventually
from tests.workers.conftest import MakeLane
from tests.workers.lane import LaneUnderTest
from tests.workers.payloads import VENDOR, message, some_texts, status, webhook
from tests.workers.php import Answer, Call, Php, client, results
from workers.inbox import drain as drain_module
from workers.inbox import isolation
from workers.inbox.commit import Commit

BATCH = contract.PROCESS_WEBHOOKS
OTHER = "vendor-2"
NO_ANSWER = Answer(504)


@pytest.fixture
async def patient(php: Php) -> AsyncIterator[Backend]:
    backend = client(php.url, timeout_s=60.0)
    yield backend
    await backend.close()


@pytest.fixture
async def impatient(php: Php) -> AsyncIterator[Backend]:
    backend = client(php.url, timeout_s=1.0)
    yield backend
    await backend.close()


class Hanging:
    """A PHP that hangs on requests with a certain text until :meth:`end`. ``now``: how many do."""

    def __init__(self, php: Php) -> None:
        self.now = 0
        self._over = asyncio.Event()
        php.when(BATCH, self._rule)

    def end(self) -> None:
        self._over.set()

    async def _rule(self, call: Call) -> Answer | None:
        if b"BAD" in call.body and not self._over.is_set():
            self.now += 1
            while not (call.gone or self._over.is_set()):
                await asyncio.sleep(0.01)
            self.now -= 1
        return None


def _contains(php: Php, wamid: str) -> bool:
    return wamid in php.wamids


def bad(lane: Lane) -> bytes:
    if lane is Lane.STATUSES:
        return webhook(statuses=[status("wamid.BAD")])
    return webhook(messages=[message("99999", "wamid.BAD")])


def good(lane: Lane, wamid: str) -> bytes:
    if lane is Lane.STATUSES:
        return webhook(statuses=[status(wamid)])
    return webhook(messages=[message(f"99{wamid}", wamid)])


@pytest.mark.parametrize("lane_name", list(Lane))
async def test_others_are_taken_while_php_hangs(
    php: Php, make_lane: MakeLane, patient: Backend, lane_name: Lane
) -> None:
    lane = make_lane(lane_name, patient)
    hanging = Hanging(php)
    lane.delivery.isolated.confirm(VENDOR, "it hung")
    await lane.receive(bad(lane_name), *(good(lane_name, f"a{n}") for n in range(9)))
    drain = asyncio.create_task(lane.drain())
    await eventually(lambda: hanging.now)
    for wamid in ("b0", "b1", "b2", "b3"):
        await lane.receive(good(lane_name, wamid), vendor=OTHER)
        await eventually(partial(_contains, php, wamid))
    assert hanging.now == 1
    hanging.end()
    await drain
    await lane.drain_when_it_may()
    assert (await lane.counters())["done"] == 10
    assert (await lane.counters(OTHER))["done"] == 4


@pytest.mark.parametrize("lane_name", list(Lane))
async def test_what_shared_a_request_with_it_is_taken_after_one_time_out(
    php: Php, make_lane: MakeLane, impatient: Backend, lane_name: Lane
) -> None:
    lane = make_lane(lane_name, impatient, message_concurrency=1)
    hanging = Hanging(php)
    await lane.receive(bad(lane_name))
    await lane.receive(good(lane_name, "b"), vendor=OTHER)
    drain = asyncio.create_task(lane.drain())

    async def other_is_done() -> bool:
        return (await lane.counters(OTHER)).get("done") == 1

    await eventually(other_is_done)
    await eventually(lambda: lane.delivery.isolated.vendors() == {VENDOR})
    assert len(php.calls) <= 3, "one together, and one for each of the two"
    hanging.end()
    await drain
    await lane.drain_when_it_may()


async def test_others_of_the_same_vendor_are_taken_and_the_one_is_given_up(
    php: Php, make_lane: MakeLane
) -> None:
    lane = make_lane(Lane.MESSAGES, update_max_attempts=3)
    php.when(BATCH, lambda call: NO_ANSWER if b"BAD" in call.body else None)
    await lane.receive(bad(Lane.MESSAGES), *(good(Lane.MESSAGES, f"a{n}") for n in range(30)))

    async def given_up() -> bool:
        await lane.receive(*some_texts(1), vendor=OTHER)
        await lane.drain()
        await lane.make_due()
        return bool(await lane.redis.exists(keys.DEAD))

    await eventually(given_up, 20)
    counts = await lane.counters()
    assert (counts["done"], counts["dead"]) == (30, 1)
    attempts = {u["attempt"] for batch in php.batches for u in batch if "BAD" in str(u)}
    assert attempts == {1, 2, 3}


async def test_one_contacts_messages_stay_in_order_when_it_is_isolated(
    php: Php, make_lane: MakeLane
) -> None:
    lane = make_lane(Lane.MESSAGES, update_retry_first_ms=10)
    rule = php.when(BATCH, lambda call: NO_ANSWER if b"BAD" in call.body else None)
    bodies = [webhook(messages=[message("99999", name)]) for name in ("a1", "BAD", "a3", "a4")]
    await lane.receive(*bodies)
    await lane.drain()
    await lane.receive(webhook(messages=[message("99999", "a5")]))
    await lane.drain()
    php.forget(rule)
    await lane.drain_when_it_may()
    order = list(dict.fromkeys(php.wamids))
    assert order == ["a1", "BAD", "a3", "a4", "a5"]
    assert (await lane.counters())["done"] == 5


async def test_what_is_isolated_costs_a_drain_nothing_when_it_has_to_wait(
    php: Php, make_lane: MakeLane
) -> None:
    """All of a vendor's updates hang: the drain ends, and the reconciler comes back to it."""
    lane = make_lane(Lane.STATUSES)
    rule = php.when(BATCH, lambda call: NO_ANSWER if VENDOR.encode() in call.body else None)
    await lane.receive(*(good(Lane.STATUSES, f"a{n}") for n in range(50)))
    assert await lane.drain() is False
    # Once with others, and then so many each time: on a busy machine its pause may be over by then.
    assert (len(php.calls) - 1) % MAX_TIMEOUTS == 0
    await lane.receive(good(Lane.STATUSES, "b"), vendor=OTHER)
    await lane.drain()
    assert (await lane.counters(OTHER))["done"] == 1
    php.forget(rule)
    await lane.drain_when_it_may()
    assert (await lane.counters())["done"] == 50


async def test_a_few_vendors_hang_at_a_time_and_no_more(
    php: Php, make_lane: MakeLane, patient: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolation, "MAX_HANGING", 2)
    lane = make_lane(Lane.MESSAGES, patient)
    hanging = Hanging(php)
    vendors = [f"vendor-{n}" for n in range(10, 16)]
    for vendor in vendors:
        lane.delivery.isolated.confirm(vendor, "it hung")
        await lane.receive(bad(Lane.MESSAGES), good(Lane.MESSAGES, f"a{vendor}"), vendor=vendor)
    drain = asyncio.create_task(lane.drain())
    await eventually(lambda: hanging.now == 2)
    await lane.receive(good(Lane.MESSAGES, "b"), vendor=OTHER)
    await eventually(lambda: "b" in php.wamids)
    assert php.most_at_once <= 3
    hanging.end()
    await drain
    await lane.drain_when_it_may()
    for vendor in vendors:
        assert (await lane.counters(vendor))["done"] == 2


async def test_many_that_wait_for_a_vendors_batch_do_not_hide_the_others(
    php: Php, make_lane: MakeLane, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More is due of a vendor that has to wait than is looked at for one batch."""
    monkeypatch.setattr(drain_module, "MAX_DUE", 5)
    lane = make_lane(Lane.MESSAGES)
    await lane.receive(*(good(Lane.MESSAGES, f"a{n}") for n in range(20)))
    await lane.receive(good(Lane.MESSAGES, "b"), vendor=OTHER)

    async def all_refused() -> bool:
        await lane.drain()
        waiting = [one for updates in (await lane.deferred()).values() for one in updates]
        return len(waiting) == 21

    php.when(BATCH, lambda call: results(call, "retry", retry_after_ms=60_000))
    await eventually(all_refused)
    await lane.make_due()
    php.rules.clear()
    for _ in range(8):
        lane.delivery.isolated.failed(VENDOR, "it hung")
    await lane.drain()
    assert (await lane.counters(OTHER))["done"] == 1
    assert "done" not in await lane.counters()


async def test_it_stops_without_waiting_for_what_hangs(
    php: Php, make_lane: MakeLane, patient: Backend
) -> None:
    lane = make_lane(Lane.MESSAGES, patient)
    hanging = Hanging(php)
    lane.delivery.isolated.confirm(VENDOR, "it hung")
    await lane.receive(bad(Lane.MESSAGES))
    drain = asyncio.create_task(lane.drain())
    await eventually(lambda: hanging.now)
    lane.stopping = True
    assert await drain is False
    assert await lane.waiting() == 1, "nothing of it is settled"
    await eventually(lambda: not hanging.now)


async def test_an_error_beside_ends_the_drain(
    php: Php, messages: LaneUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is seen, instead of being lost with its task."""
    messages.delivery.isolated.confirm(VENDOR, "it hung")
    await messages.receive(*some_texts(1))

    async def fail(*_args: object, **_more: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(messages.delivery, "deliver_isolated", fail)
    with pytest.raises(ZeroDivisionError):
        await messages.drain()


async def test_what_a_batch_beside_has_handed_over_is_not_read_again(
    make_lane: MakeLane, php: Php, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PHP has taken it, so the vendor is released; but the inbox has it until the commit."""
    lane = make_lane(Lane.MESSAGES)
    lane.delivery.isolated.isolate([VENDOR], "it hung")
    commit = Commit.commit

    async def slow_commit(self: Commit) -> None:
        if not lane.delivery.isolated.vendors():
            # Others look meanwhile.
            await asyncio.sleep(0.1)
        await commit(self)

    monkeypatch.setattr(Commit, "commit", slow_commit)
    await lane.receive(*some_texts(5))
    await lane.drain()
    counters = await lane.counters(VENDOR)
    assert counters["webhooks_done"] == counters["webhooks_received"]
    assert len(php.wamids) == 5
