"""Updates that PHP wants again, refuses for good, or should not get yet."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from contracts import backend as contract
from contracts.jobs import Lane
from sidecar.clock import now_ms
from sidecar.ops.dead_letters import DeadLetters
from sidecar.ops.ignored import last_ignored, read_ignored, read_ignored_messages
from sidecar.redis import keys
from sidecar.redis.client import Redis
from tests.eventually import eventually
from tests.workers.conftest import MakeLane
from tests.workers.lane import LaneUnderTest
from tests.workers.payloads import VENDOR, message, status, texts, webhook
from tests.workers.php import Answer, Call, Php, answer, results, wanting_again
from workers.inbox.commit import Commit

BATCH = contract.PROCESS_WEBHOOKS


# -- an update that PHP wants again --


async def test_an_update_is_tried_again_alone_later_and_later(
    php: Php, make_lane: MakeLane
) -> None:
    lane = make_lane(Lane.STATUSES, update_retry_first_ms=1000, update_retry_longest_ms=3000)
    php.rules.append(wanting_again("bad"))
    pauses = []
    await lane.receive(webhook(statuses=[status("bad")]), webhook(statuses=[status("good")]))
    for attempt in range(1, 5):
        before = now_ms()
        await lane.drain()
        [[waiting]] = (await lane.deferred()).values()
        assert waiting.attempts == attempt
        assert waiting.reason == "locked"
        due_at = await lane.next_due_at()
        pauses.append(round((due_at - before) / 1000))
        await lane.drain()  # not due yet
        await lane.receive(webhook(statuses=[status(f"good-{attempt}")]))
        await lane.make_due()
    assert pauses == [1, 2, 3, 3]
    assert [len(batch) for batch in php.batches] == [2, 1, 1, 1, 1, 1, 1]
    attempts = [u["attempt"] for batch in php.batches for u in batch if "'bad'" in str(u)]
    assert attempts == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("asked", "pause"), [(70_000, 70_000), (10**9, 300_000), (-5, 10_000), (200, 10_000)]
)
async def test_php_says_when_to_come_again(
    php: Php, statuses: LaneUnderTest, asked: int, pause: int
) -> None:
    php.rules.append(wanting_again("bad", retry_after_ms=asked))
    statuses.stopping = True
    await statuses.receive(webhook(statuses=[status("bad")]))
    before = now_ms()
    drain = statuses.make(stopping=lambda: bool(php.calls))
    await drain.run()
    due_at = await statuses.next_due_at()
    assert before + pause <= due_at <= now_ms() + pause


async def test_later_messages_of_a_contact_wait_behind_the_one_that_failed(
    php: Php, messages: LaneUnderTest
) -> None:
    rule = wanting_again("a1")
    php.rules.append(rule)
    await messages.receive(*texts("a1", "a2"), *texts("b1", sender="99922"))
    await messages.drain()
    await messages.receive(*texts("a3"), *texts("b2", sender="99922"))
    await messages.drain()
    assert sorted(php.taken) == ["b1", "b2"]
    [waiting] = (await messages.deferred()).values()
    assert [one.wamid for one in waiting] == ["a1", "a2", "a3"]
    assert [one.attempts for one in waiting] == [1, 0, 0]
    php.rules.clear()
    php.taken.clear()
    await messages.make_due()
    await messages.drain()
    assert php.taken == ["a1", "a2", "a3"]
    assert await messages.deferred() == {}


async def test_one_contacts_messages_go_one_after_the_other(php: Php, make_lane: MakeLane) -> None:
    """Requests are made at the same time, but not with messages of the same contact."""
    lane = make_lane(Lane.MESSAGES, message_concurrency=4)
    in_flight: set[str] = set()
    overlaps: list[set[str]] = []

    async def slowly(call: Call) -> Answer:
        contacts = {update["order"] for update in call.json["updates"]}
        overlaps.append(contacts & in_flight)
        in_flight.update(contacts)
        await asyncio.sleep(0.01)
        in_flight.difference_update(contacts)
        return results(call)

    php.when(BATCH, slowly)
    bodies = [
        webhook(messages=[message(f"9990{who}", f"{who}.{n}")])
        for n in range(4)
        for who in range(5)
    ]
    await lane.receive(*bodies)
    await lane.drain()
    for who in range(5):
        mine = [one for one in php.taken if one.startswith(f"{who}.")]
        assert mine == [f"{who}.{n}" for n in range(4)]
    assert php.most_at_once > 1
    assert not any(overlaps)


async def test_a_refused_message_that_is_taken_frees_those_behind_it_one_by_one(
    php: Php, messages: LaneUnderTest
) -> None:
    php.rules.append(wanting_again("a1", "a2"))
    await messages.receive(*texts("a1", "a2", "a3"))
    await messages.drain()
    php.rules[0] = wanting_again("a2")
    await messages.make_due()
    await messages.drain()
    [waiting] = (await messages.deferred()).values()
    assert [(one.wamid, one.attempts) for one in waiting] == [("a2", 1), ("a3", 0)]
    assert php.taken == ["a1"]


async def test_statuses_behind_a_refused_one_are_coalesced_with_it(
    php: Php, statuses: LaneUnderTest
) -> None:
    php.rules.append(wanting_again("wamid.1"))
    await statuses.receive(webhook(statuses=[status("wamid.1", "sent")]))
    await statuses.drain()
    await statuses.receive(webhook(statuses=[status("wamid.1", "read")]))
    await statuses.receive(webhook(statuses=[status("wamid.1", "delivered")]))
    await statuses.drain()
    [waiting] = (await statuses.deferred()).values()
    assert [one.status for one in waiting] == ["sent", "delivered", "read"] or [
        one.status for one in waiting
    ] == ["sent", "read"]
    php.rules.clear()
    await statuses.make_due()
    await statuses.drain()
    last = php.batches[-1][0]
    assert "read" in str(last["payload"])
    assert sorted(one["status"] for one in last["lower_statuses"]) == ["delivered", "sent"]
    assert last["attempt"] == 2


async def test_all_that_waits_under_one_key_goes_together_in_the_lane_of_statuses(
    php: Php, statuses: LaneUnderTest
) -> None:
    php.when(BATCH, lambda call: results(call, "retry"))
    bodies = [webhook(errors=[{"code": n}]) for n in range(3)]
    await statuses.receive(*bodies)
    await statuses.drain()
    assert [len(updates) for updates in (await statuses.deferred()).values()] == [3]
    php.rules.clear()
    await statuses.make_due()
    await statuses.drain()
    assert [len(batch) for batch in php.batches] == [3, 3]


# -- giving up --


async def test_an_update_that_php_refuses_again_and_again_is_given_up(
    php: Php, make_lane: MakeLane
) -> None:
    lane = make_lane(Lane.MESSAGES, update_max_attempts=3)
    php.rules.append(wanting_again("bad"))
    await lane.receive(*texts("bad", "behind"))
    for _ in range(3):
        await lane.drain()
        await lane.make_due()
    await lane.drain()
    assert php.taken == ["behind"]
    attempts = [(one["attempt"], "'bad'" in str(one)) for batch in php.batches for one in batch]
    assert attempts == [
        (1, True),
        (1, False),
        (2, True),
        (1, False),
        (3, True),
        (1, False),
        (1, False),
    ]
    [letter] = [letter async for letter in DeadLetters(lane.redis).all()]
    assert letter.given_up_at
    assert "locked" in letter.update["reason"]
    assert (await lane.counters())["dead"] == 1
    assert await lane.deferred() == {}


async def test_an_update_that_php_fails_on_is_given_up_only_if_php_takes_others(
    php: Php, make_lane: MakeLane
) -> None:
    lane = make_lane(Lane.STATUSES, update_max_attempts=2)
    php.when(BATCH, lambda call: Answer(500) if b'"bad"' in call.body else None)
    await lane.receive(webhook(statuses=[status("bad")]))

    async def try_again() -> None:
        await eventually(lambda: lane.delivery.breaker.wait_s == 0)
        await eventually(lambda: lane.delivery.isolated.wait_s(VENDOR) == 0)
        await lane.make_due()
        await lane.drain()

    for _ in range(5):
        await try_again()
    [[waiting]] = (await lane.deferred()).values()
    assert waiting.attempts == 5
    assert await DeadLetters(lane.redis).count() == 0, "PHP may be ill, for all we know"
    await lane.receive(webhook(statuses=[status("good")]))
    await try_again()
    await try_again()
    assert await DeadLetters(lane.redis).count() == 1
    assert await lane.deferred() == {}


async def test_a_poisoned_update_costs_the_others_nothing(
    php: Php, statuses: LaneUnderTest
) -> None:
    php.when(BATCH, lambda call: Answer(500) if b'"bad"' in call.body else None)
    bodies = [webhook(statuses=[status(f"good-{n}")]) for n in range(30)]
    await statuses.receive(*bodies[:15], webhook(statuses=[status("bad")]), *bodies[15:])
    await statuses.drain()
    assert (await statuses.counters())["done"] == 30
    [[waiting]] = (await statuses.deferred()).values()
    assert (waiting.wamid, waiting.attempts) == ("bad", 1)


# -- statuses that come before their send is recorded --


@pytest.fixture
async def unrecorded(redis: Redis, make_lane: MakeLane) -> AsyncIterator[None]:
    """Row row-1 of campaign c1 is being sent. Nobody has counted it."""
    await redis.hset(keys.LEDGERS, "c1", VENDOR)
    await redis.hset(keys.ledger("c1"), "row-1", "s:claim:110")
    yield
    await redis.delete(keys.LEDGERS)


@pytest.mark.usefixtures("unrecorded")
async def test_an_early_status_waits_until_its_send_is_recorded(
    php: Php, statuses: LaneUnderTest
) -> None:
    await statuses.receive(
        webhook(statuses=[status("wamid.1", row="row-1")]),
        webhook(statuses=[status("wamid.2", row="row-2")]),
        webhook(statuses=[status("wamid.3")]),
    )
    await statuses.drain()
    assert php.wamids == ["wamid.2", "wamid.3"]
    await statuses.receive(webhook(statuses=[status("wamid.1", "read")]))
    for _ in range(2):
        await statuses.make_due()
        await statuses.drain()
    assert "wamid.1" not in php.wamids
    await statuses.redis.hdel(keys.ledger("c1"), "row-1")
    await statuses.make_due()
    await statuses.drain()
    last = php.batches[-1][0]
    assert "read" in str(last["payload"])
    assert last["attempt"] == 1, "PHP has not seen it before"


@pytest.mark.usefixtures("unrecorded")
async def test_an_early_status_does_not_wait_for_ever(php: Php, statuses: LaneUnderTest) -> None:
    await statuses.receive_long_ago(webhook(statuses=[status("wamid.1", row="row-1")]), 61_000)
    await statuses.drain()
    assert php.wamids == ["wamid.1"]


@pytest.mark.usefixtures("unrecorded")
async def test_a_status_of_another_vendor_does_not_wait(php: Php, statuses: LaneUnderTest) -> None:
    await statuses.receive(webhook(statuses=[status("wamid.1", row="row-1")]), vendor="vendor-2")
    await statuses.drain()
    assert php.wamids == ["wamid.1"]


# -- one that PHP refuses for ever --


async def test_what_php_refuses_for_ever_holds_its_contact_up_for_three_attempts(
    php: Php, make_lane: MakeLane
) -> None:
    lane = make_lane(Lane.MESSAGES, update_max_attempts=5)
    php.rules.append(wanting_again("bad"))
    await lane.receive(*texts("bad", "a2"), *texts("b1", sender="99922"))
    for attempt in (1, 2, 3):
        assert "a2" not in php.taken
        await lane.drain()
        await lane.make_due()
        assert php.wamids.count("bad") == attempt
    await lane.receive(*texts("a3"))
    await lane.drain()
    assert php.taken == ["b1", "a2", "a3"], "in order, and behind nothing"
    [[waiting]] = (await lane.deferred()).values()
    assert (waiting.wamid, waiting.attempts, waiting.refused) == ("bad", 4, 4)
    await lane.receive(*texts("a4"))
    await lane.drain()
    assert php.taken[-1] == "a4", "nothing new waits for it"
    await lane.make_due()
    await lane.drain()
    assert await lane.deferred() == {}
    [letter] = [letter async for letter in DeadLetters(lane.redis).all()]
    assert (letter.update["wamid"], letter.update["attempts"]) == ("bad", 5)
    await lane.assert_balanced()


async def test_what_is_set_aside_is_applied_once_php_takes_it(
    php: Php, make_lane: MakeLane
) -> None:
    lane = make_lane(Lane.MESSAGES)
    php.rules.append(wanting_again("bad", "worse"))
    await lane.receive(*texts("bad", "worse", "a3"))
    for _ in range(6):
        await lane.drain()
        await lane.make_due()
    await lane.drain()
    assert php.taken == ["a3"], "each of the two held it up"
    assert len(await lane.deferred()) == 2
    php.rules.clear()
    await lane.make_due()
    await lane.drain()
    assert sorted(php.taken) == ["a3", "bad", "worse"]
    assert await lane.deferred() == {}
    await lane.assert_balanced()


async def test_a_worker_that_dies_before_it_commits_has_set_nothing_aside(
    php: Php, make_lane: MakeLane, monkeypatch: pytest.MonkeyPatch
) -> None:
    lane = make_lane(Lane.MESSAGES)
    php.rules.append(wanting_again("bad"))
    await lane.receive(*texts("bad", "a2"))
    for _ in range(2):
        await lane.drain()
        await lane.make_due()

    async def dies(self: Commit) -> None:
        raise RuntimeError("it died")

    with monkeypatch.context() as patch:
        patch.setattr(Commit, "commit", dies)
        with pytest.raises(RuntimeError):
            await lane.drain()
    [waiting] = (await lane.deferred()).values()
    assert [(one.wamid, one.refused) for one in waiting] == [("bad", 2), ("a2", 0)]
    await lane.drain()
    assert php.taken == ["a2"]
    await lane.assert_balanced()


# -- one that PHP can never take, or has no use for --


async def test_what_php_rejects_is_a_dead_letter_and_the_next_message_is_delivered(
    php: Php, messages: LaneUnderTest
) -> None:
    def rejecting(call: Call) -> Answer:
        given = [
            {"id": update["id"], "result": "rejected", "reason": "SQLSTATE[22001] 1406 in contacts"}
            if "bad" in str(update["payload"])
            else {"id": update["id"], "result": "done"}
            for update in call.json["updates"]
        ]
        return answer({"results": given})

    php.when(BATCH, rejecting)
    await messages.receive(*texts("a1", "bad", "a3"))
    await messages.drain()
    assert await messages.deferred() == {}
    assert php.wamids == ["a1", "bad", "a3"]
    [letter] = [letter async for letter in DeadLetters(messages.redis).all()]
    assert letter.update["wamid"] == "bad"
    assert letter.update["reason"] == "SQLSTATE[22001] 1406 in contacts"
    await messages.assert_balanced()


async def test_a_whole_body_that_php_ignores_leaves_a_trace(
    php: Php, messages: LaneUnderTest
) -> None:
    path = contract.PROCESS_WEBHOOK.format(vendor_uid=VENDOR)
    php.always(path, answer({"result": "ignored", "reason": "body_not_a_webhook"}))
    await messages.receive(b'{"messages":[{"id":"a1"}]', *texts("a2"))
    await messages.drain()
    [count] = await read_ignored(messages.redis)
    assert (count.vendor_uid, count.reason, count.count) == (VENDOR, "body_not_a_webhook", 1)
    last = await last_ignored(messages.redis, count, now_ms())
    assert last is not None
    assert last["payload"] == '{"messages":[{"id":"a1"}]'
    assert [one.reason for one in await read_ignored_messages(messages.redis, now_ms())] == [
        "body_not_a_webhook"
    ]
    await messages.assert_balanced()
