"""Outcomes reach the ledger and PHP, whichever of them is away."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from contracts import backend as contract
from contracts.backend import SendOutcome, SendResult
from sidecar.php.breaker import Breaker
from sidecar.php.client import Backend
from sidecar.redis import keys
from sidecar.redis.client import Redis, RedisUnavailable
from sidecar.tasks import cancel
from tests.eventually import eventually
from tests.workers import php as php_side
from tests.workers.php import DROP, Answer, Call, Php, answer, refusal, results
from tests.workers.rows import CAMPAIGN, CLAIM, have_claimed, result, state_of
from workers.sending.ledger import Ledger
from workers.sending.results import Reporter, tell_php

MANY = contract.UPDATE_MESSAGE_STATUSES
ONE = contract.UPDATE_MESSAGE_STATUS


@pytest.fixture
async def reporter(backend: Backend, ledger: Ledger) -> AsyncIterator[Reporter]:
    reporter = Reporter(tell_php(backend), ledger, wait_s=0.01)
    yield reporter
    await reporter.finish(0.05)


def uids(call: Call) -> list[str]:
    return [one["uid"] for one in call.json["results"]]


def known(count: int) -> list[SendResult]:
    return [result(f"row-{number}") for number in range(count)]


async def reported(reporter: Reporter) -> None:
    await eventually(lambda: reporter.unreported == 0)


async def test_outcomes_go_to_php_and_leave_the_ledger(
    php: Php, reporter: Reporter, ledger: Ledger
) -> None:
    await have_claimed(ledger, CLAIM, ["row-0", "row-1", "row-2"])
    reporter.start()
    for one in known(3):
        reporter.add(one)
    assert reporter.unreported == 3
    await reported(reporter)
    assert [uid for call in php.calls for uid in uids(call)] == ["row-0", "row-1", "row-2"]
    await eventually(ledger.empty)


async def test_php_gets_what_is_known_as_it_is(php: Php, reporter: Reporter) -> None:
    one = result("row-1", message_status="accepted", wa_id="999", response={"messages": [None]})
    two = result("row-2", SendOutcome.REQUEUE, due_at=17)
    reporter.add(one)
    reporter.add_known([two])
    await reporter.flush(5)
    sent = {
        uid["uid"]: SendResult.model_validate(uid)
        for call in php.calls
        for uid in call.json["results"]
    }
    assert sent == {"row-1": one, "row-2": two}


async def test_outcomes_wait_for_others(php: Php, backend: Backend, ledger: Ledger) -> None:
    reporter = Reporter(tell_php(backend), ledger, wait_s=0.15)
    reporter.start()
    for one in known(50):
        reporter.add(one)
    await reported(reporter)
    await reporter.finish(1)
    assert len(php.calls) == 1


async def test_outcomes_that_come_soon_after_a_write_are_written_together(
    ledger: Ledger, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first is written at once. Those that wait are written in the end."""
    monkeypatch.setattr("workers.sending.results.GATHER_S", 60.0)
    await have_claimed(ledger, CLAIM, [f"row-{number}" for number in range(20)])
    write, writes = ledger.known, []

    async def note(fresh: list[SendResult]) -> None:
        writes.append(len(fresh))
        await write(fresh)

    monkeypatch.setattr(ledger, "known", note)
    reporter = Reporter(tell_php(backend), ledger, wait_s=60)
    reporter.start()
    first, *others = known(20)
    reporter.add(first)
    await eventually(lambda: writes == [1])
    for one in others:
        reporter.add(one)
        await asyncio.sleep(0)
    assert writes == [1]
    await reporter.finish(5)
    assert writes == [1, 19]
    assert await ledger.empty()


async def test_enough_outcomes_do_not_wait_for_others(
    php: Php, backend: Backend, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.sending.results.ENOUGH", 20)
    reporter = Reporter(tell_php(backend), ledger, wait_s=60)
    reporter.start()
    for one in known(20):
        reporter.add(one)
    await reported(reporter)
    reporter.add(result("row-21"))
    await reporter.finish(5)
    assert [len(uids(call)) for call in php.calls] == [20, 1]


async def test_outcomes_that_wait_for_less_now_go_at_once(
    php: Php, backend: Backend, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.sending.results.LEAST_WAIT_S", 0)
    reporter = Reporter(tell_php(backend), ledger, wait_s=60)
    reporter.start()
    reporter.add(result("row-1"))
    reporter.wait_for(60)
    await asyncio.sleep(0.1)
    assert not php.calls
    reporter.wait_for(0.01)
    await reported(reporter)
    reporter.add(result("row-2"))
    await reported(reporter)
    await reporter.finish(5)
    assert [uids(call) for call in php.calls] == [["row-1"], ["row-2"]]


async def test_a_batch_is_no_larger_than_php_takes(php: Php, reporter: Reporter) -> None:
    for one in known(contract.MAX_BATCH + 1):
        reporter.add(one)
    await reporter.flush(10)
    assert [len(uids(call)) for call in php.calls] == [contract.MAX_BATCH, 1]


async def test_the_ledger_has_it_before_php_is_told(
    php: Php, reporter: Reporter, ledger: Ledger
) -> None:
    await have_claimed(ledger, CLAIM, ["row-1"])
    seen: list[Any] = []

    async def look(call: Call) -> Answer:
        seen.append([one.uid for one in (await state_of(ledger)).known])
        return results(call)

    php.when(MANY, look)
    reporter.start()
    reporter.add(result("row-1"))
    await reported(reporter)
    assert seen == [["row-1"]]


async def test_php_is_told_nothing_that_is_still_being_written_down(
    php: Php, reporter: Reporter, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the process died then, the next one would take it for unknown, and say so."""
    await have_claimed(ledger, CLAIM, ["row-1"])
    write, reached, goes_on = ledger.known, asyncio.Event(), asyncio.Event()

    async def slowly(fresh: list[SendResult]) -> None:
        reached.set()
        await goes_on.wait()
        await write(fresh)

    monkeypatch.setattr(ledger, "known", slowly)
    reporter.start()
    reporter.add(result("row-1"))
    await reached.wait()
    assert reporter.unreported == 1
    await reporter._tell_once()
    assert php.calls == []
    goes_on.set()
    await reported(reporter)
    await eventually(ledger.empty)


async def test_leftovers_are_reported_and_leave_the_ledger(
    php: Php, reporter: Reporter, ledger: Ledger
) -> None:
    await have_claimed(ledger, CLAIM, ["row-0", "row-1"])
    await ledger.known(known(2))
    reporter.add_known((await state_of(ledger)).known)
    await reporter.flush(5)
    assert await ledger.empty()
    assert len(php.calls) == 1


# -- PHP --


@pytest.mark.parametrize("given", [Answer(500), Answer(503), Answer(200, b"<html>"), DROP])
async def test_php_is_ill_for_a_while(
    php: Php, reporter: Reporter, ledger: Ledger, given: Answer
) -> None:
    await have_claimed(ledger, CLAIM, ["row-1"])
    illness = php.always(MANY, given)
    reporter.start()
    reporter.add(result("row-1"))
    await eventually(lambda: len(php.calls) >= 2)
    assert reporter.unreported == 1
    assert [one.uid for one in (await state_of(ledger)).known] == ["row-1"]
    php.forget(illness)
    await reported(reporter)
    await eventually(ledger.empty)


async def test_php_is_down_and_the_log_says_why_once(php: Php, reporter: Reporter) -> None:
    await php.stop()
    with capture_logs() as logs:
        reporter.add(result("row-1"))
        for _ in range(3):
            await reporter.flush(0.25)
        assert reporter.unreported == 1
        await php.start()
        await reporter.flush(5)
    events = [log["event"] for log in logs]
    assert events == ["php.results.unavailable", "php.results.unavailable.resolved"]


async def test_a_flush_ends_in_time_and_the_ledger_keeps_the_rest(
    php: Php, reporter: Reporter, ledger: Ledger
) -> None:
    await have_claimed(ledger, CLAIM, ["row-1"])
    php.when(MANY, php_side.hang)
    reporter.add(result("row-1"))
    await reporter.flush(1)
    assert reporter.unreported == 1
    assert [one.uid for one in (await state_of(ledger)).known] == ["row-1"]


async def test_the_answer_is_lost_and_php_is_told_again(php: Php, reporter: Reporter) -> None:
    php.once(MANY, DROP)
    reporter.add(result("row-1"))
    await reporter.flush(5)
    assert [uids(call) for call in php.calls] == [["row-1"], ["row-1"]]


async def test_php_wants_some_again(php: Php, reporter: Reporter, ledger: Ledger) -> None:
    await have_claimed(ledger, CLAIM, ["row-0", "row-1", "row-2"])
    asked: list[str] = []

    def rule(call: Call) -> Answer:
        given = []
        for uid in uids(call):
            asked.append(uid)
            again = uid == "row-1" and asked.count(uid) < 3
            given.append({"id": uid, "result": "retry" if again else "ignored", "reason": "locked"})
        return answer({"results": given})

    php.when(MANY, rule)
    for one in known(3):
        reporter.add(one)
    await reporter.flush(5)
    assert sorted(asked) == ["row-0", "row-1", "row-1", "row-1", "row-2"]
    assert await ledger.empty()


async def test_a_missing_or_new_word_counts_as_not_taken(php: Php, reporter: Reporter) -> None:
    given = [
        {"results": []},
        {"results": [{"id": "row-1", "result": "postponed"}]},
        {"results": [{"id": "row-1", "result": "done"}]},
    ]
    php.when(MANY, lambda _call: answer(given.pop(0)))
    reporter.add(result("row-1"))
    await reporter.flush(5)
    assert reporter.unreported == 0
    assert len(php.calls) == 3


@pytest.mark.parametrize(
    "given", [refusal(400, "request_invalid"), Answer(500, b"<html>"), DROP], ids=str
)
async def test_one_that_php_cannot_take_does_not_keep_the_others_back(
    php: Php, reporter: Reporter, ledger: Ledger, given: Answer
) -> None:
    await have_claimed(ledger, CLAIM, [f"row-{number}" for number in range(8)])
    php.rules.append(lambda call: given if b"row-1" in call.body else None)
    for one in known(8):
        reporter.add(one)

    await reporter._write_fresh()

    async def one_is_left() -> bool:
        await reporter._tell_once()
        return reporter.unreported == 1

    await eventually(one_is_left)
    assert [one.uid for one in (await state_of(ledger)).known] == ["row-1"]
    php.rules.clear()
    await reporter.flush(5)
    assert await ledger.empty()


@pytest.mark.parametrize("status", [401, 403, 404, 429])
async def test_wrong_keys_are_no_results_fault(php: Php, reporter: Reporter, status: int) -> None:
    php.always(MANY, refusal(status, "no"))
    reporter._breaker = Breaker("php.results.unavailable", first_s=60, longest_s=60)
    reporter.add_known(known(8))
    flushing = asyncio.create_task(reporter.flush(60))
    await eventually(lambda: reporter._breaker.wait_s)
    await cancel([flushing])
    assert len(php.calls) == 1
    assert reporter.unreported == 8


async def test_php_goes_away_while_it_is_told_in_parts(php: Php, reporter: Reporter) -> None:
    """It is not knocked at again for every part of them."""
    php.rules.append(lambda _call: Answer(503))
    php.once(MANY, refusal(400, "request_invalid"))
    reporter.add_known(known(200))
    assert not await reporter._tell_once()
    assert len(php.calls) == 2


async def test_an_answer_about_something_else_takes_nothing(
    php: Php, reporter: Reporter, ledger: Ledger
) -> None:
    await have_claimed(ledger, CLAIM, ["row-1"])
    php.always(MANY, answer({"results": [{"id": "somebody else's", "result": "done"}]}))
    reporter.add(result("row-1"))
    with capture_logs() as logs:
        await reporter.flush(1)
    assert [one.uid for one in (await state_of(ledger)).known] == ["row-1"]
    assert "ledger.results_not_written" not in {log["event"] for log in logs}


async def test_one_that_php_wants_again_is_logged_once_and_slows_nobody(
    php: Php, reporter: Reporter
) -> None:
    def rule(call: Call) -> Answer:
        words = {uid: "retry" if uid == "bad" else "done" for uid in uids(call)}
        return answer({"results": [{"id": uid, "result": word} for uid, word in words.items()]})

    php.when(MANY, rule)
    reporter.start()
    reporter.add(result("bad"))
    with capture_logs() as logs:
        for number in range(5):
            reporter.add(result(f"row-{number}"))
            await eventually(lambda: reporter.unreported == 1)
            assert reporter._breaker.wait_s < 1
        await eventually(lambda: reporter._breaker.wait_s > 0.4)
    assert [log["event"] for log in logs] == ["php.results.rejected"]


# -- Redis --


async def test_php_is_told_although_redis_is_away(
    php: Php, reporter: Reporter, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_results: list[SendResult]) -> None:
        raise RedisUnavailable[0]("gone")

    monkeypatch.setattr(ledger, "known", fail)
    monkeypatch.setattr(ledger, "settled", fail)
    with capture_logs() as logs:
        reporter.start()
        for one in known(3):
            reporter.add(one)
            await eventually(lambda: not reporter._fresh)
        await reported(reporter)
    assert [uid for call in php.calls for uid in uids(call)] == ["row-0", "row-1", "row-2"]
    assert len({log["event"] for log in logs}) == len(logs) == 1


async def test_redis_comes_back(reporter: Reporter, ledger: Ledger, redis: Redis) -> None:
    await redis.set(keys.ledger(CAMPAIGN), "not a hash")
    reporter.add(result("row-1"))
    await reporter.flush(5)
    await redis.delete(keys.ledger(CAMPAIGN))
    await have_claimed(ledger, CLAIM, ["row-2"])
    reporter.add(result("row-2"))
    await reporter.flush(5)
    assert await ledger.empty()


# -- ending --


async def test_what_was_added_last_is_reported_too(
    php: Php, reporter: Reporter, ledger: Ledger
) -> None:
    await have_claimed(ledger, CLAIM, ["row-1"])
    reporter.start()
    for one in known(5):
        reporter.add(one)
    await reporter.finish(5)
    assert reporter.unreported == 0
    assert await ledger.empty()


async def test_it_ends_just_when_the_ledger_is_to_forget(
    php: Php, reporter: Reporter, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PHP has been told; nothing may be left behind for somebody else to find."""
    await have_claimed(ledger, CLAIM, ["row-1"])
    settled = ledger.settled
    reached = asyncio.Event()

    async def hang(_results: list[SendResult]) -> None:
        reached.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(ledger, "settled", hang)
    reporter.start()
    reporter.add(result("row-1"))
    await asyncio.wait_for(reached.wait(), 5)
    monkeypatch.setattr(ledger, "settled", settled)
    await reporter.finish(5)
    assert reporter.unreported == 0
    assert await ledger.empty()


async def test_it_ends_just_when_the_ledger_is_to_know(
    php: Php, reporter: Reporter, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And PHP is away: the next one has to find what is known."""
    await have_claimed(ledger, CLAIM, ["row-1"])
    php.always(MANY, Answer(503))
    write, reached = ledger.known, asyncio.Event()

    async def hang(_fresh: list[SendResult]) -> None:
        reached.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(ledger, "known", hang)
    reporter.start()
    reporter.add(result("row-1"))
    await reached.wait()
    monkeypatch.setattr(ledger, "known", write)
    await reporter.finish(1)
    assert reporter.unreported == 1
    assert [one.uid for one in (await state_of(ledger)).known] == ["row-1"]


async def test_an_outcome_that_changes_while_php_is_told_is_not_lost(
    php: Php, reporter: Reporter, ledger: Ledger
) -> None:
    """A row was requeued, claimed again and accepted before PHP answered."""
    await have_claimed(ledger, CLAIM, ["row-1"])

    async def meanwhile(call: Call) -> Answer:
        if len(php.calls) == 1:
            later = result("row-1")
            reporter.add_known([later])
            await ledger.known([later])
        return results(call)

    php.when(MANY, meanwhile)
    reporter.add(result("row-1", SendOutcome.REQUEUE, due_at=1))
    await reporter.flush(5)
    assert [call.json["results"][0]["outcome"] for call in php.calls] == ["requeue", "accepted"]
    assert await ledger.empty()
