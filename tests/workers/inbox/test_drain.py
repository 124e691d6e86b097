"""Draining a lane: what becomes of each update."""

import asyncio

import pytest

from contracts import backend as contract
from contracts.jobs import Lane
from sidecar.inbox.partitions import drain_lease
from sidecar.redis import keys
from tests.eventually import eventually
from tests.workers.conftest import MakeLane
from tests.workers.lane import LaneUnderTest
from tests.workers.payloads import VENDOR, status, texts, webhook
from tests.workers.php import Answer, Call, Php, results, wanting_again
from workers.inbox import drain as drain_module

BATCH = contract.PROCESS_WEBHOOKS


# -- the plain way --


async def test_what_php_takes_leaves_the_inbox(php: Php, messages: LaneUnderTest) -> None:
    await messages.receive(*texts("a", "b"), *texts("c", sender="99922"))
    assert await messages.drain() is False
    assert sorted(php.wamids) == ["a", "b", "c"]
    assert await messages.counters() == {
        "webhooks_received": 3,
        "webhooks_done": 3,
        "updates": 3,
        "done": 3,
    }
    assert await messages.redis.get(keys.BACKEND_OK)


async def test_an_empty_lane_is_no_work(php: Php, messages: LaneUnderTest) -> None:
    assert await messages.drain() is False
    assert not php.calls


async def test_what_php_ignores_leaves_too(php: Php, messages: LaneUnderTest) -> None:
    php.when(BATCH, lambda call: results(call, "ignored", reason="vendor_inactive"))
    await messages.receive(*texts("a"), b"not json")
    await messages.drain()
    counts = await messages.counters()
    assert (counts["ignored"], counts["done"], counts["webhooks_done"]) == (1, 1, 2)


async def test_statuses_are_coalesced_into_the_highest(php: Php, statuses: LaneUnderTest) -> None:
    names = ["sent", "delivered", "read", "sent"]
    await statuses.receive(*(webhook(statuses=[status("wamid.1", name)]) for name in names))
    await statuses.drain()
    [[update]] = php.batches
    [kept] = update["payload"]["entry"][0]["changes"][0]["value"]["statuses"]
    assert kept["status"] == "read"
    assert [one["status"] for one in update["lower_statuses"]] == ["sent", "delivered"]
    counts = await statuses.counters()
    assert (counts["updates"], counts["coalesced"], counts["duplicates"]) == (4, 2, 1)
    assert counts["done"] == 1


async def test_statuses_go_in_one_request(php: Php, statuses: LaneUnderTest) -> None:
    await statuses.receive(*(webhook(statuses=[status(f"wamid.{n}")]) for n in range(300)))
    await statuses.drain()
    assert [len(batch) for batch in php.batches] == [300]


async def test_a_duplicate_is_recognised_in_another_batch_and_without_php(
    php: Php, messages: LaneUnderTest
) -> None:
    await messages.receive(*texts("a", "a"))
    await messages.drain()
    await messages.receive(*texts("a", "b"))
    await messages.drain()
    assert php.wamids == ["a", "b"]
    counts = await messages.counters()
    assert (counts["duplicates"], counts["done"]) == (2, 2)


async def test_what_php_did_not_take_is_no_duplicate(php: Php, messages: LaneUnderTest) -> None:
    php.rules.append(wanting_again("a"))
    await messages.receive(*texts("a"))
    await messages.drain()
    await messages.receive(*texts("a"))
    php.rules.clear()
    await messages.make_due()
    await messages.drain()
    await messages.make_due()
    await messages.drain()
    assert php.wamids == ["a", "a"]
    assert (await messages.counters())["duplicates"] == 1


async def test_what_comes_while_it_drains_is_drained_too(php: Php, messages: LaneUnderTest) -> None:
    async def more(call: Call) -> Answer:
        if len(php.calls) < 4:
            await messages.receive(*texts(f"more-{len(php.calls)}"))
        return results(call)

    php.when(BATCH, more)
    await messages.receive(*texts("a"))
    assert await messages.drain() is False
    assert php.wamids == ["a", "more-1", "more-2", "more-3"]


# -- who drains, and for how long --


async def test_it_waits_for_more_and_needs_no_wake_up(php: Php, messages: LaneUnderTest) -> None:
    messages.linger_s = 0.5
    await messages.receive(*texts("a"))
    draining = asyncio.create_task(messages.drain())
    for name in ("b", "c"):
        await eventually(lambda: _blocked(messages))
        await messages.receive(*texts(name))
    assert await draining is False
    assert php.wamids == ["a", "b", "c"]


async def _blocked(lane: LaneUnderTest) -> bool:
    """Return whether something waits inside Redis."""
    clients: dict[str, int] = await lane.redis.info("clients")
    return clients["blocked_clients"] > 0


async def test_it_ends_if_nothing_comes(php: Php, messages: LaneUnderTest) -> None:
    messages.linger_s = 0.01
    await messages.receive(*texts("a"))
    assert await messages.drain() is False
    assert php.wamids == ["a"]
    assert not await messages.redis.exists(keys.bell(messages.lane))


async def test_nobody_is_rung_for_who_does_not_drain(messages: LaneUnderTest) -> None:
    await messages.receive(*texts("a"))
    assert not await messages.redis.exists(keys.bell(messages.lane))


async def test_one_ring_is_enough(php: Php, messages: LaneUnderTest) -> None:
    async with messages.leases.hold(drain_lease(messages.lane)):
        for vendor in ("a", "b", "c"):
            await messages.receive(*texts(vendor), vendor=vendor)
        bell = await messages.redis.lrange(keys.bell(messages.lane), 0, -1)
        assert bell == [b"1"]
    messages.linger_s = 0.01
    await messages.drain()
    assert sorted(php.wamids) == ["a", "b", "c"]


async def test_only_one_drains(php: Php, messages: LaneUnderTest) -> None:
    await messages.receive(*texts("a"))
    async with messages.leases.hold(drain_lease(messages.lane)) as lease:
        assert lease is not None
        assert await messages.drain() is False
    assert not php.calls
    assert await messages.waiting() == 1
    await messages.drain()


async def test_it_makes_room_for_others_after_a_while(
    php: Php, messages: LaneUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drain_module, "MAX_RUN_S", 0)
    await messages.receive(*texts("a"))
    assert await messages.drain() is True, "something is left that somebody has to be woken for"
    assert await messages.waiting() == 1


async def test_it_stops_between_two_batches(php: Php, make_lane: MakeLane) -> None:
    lane = make_lane(Lane.STATUSES, status_batch_size=2)
    await lane.receive(*(webhook(statuses=[status(f"wamid.{n}")]) for n in range(6)))
    drain = lane.make(stopping=lambda: len(php.calls) >= 2)
    assert await drain.run() is False
    assert await lane.waiting() == 2


async def test_a_stream_that_is_gone_leaves_the_index(php: Php, messages: LaneUnderTest) -> None:
    """Somebody has deleted it by hand: no reason to look for it for ever."""
    await messages.redis.sadd(keys.ready(messages.lane), VENDOR)
    assert await messages.drain() is False
    assert await messages.redis.smembers(keys.ready(messages.lane)) == set()
    assert not php.calls
