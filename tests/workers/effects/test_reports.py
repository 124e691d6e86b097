"""Bringing reports to PHP: AIs' answers, and what media was fetched."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from contracts.backend import AI_ANSWERS
from contracts.effects import AiAnswer, AiOutcome
from sidecar.php.bisect import MAX_FAILURES
from sidecar.php.client import Backend
from tests.eventually import eventually
from tests.workers import php as php_side
from tests.workers.ai_php import answers, take
from tests.workers.php import DROP, HTML_500, Answer, Call, Php, refusal
from tests.workers.queued_effects import VENDOR
from workers.effects import reports as module
from workers.effects.handler import Again, Done, End, GivenUp
from workers.effects.reports import Reports, ai_answers

EFFECT = {"kind": "send_message", "id": "m", "to": "1", "message": {}}


@pytest.fixture
async def telling(backend: Backend) -> AsyncIterator[Reports[AiAnswer]]:
    one = ai_answers(backend)
    yield one
    await one.close()


def answer(id_: Any = "q", **known: Any) -> AiAnswer:
    known = {"outcome": AiOutcome.ANSWERED, "text": "secret", **known}
    return AiAnswer(id=str(id_), vendor_uid=VENDOR, at=5, **known)


async def bring_all(one: Reports[AiAnswer], count: int) -> list[End]:
    return list(await asyncio.gather(*(one.bring(answer(n)) for n in range(count))))


async def test_what_follows_from_an_answer(telling: Reports[AiAnswer], php: Php) -> None:
    take(php, lambda _answer: {"result": "done", "effects": [EFFECT]})
    assert await telling.bring(answer(usage={"total_tokens": 7})) == Done([EFFECT])
    assert answers(php) == [
        {
            "id": "q",
            "vendor_uid": VENDOR,
            "outcome": "answered",
            "text": "secret",
            "usage": {"total_tokens": 7},
            "at": 5,
        }
    ]


async def test_an_answer_that_is_stale(telling: Reports[AiAnswer], php: Php) -> None:
    take(php, lambda _answer: {"result": "ignored", "reason": "stale", "effects": [EFFECT]})
    assert await telling.bring(answer()) == Done()


async def test_an_answer_that_php_can_never_take_becomes_a_dead_letter(
    telling: Reports[AiAnswer], php: Php
) -> None:
    take(php, lambda _answer: {"result": "rejected", "reason": "SQLSTATE[22001]"})
    end = await telling.bring(answer())
    assert end == GivenUp("PHP can never take the report: SQLSTATE[22001]")
    assert telling.kept(VENDOR, "q") is not None, "for when it is replayed"


async def test_answers_of_the_same_time_share_requests(
    telling: Reports[AiAnswer], php: Php
) -> None:
    take(php)
    assert await bring_all(telling, 250) == [Done([])] * 250
    assert [len(call.json["answers"]) for call in php.to(AI_ANSWERS)] == [100, 100, 50]


async def test_those_that_come_while_php_is_asked_share_the_next_request(
    telling: Reports[AiAnswer], php: Php
) -> None:
    take(php)
    gate = asyncio.Event()

    async def hold(_call: Call) -> Answer | None:
        await gate.wait()
        return None

    php.when(AI_ANSWERS, hold)
    tasks = [asyncio.create_task(telling.bring(answer("first")))]
    await eventually(lambda: php.to(AI_ANSWERS))
    tasks += [asyncio.create_task(telling.bring(answer(n))) for n in range(20)]
    await asyncio.sleep(2 * module.WAIT_S)
    gate.set()
    await asyncio.gather(*tasks)
    assert [len(call.json["answers"]) for call in php.to(AI_ANSWERS)] == [1, 20]


@pytest.mark.parametrize(
    "failure",
    [
        Answer(503),
        refusal(401, "signature_invalid"),
        refusal(404, "not_found"),
        refusal(429, "too_many"),
    ],
)
async def test_php_is_away(telling: Reports[AiAnswer], php: Php, failure: Answer) -> None:
    """The answer waits here, and is taken when PHP is back."""
    take(php)
    away = php.always(AI_ANSWERS, failure)
    with capture_logs() as logs:
        task = asyncio.create_task(telling.bring(answer()))
        await eventually(lambda: len(php.to(AI_ANSWERS)) >= 2)
        assert not task.done()
        php.forget(away)
        assert await task == Done([])
    assert [log["event"] for log in logs] == [
        "php.ai_answers.unavailable",
        "php.ai_answers.unavailable.resolved",
    ]
    assert "secret" not in str(logs)


async def test_nobody_listens(telling: Reports[AiAnswer], php: Php) -> None:
    await php.stop()
    task = asyncio.create_task(telling.bring(answer()))
    await asyncio.sleep(0.1)
    assert not task.done()
    take(php)
    await php.start()
    assert await task == Done([])


@pytest.mark.parametrize(
    "failure",
    [
        HTML_500,
        Answer(502),
        DROP,
        refusal(400, "request_invalid"),
        php_side.answer({"results": []}),
    ],
)
async def test_php_fails_on_the_only_answer(
    telling: Reports[AiAnswer], php: Php, failure: Answer
) -> None:
    """Whether it is ill or fails on this one, nobody knows: it is tried again, and counts not."""
    php.always(AI_ANSWERS, failure)
    for _ in range(2):
        end = await telling.bring(answer())
        assert isinstance(end, Again)
        assert not end.counts
        assert "secret" not in end.reason
    assert telling.kept(VENDOR, "q") == answer()


async def test_the_one_answer_that_php_fails_on(telling: Reports[AiAnswer], php: Php) -> None:
    take(php)
    php.when(AI_ANSWERS, lambda call: HTML_500 if b'"57"' in call.body else None)
    ends = await bring_all(telling, 100)
    assert [n for n, end in enumerate(ends) if end != Done([])] == [57]
    assert isinstance(ends[57], Again)
    assert not ends[57].counts, "it was tried once, and the others may have come after"
    await telling.bring(answer("another"))
    end = await telling.bring(answer(57))
    assert isinstance(end, Again)
    assert end.counts, "PHP is well, and fails on it again"


async def test_php_fails_on_everything(telling: Reports[AiAnswer], php: Php) -> None:
    """It is not asked about each of a hundred."""
    take(php)
    ill = php.always(AI_ANSWERS, HTML_500)
    tasks = [asyncio.create_task(telling.bring(answer(n))) for n in range(100)]
    await eventually(lambda: len(php.to(AI_ANSWERS)) >= MAX_FAILURES)
    await asyncio.sleep(0.05)
    assert len(php.to(AI_ANSWERS)) < 2 * MAX_FAILURES
    php.forget(ill)
    ends = await asyncio.gather(*tasks)
    assert sum(end == Done([]) for end in ends) >= 90
    assert all(end == Done([]) or isinstance(end, Again) for end in ends)


async def test_php_wants_it_again(telling: Reports[AiAnswer], php: Php) -> None:
    left: list[dict[str, Any]] = [
        {"result": "retry", "reason": "locked", "retry_after_ms": 1500},
        {"result": "retry", "reason": "locked"},
        {"result": "something new"},
    ]
    take(php, lambda _answer: left.pop(0))
    for after_s in (1.5, None, None):
        end = await telling.bring(answer())
        assert isinstance(end, Again)
        assert (end.after_s, end.counts) == (after_s, True)
        assert telling.kept(VENDOR, "q") == answer()


async def test_an_answer_without_a_result(telling: Reports[AiAnswer], php: Php) -> None:
    take(php, lambda one: {"result": "done"} if one["id"] == "0" else None)
    done, again = await bring_all(telling, 2)
    assert done == Done([])
    assert isinstance(again, Again)
    assert "no result" in again.reason


async def test_an_answer_is_kept_after_php_has_taken_it(
    telling: Reports[AiAnswer], php: Php
) -> None:
    """Whoever could not write down that it has happened gets the same once more."""
    take(php, lambda _answer: {"result": "done", "effects": [EFFECT]})
    assert telling.kept(VENDOR, "q") is None
    await telling.bring(answer())
    kept = telling.kept(VENDOR, "q")
    assert kept == answer()
    assert await telling.bring(kept) == Done([EFFECT])


async def test_memory_is_bounded(backend: Backend, php: Php) -> None:
    take(php)
    one = ai_answers(backend, most_kept=3)
    await bring_all(one, 10)
    await one.close()
    assert [n for n in range(10) if one.kept(VENDOR, str(n))] == [7, 8, 9]


async def test_nobody_waits_for_an_answer_any_more(telling: Reports[AiAnswer], php: Php) -> None:
    take(php)
    away = php.always(AI_ANSWERS, Answer(503))
    gone = asyncio.create_task(telling.bring(answer("gone")))
    stays = asyncio.create_task(telling.bring(answer("stays")))
    await eventually(lambda: php.to(AI_ANSWERS))
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    php.forget(away)
    before = len(php.calls)
    assert await stays == Done([])
    assert [a["id"] for call in php.calls[before:] for a in call.json["answers"]][-1] == "stays"
    assert await telling.bring(answer("next")) == Done([])


async def test_all_waiters_fail_when_the_delivery_task_breaks(
    telling: Reports[AiAnswer], php: Php, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(php)

    async def broken(_batch: list[AiAnswer]) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(telling, "_deliver", broken)
        with pytest.raises(ZeroDivisionError):
            await telling.bring(answer())
    assert await telling.bring(answer()) == Done([])


async def test_a_pause_that_nobody_can_reckon_with(telling: Reports[AiAnswer], php: Php) -> None:
    def rule(call: Call) -> Answer:
        ids = [one["id"] for one in call.json["answers"]]
        pause = f'"retry_after_ms": {"9" * 400}'
        found = [f'{{"id": "{one}", "result": "retry", {pause}}}' for one in ids]
        return Answer(200, f'{{"results": [{", ".join(found)}]}}'.encode())

    php.when(AI_ANSWERS, rule)
    end = await telling.bring(answer())
    assert isinstance(end, Again)
    assert end.after_s == 86_400
