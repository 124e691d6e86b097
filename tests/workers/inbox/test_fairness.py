"""What one vendor puts in keeps no other waiting, whatever it is and whatever PHP says to it.

Held by the order and the number of requests, and by what became of each update: a busy machine has
no say in it.
"""

import asyncio
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import orjson
import pytest

from contracts import backend as contract
from contracts.jobs import Lane
from sidecar.ops.dead_letters import DeadLetters
from sidecar.php.breaker import Breaker
from sidecar.redis import keys
from tests.eventually import eventually
from tests.workers.conftest import MakeLane
from tests.workers.lane import LaneUnderTest
from tests.workers.payloads import message, status, texts, webhook
from tests.workers.php import HTML_500, Answer, Call, Php, hang, refusal, results
from workers.inbox.commit import Commit
from workers.runtime import LANE_PAUSE_S

BATCH = contract.PROCESS_WEBHOOKS
A, A2, B = "vendor-a", "vendor-a2", "vendor-b"

FAILURES = [HTML_500, refusal(400, contract.ErrorCode.REQUEST_INVALID)]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of vendors of which PHP takes nothing."""
    monkeypatch.setattr("workers.inbox.isolation.MAX_PAUSE_S", 0.02)


def bad_texts(count: int, name: str = "BAD") -> list[bytes]:
    """Return webhooks with a message each, every one of another customer."""
    return [webhook(messages=[message(f"999{n}", f"{name}-{n}")]) for n in range(count)]


def failing(php: Php, given: Answer) -> None:
    """Have PHP answer every request so that holds a bad one."""
    php.when(BATCH, lambda call: given if b"BAD" in call.body else None)


def requests_with(php: Php, wamid: str) -> list[Call]:
    return [call for call in php.to(BATCH) if f'"{wamid}"'.encode() in call.body]


async def drain_until(lane: LaneUnderTest, condition: Callable[[], Any]) -> None:
    """Drain again and again, as the reconciler has it done."""
    await lane.make(stopping=lambda: bool(condition())).run()
    while not condition():
        await lane.make_due()
        await lane.make(stopping=lambda: bool(condition())).run()
        await asyncio.sleep(0.01)


# -- a vendor on whose messages PHP fails --


@pytest.mark.parametrize("given", FAILURES, ids=["500", "400"])
async def test_a_vendors_failing_messages_keep_nobody_waiting(
    php: Php, messages: LaneUnderTest, given: Answer
) -> None:
    failing(php, given)
    await messages.receive(*bad_texts(600), vendor=A)
    await messages.receive(*texts("b1"), vendor=B)
    await drain_until(messages, lambda: "b1" in php.taken)
    assert len(requests_with(php, "b1")) <= 2, "one that it shared, and its own"
    assert php.taken == ["b1"]
    assert messages.delivery.isolated.vendors() == {A}
    assert messages.delivery.breaker.wait_s == 0

    php.calls.clear()
    await messages.receive(*texts("b2"), vendor=B)
    await drain_until(messages, lambda: "b2" in php.taken)
    assert len(requests_with(php, "b2")) == 1
    assert b"BAD" not in requests_with(php, "b2")[0].body, "they share nothing any more"


@pytest.mark.parametrize("given", FAILURES, ids=["500", "400"])
async def test_others_are_taken_while_a_vendors_failing_messages_are_searched(
    php: Php, messages: LaneUnderTest, given: Answer
) -> None:
    failing(php, given)
    await messages.receive(*bad_texts(600), vendor=A)
    over = False
    drain = asyncio.create_task(messages.make(stopping=lambda: over).run())
    await eventually(lambda: messages.delivery.isolated.vendors() == {A})

    def is_taken(wamid: str) -> bool:
        nonlocal drain
        if drain.done():  # it had to leave A alone for a while, and there was nothing else
            drain = asyncio.create_task(messages.make(stopping=lambda: over).run())
        return wamid in php.taken

    for wamid in ("b1", "b2", "b3"):
        await messages.receive(*texts(wamid), vendor=B)
        await eventually(partial(is_taken, wamid))
        assert len(requests_with(php, wamid)) == 1
    over = True
    await drain
    assert php.taken == ["b1", "b2", "b3"]
    assert messages.delivery.breaker.wait_s == 0


@pytest.mark.parametrize("given", FAILURES, ids=["500", "400"])
async def test_failing_messages_leave_for_the_dead_letters(
    php: Php, make_lane: MakeLane, given: Answer
) -> None:
    """PHP is well, as it takes others meanwhile. And a good one among them is taken."""
    lane = make_lane(Lane.MESSAGES, update_max_attempts=2)
    failing(php, given)
    bodies = bad_texts(40)
    await lane.receive(*bodies[:20], *texts("good", sender="99800"), *bodies[20:], vendor=A)
    number = 0

    async def all_have_left() -> bool:
        nonlocal number
        number += 1
        await lane.receive(*texts(f"b{number}"), vendor=B)
        await lane.make_due()
        await lane.drain()
        return (await lane.counters(A)).get("dead") == 40

    await eventually(all_have_left)
    letters = [letter async for letter in DeadLetters(lane.redis).all()]
    assert {letter.vendor_uid for letter in letters} == {A}
    assert [letter.update["attempts"] for letter in letters] == [2] * 40
    assert await lane.deferred() == {}
    assert await lane.waiting(A) == 0
    assert (await lane.counters(A))["done"] == php.taken.count("good") == 1
    assert (await lane.counters(B))["done"] == number, "none of them has waited for the next round"


@pytest.mark.parametrize("given", FAILURES, ids=["500", "400"])
async def test_two_vendors_that_fail_do_not_keep_a_third_out(
    php: Php, messages: LaneUnderTest, given: Answer
) -> None:
    failing(php, given)
    for vendor in (A, A2):
        await messages.receive(*bad_texts(30, f"BAD-{vendor}"), vendor=vendor)
    await messages.receive(*texts("b1"), vendor=B)
    await drain_until(messages, lambda: "b1" in php.taken)
    assert len(requests_with(php, "b1")) <= 2
    assert messages.delivery.isolated.vendors() == {A, A2}
    assert messages.delivery.breaker.wait_s == 0


async def test_two_vendors_that_have_failed_for_long_do_not_keep_a_third_waiting_for_long(
    php: Php, messages: LaneUnderTest
) -> None:
    """Nothing else has come meanwhile, so PHP might be ill. It answers, so it may be asked."""
    now = 0.0
    messages.delivery.breaker = Breaker(
        "php.failing", longest_s=LANE_PAUSE_S, clock=lambda: now, jitter=lambda: 1.0
    )
    failing(php, HTML_500)
    for vendor in (A, A2):
        await messages.receive(*bad_texts(30, f"BAD-{vendor}"), vendor=vendor)
    for _ in range(8):
        now += messages.delivery.breaker.wait_s
        await messages.make(stopping=lambda: messages.delivery.breaker.wait_s > 0).run()
    assert 0 < messages.delivery.breaker.wait_s <= 1.25 * LANE_PAUSE_S
    assert not messages.delivery.isolated.vendors()
    await messages.receive(*texts("b1"), vendor=B)
    now += messages.delivery.breaker.wait_s
    await messages.make(stopping=lambda: "b1" in php.taken).run()
    assert php.taken == ["b1"]
    assert messages.delivery.isolated.vendors() == {A, A2}


async def test_many_vendors_that_fail_do_not_keep_many_others_out(
    php: Php, messages: LaneUnderTest
) -> None:
    failing(php, HTML_500)
    for number in range(20):
        await messages.receive(*bad_texts(3, f"BAD-{number}"), vendor=f"bad-{number}")
    good = [f"good-{number}" for number in range(20)]
    for name in good:
        await messages.receive(*texts(name), vendor=name)
    await drain_until(messages, lambda: len(php.taken) == len(good))
    assert sorted(php.taken) == sorted(good)
    assert all(len(requests_with(php, name)) <= 2 for name in good)
    assert messages.delivery.isolated.vendors() <= {f"bad-{n}" for n in range(20)}


async def test_php_hangs_on_a_request_that_two_vendors_share(
    php: Php, make_lane: MakeLane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.inbox.delivery.SHARED_TIMEOUT_S", 0.05)
    lane = make_lane(Lane.MESSAGES, message_concurrency=1)
    php.when(BATCH, lambda call: hang(call) if b"BAD" in call.body else None)
    await lane.receive(*bad_texts(5), vendor=A)
    await lane.receive(*texts("b1"), vendor=B)
    await drain_until(lane, lambda: "b1" in php.taken)
    shared, alone = requests_with(php, "b1")
    assert b"BAD" in shared.body
    assert b"BAD" not in alone.body
    assert php.taken == ["b1"]


# -- a vendor with very much --


async def test_a_thousand_messages_of_one_sender_keep_nobody_waiting(
    php: Php, messages: LaneUnderTest
) -> None:
    wamids = [f"a{n}" for n in range(1000)]
    await messages.receive(webhook(messages=[message("999", w) for w in wamids]), vendor=A)
    await messages.receive(*texts("b1"), vendor=B)
    await messages.drain()
    before_b = php.taken.index("b1")
    assert before_b <= 100, "their shares of a batch are equal"
    assert [one for one in php.taken if one != "b1"] == wamids, "in order, and each once"
    assert len(php.calls) <= 1000 / 50 + 2


async def test_a_vendor_with_many_webhooks_has_no_more_of_a_batch_than_one_with_one(
    php: Php, messages: LaneUnderTest
) -> None:
    await messages.receive(*bad_texts(1000, "a"), vendor=A)
    for number in range(9):
        await messages.receive(*texts(f"b{number}"), vendor=f"vendor-{number}")
    await messages.drain()
    last = max(php.taken.index(f"b{number}") for number in range(9))
    assert last < 200 / 10 + 9, "all of the first batch"
    assert len(php.taken) == 1009


async def test_two_hundred_thousand_empty_statuses(php: Php, statuses: LaneUnderTest) -> None:
    empty = b'{"entry":[{"changes":[{"value":{"statuses":[%s]}}]}]}' % b",".join([b"{}"] * 200_000)
    await statuses.receive(empty, vendor=A)
    await statuses.receive(webhook(statuses=[status("b1")]), vendor=B)
    await statuses.drain()
    assert php.taken == ["b1"]
    assert len(php.calls) == 1
    letters = [letter async for letter in DeadLetters(statuses.redis).all()]
    assert {letter.vendor_uid for letter in letters} == {A}
    assert len(letters) <= 10, "those that stand side by side are one"
    more = [re.search(r"and (\d+) more after it", one.update["reason"]) for one in letters]
    assert sum(1 + int(found[1]) for found in more if found) == 200_000
    assert await statuses.waiting(A) == 0


# -- stopping, and dying --


async def test_stopping_is_obeyed_after_the_batch_under_way(
    php: Php, messages: LaneUnderTest
) -> None:
    wamids = [f"a{n}" for n in range(5000)]
    await messages.receive(webhook(messages=[message(f"999{w}", w) for w in wamids]), vendor=A)
    stopping = asyncio.Event()

    def stop(call: Call) -> Answer:
        stopping.set()
        return results(call)

    php.when(BATCH, stop)
    assert await messages.make(stopping=stopping.is_set).run() is False
    assert php.taken
    assert len(php.calls) <= 4
    assert (await messages.counters(A))["done"] == len(php.taken) == 200
    assert await messages.waiting(A) == 1, "the webhook stays, and how far it is settled is known"
    php.rules.clear()
    await messages.drain()
    assert sorted(php.taken) == sorted(wamids)


async def test_a_drain_that_dies_at_every_batch_of_a_webhook_loses_and_repeats_nothing(
    php: Php, messages: LaneUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By turns before and after each is recorded. What PHP has it may be given again, and then it
    recognises it by its id."""
    wamids = [f"a{n}" for n in range(5000)]
    contacts = {wamid: f"999{n % 700}" for n, wamid in enumerate(wamids)}
    elements = [message(contact, wamid) for wamid, contact in contacts.items()]
    await messages.receive(webhook(messages=elements), vendor=A)
    commit = Commit.commit
    deaths = 0
    positions: list[Any] = []

    async def die(self: Commit) -> None:
        nonlocal deaths
        deaths += 1
        if deaths % 2 == 0:
            await commit(self)
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    monkeypatch.setattr(Commit, "commit", die)
    while await messages.waiting(A):
        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(messages.drain())
        positions.append(await messages.redis.hget(keys.cursor(Lane.MESSAGES), A))
        await messages.assert_balanced()
    assert len(dict.fromkeys(positions)) > 20, "over many batches"
    monkeypatch.setattr(Commit, "commit", commit)
    await messages.drain_when_it_may()
    once = list(dict.fromkeys(php.taken))
    assert sorted(once) == sorted(wamids)
    for contact in set(contacts.values()):
        mine = [wamid for wamid in once if contacts[wamid] == contact]
        assert mine == [wamid for wamid in wamids if contacts[wamid] == contact]
    counts = await messages.counters(A)
    assert (counts["updates"], counts["done"]) == (5000, 5000)
    assert counts["webhooks_done"] == 1


async def test_a_large_webhook_is_not_held_in_memory_by_what_came_of_it(
    php: Php, messages: LaneUnderTest
) -> None:
    """Every update is given with its own envelope; none carries the others."""
    wamids = [f"a{n}" for n in range(400)]
    elements = [message(f"999{wamid}", wamid) for wamid in wamids]
    body = webhook(messages=elements)
    await messages.receive(body, vendor=A)
    await messages.drain()
    given = sum(len(orjson.dumps(one)) for batch in php.batches for one in batch)
    assert given < 8 * len(body)
