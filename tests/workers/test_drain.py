"""Draining a lane: what becomes of each update."""

import asyncio

import pytest

from contracts import backend as contract
from contracts.jobs import Lane
from sidecar import keys
from sidecar.inbox import drain_lease
from sidecar.redis_client import Redis
from tests.eventually import eventually
from tests.workers.conftest import MakeLane
from tests.workers.lane import LaneUnderTest
from tests.workers.payloads import VENDOR, message, status, webhook
from tests.workers.php import Answer, Call, Php, answer, results
from workers import drain as drain_module
from workers.clock import now_ms

BATCH = contract.PROCESS_WEBHOOKS


def wamids(php: Php) -> list[str]:
    """Return the ids of what PHP was handed, in order."""
    found = []
    for updates in php.batches:
        for update in updates:
            value = update["payload"]["entry"][0]["changes"][0]["value"]
            [one] = value.get("messages") or value["statuses"]
            found.append(one["id"])
    return found


def texts(*names: str, sender: str = "99911") -> list[bytes]:
    return [webhook(messages=[message(sender, name)]) for name in names]


def retry(*names: str, **more: object) -> "object":
    """Make a PHP that wants these updates again, and takes the others."""

    def rule(call: Call) -> Answer | None:
        if call.path != BATCH:
            return None
        return answer(
            {
                "results": [
                    {"id": update["id"], "result": "retry", "reason": "locked", **more}
                    if any(name in str(update["payload"]) for name in names)
                    else {"id": update["id"], "result": "done"}
                    for update in call.json["updates"]
                ]
            }
        )

    return rule


# -- the plain way --


async def test_what_php_takes_leaves_the_inbox(php: Php, messages: LaneUnderTest) -> None:
    await messages.receive(*texts("a", "b"), *texts("c", sender="99922"))
    assert await messages.drain() is False
    assert sorted(wamids(php)) == ["a", "b", "c"]
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


async def test_statuses_are_folded_into_the_highest(php: Php, statuses: LaneUnderTest) -> None:
    names = ["sent", "delivered", "read", "sent"]
    await statuses.receive(*(webhook(statuses=[status("wamid.1", name)]) for name in names))
    await statuses.drain()
    [[update]] = php.batches
    [kept] = update["payload"]["entry"][0]["changes"][0]["value"]["statuses"]
    assert kept["status"] == "read"
    assert [one["status"] for one in update["lower_statuses"]] == ["sent", "delivered"]
    counts = await statuses.counters()
    assert (counts["updates"], counts["folded"], counts["duplicates"]) == (4, 2, 1)
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
    assert wamids(php) == ["a", "b"]
    counts = await messages.counters()
    assert (counts["duplicates"], counts["done"]) == (2, 2)


async def test_what_php_did_not_take_is_no_duplicate(php: Php, messages: LaneUnderTest) -> None:
    php.rules.append(retry("a"))  # type: ignore[arg-type]
    await messages.receive(*texts("a"))
    await messages.drain()
    await messages.receive(*texts("a"))
    php.rules.clear()
    await messages.make_due()
    await messages.drain()
    await messages.make_due()
    await messages.drain()
    assert wamids(php) == ["a", "a"]
    assert (await messages.counters())["duplicates"] == 1


async def test_what_comes_while_it_drains_is_drained_too(php: Php, messages: LaneUnderTest) -> None:
    async def more(call: Call) -> Answer:
        if len(php.calls) < 4:
            await messages.receive(*texts(f"more-{len(php.calls)}"))
        return results(call)

    php.when(BATCH, more)
    await messages.receive(*texts("a"))
    assert await messages.drain() is False
    assert wamids(php) == ["a", "more-1", "more-2", "more-3"]


# -- an update that PHP wants again --


async def test_an_update_is_tried_again_alone_later_and_later(
    php: Php, make_lane: MakeLane
) -> None:
    lane = make_lane(Lane.STATUSES, update_retry_first_ms=1000, update_retry_longest_ms=3000)
    php.rules.append(retry("bad"))  # type: ignore[arg-type]
    pauses = []
    await lane.receive(webhook(statuses=[status("bad")]), webhook(statuses=[status("good")]))
    for attempt in range(1, 5):
        before = now_ms()
        await lane.drain()
        [[waiting]] = (await lane.deferred()).values()
        assert waiting.attempts == attempt
        assert waiting.reason == "locked"
        [(_, due_at)] = await lane.redis.zrange(keys.deferred(lane.lane), 0, -1, withscores=True)
        pauses.append(round((due_at - before) / 1000))
        await lane.drain()  # not due yet
        await lane.receive(webhook(statuses=[status(f"good-{attempt}")]))
        await lane.make_due()
    assert pauses == [1, 2, 3, 3]
    assert [len(batch) for batch in php.batches] == [2, 1, 1, 1, 1, 1, 1]
    attempts = [u["attempt"] for batch in php.batches for u in batch if "bad" in str(u)]
    assert attempts == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("asked", "pause"), [(70_000, 70_000), (10**9, 300_000), (-5, 10_000), (200, 10_000)]
)
async def test_php_says_when_to_come_again(
    php: Php, statuses: LaneUnderTest, asked: int, pause: int
) -> None:
    php.rules.append(retry("bad", retry_after_ms=asked))  # type: ignore[arg-type]
    statuses.stopping = True
    await statuses.receive(webhook(statuses=[status("bad")]))
    before = now_ms()
    drain = statuses.make(stopping=lambda: bool(php.calls))
    await drain.run()
    [(_, due_at)] = await statuses.redis.zrange(
        keys.deferred(statuses.lane), 0, -1, withscores=True
    )
    assert before + pause <= due_at <= now_ms() + pause


async def test_later_messages_of_a_contact_wait_behind_the_one_that_failed(
    php: Php, messages: LaneUnderTest
) -> None:
    rule = retry("a1")
    php.rules.append(rule)  # type: ignore[arg-type]
    await messages.receive(*texts("a1", "a2"), *texts("b1", sender="99922"))
    await messages.drain()
    await messages.receive(*texts("a3"), *texts("b2", sender="99922"))
    await messages.drain()
    assert sorted(wamids(php)) == ["a1", "b1", "b2"]
    [waiting] = (await messages.deferred()).values()
    assert [one.wamid for one in waiting] == ["a1", "a2", "a3"]
    assert [one.attempts for one in waiting] == [1, 0, 0]
    php.rules.clear()
    php.calls.clear()
    await messages.make_due()
    await messages.drain()
    assert wamids(php) == ["a1", "a2", "a3"]
    assert await messages.deferred() == {}


async def test_one_contacts_messages_go_one_after_the_other(php: Php, make_lane: MakeLane) -> None:
    """Requests are made at the same time, but not with messages of the same contact."""
    lane = make_lane(Lane.MESSAGES, message_concurrency=4)
    done: list[str] = []

    async def slowly(call: Call) -> Answer:
        ids = [
            u["payload"]["entry"][0]["changes"][0]["value"]["messages"][0]["id"]
            for u in call.json["updates"]
        ]
        senders = [one.partition(".")[0] for one in ids]
        assert len(set(senders)) == len(senders)
        await asyncio.sleep(0.01)
        done.extend(ids)
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
        assert [one for one in done if one.startswith(f"{who}.")] == [
            f"{who}.{n}" for n in range(4)
        ]
    assert php.most_at_once > 1


async def test_a_refused_message_that_is_taken_frees_those_behind_it_one_by_one(
    php: Php, messages: LaneUnderTest
) -> None:
    php.rules.append(retry("a1", "a2"))  # type: ignore[arg-type]
    await messages.receive(*texts("a1", "a2", "a3"))
    await messages.drain()
    php.rules[0] = retry("a2")  # type: ignore[assignment]
    await messages.make_due()
    await messages.drain()
    [waiting] = (await messages.deferred()).values()
    assert [(one.wamid, one.attempts) for one in waiting] == [("a2", 1), ("a3", 0)]
    assert "a3" not in wamids(php)


async def test_statuses_behind_a_refused_one_are_folded_with_it(
    php: Php, statuses: LaneUnderTest
) -> None:
    php.rules.append(retry("wamid.1"))  # type: ignore[arg-type]
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


# -- giving up --


async def test_an_update_that_php_refuses_again_and_again_is_given_up(
    php: Php, make_lane: MakeLane
) -> None:
    lane = make_lane(Lane.MESSAGES, update_max_attempts=3)
    php.rules.append(retry("bad"))  # type: ignore[arg-type]
    await lane.receive(*texts("bad", "behind"))
    for _ in range(3):
        await lane.drain()
        await lane.make_due()
    await lane.drain()
    assert wamids(php) == ["bad", "bad", "bad", "behind"]
    [(letter_id, _)] = await lane.redis.zrange(keys.DEAD_INDEX, 0, -1, withscores=True)
    letter = await lane.redis.hget(keys.DEAD, letter_id)
    assert b"locked" in (letter or b"")
    assert (await lane.counters())["dead"] == 1
    assert await lane.deferred() == {}


async def test_an_update_that_php_fails_on_is_given_up_only_if_php_takes_others(
    php: Php, make_lane: MakeLane
) -> None:
    lane = make_lane(Lane.STATUSES, update_max_attempts=2)
    php.when(BATCH, lambda call: Answer(500) if b"bad" in call.body else None)
    await lane.receive(webhook(statuses=[status("bad")]))

    async def try_again() -> None:
        await eventually(lambda: lane.delivery.breaker.wait_s == 0)
        await lane.make_due()
        await lane.drain()

    for _ in range(5):
        await try_again()
    [[waiting]] = (await lane.deferred()).values()
    assert waiting.attempts == 5
    assert await lane.redis.hlen(keys.DEAD) == 0, "PHP may be ill, for all we know"
    await lane.receive(webhook(statuses=[status("good")]))
    await try_again()
    await try_again()
    assert await lane.redis.hlen(keys.DEAD) == 1
    assert await lane.deferred() == {}


async def test_a_poisoned_update_costs_the_others_nothing(
    php: Php, statuses: LaneUnderTest
) -> None:
    php.when(BATCH, lambda call: Answer(500) if b"bad" in call.body else None)
    bodies = [webhook(statuses=[status(f"good-{n}")]) for n in range(30)]
    await statuses.receive(*bodies[:15], webhook(statuses=[status("bad")]), *bodies[15:])
    await statuses.drain()
    assert (await statuses.counters())["done"] == 30
    [[waiting]] = (await statuses.deferred()).values()
    assert (waiting.wamid, waiting.attempts) == ("bad", 1)


# -- statuses that come before their send is recorded --


@pytest.fixture
async def unrecorded(redis: Redis) -> None:
    """Row row-1 of campaign c1 is being sent."""
    await redis.hset(keys.CAMPAIGNS, "c1", VENDOR)
    await redis.hset(keys.ledger("c1"), "row-1", "s:claim:110")


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
    assert wamids(php) == ["wamid.2", "wamid.3"]
    await statuses.receive(webhook(statuses=[status("wamid.1", "read")]))
    for _ in range(2):
        await statuses.make_due()
        await statuses.drain()
    assert "wamid.1" not in wamids(php)
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
    assert wamids(php) == ["wamid.1"]


@pytest.mark.usefixtures("unrecorded")
async def test_a_status_of_another_vendor_does_not_wait(php: Php, statuses: LaneUnderTest) -> None:
    await statuses.receive(webhook(statuses=[status("wamid.1", row="row-1")]), vendor="vendor-2")
    await statuses.drain()
    assert wamids(php) == ["wamid.1"]


# -- who drains, and for how long --


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
    monkeypatch.setattr(drain_module, "QUANTUM_S", 0)
    await messages.receive(*texts("a"))
    assert await messages.drain() is True, "something is left that somebody has to be woken for"
    assert await messages.waiting() == 1


async def test_it_stops_between_two_turns(php: Php, make_lane: MakeLane) -> None:
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
