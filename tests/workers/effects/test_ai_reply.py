"""Asking AIs, and bringing PHP what they say."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from contracts.backend import AI_ANSWERS, VendorConfig
from contracts.effects import AiMessage, AiReply, Forward
from sidecar.clock import now_ms
from sidecar.effects.outbound import Outbound
from sidecar.php.client import Backend
from tests.eventually import eventually
from tests.target import Hit, Target, json, target
from tests.workers import php as php_side
from tests.workers.ai_php import answers, take
from tests.workers.php import Answer, Php
from tests.workers.queued_effects import VENDOR, Counted, config, queued
from workers.effects.ai_client import AiClient
from workers.effects.ai_reply import AiReplies
from workers.effects.handler import Again, Done, End, GivenUp, Queued
from workers.effects.reports import ai_answers

KEY = "sk-secret-key"
EFFECT = {"kind": "send_message", "id": "m", "to": "1", "message": {}}


class Held:
    """An AI's answer that comes when it is released. ``gone`` counts callers that did not wait."""

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.gone = 0

    async def __call__(self, hit: Hit) -> web.Response:
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.gone += 1
            raise
        return said(hit)


def said(hit: Hit) -> web.Response:
    text = f"re: {hit.json['messages'][-1]['content']}"
    return json({"choices": [{"message": {"content": text}}], "usage": {"total_tokens": 3}})(hit)


@pytest.fixture
async def ai() -> AsyncIterator[Target]:
    async with target() as one:
        one.answer = said
        yield one


@pytest.fixture
async def php() -> AsyncIterator[Php]:
    async with php_side.running() as one:
        take(one, lambda _answer: {"result": "done", "effects": [EFFECT]})
        yield one


@pytest.fixture
async def backend(php: Php) -> AsyncIterator[Backend]:
    one = php_side.client(php.url)
    yield one
    await one.close()


def make(backend: Backend, timeout_s: float = 5.0) -> AiReplies:
    client = AiClient(Outbound(["127.0.0.1"]), timeout_s=timeout_s)
    return AiReplies(client, ai_answers(backend), max_attempts=3, at_once=50)


@pytest.fixture
async def replies(backend: Backend) -> AsyncIterator[AiReplies]:
    one = make(backend)
    yield one
    await one.close()


def known(ai: Target, **more: Any) -> VendorConfig:
    provider = {"name": "mine", "url": ai.url, "api_key": KEY, **more}
    return config(ai_providers=[{**provider, "name": "other", "url": "http://other"}, provider])


def question(
    id_: str = "q", conversation: str = "c", *, attempts: int = 0, put_at: int = 1, **more: Any
) -> Queued:
    messages = [AiMessage(role="user", content=f"secret {id_}")]
    effect = AiReply.model_validate(
        {
            "id": id_,
            "conversation": conversation,
            "provider": "mine",
            "messages": messages,
            **more,
        }
    )
    return queued(effect, attempts=attempts, put_at=put_at)


async def ask(one: AiReplies, ai: Target, asked: Queued, **more: Any) -> End:
    """Ask as whoever does the effects does."""
    one.arrived(asked)
    [end] = await one.do(known(ai, **more), [asked])
    return end


def outcomes(php: Php) -> list[tuple[str, str]]:
    return [(answer["id"], answer["outcome"]) for answer in answers(php)]


async def test_it_says_that_an_ai_fails(replies: AiReplies, ai: Target, php: Php) -> None:
    ai.answer = json({})
    for number in range(2):
        assert replies.failures.report() == {}
        await ask(replies, ai, question(f"q{number}", f"c{number}"))
    [(vendor_uid, reason)] = replies.failures.report().items()
    assert vendor_uid == VENDOR
    assert reason
    ai.answer = said
    await ask(replies, ai, question("q3", "c3"))
    assert replies.failures.report() == {}


async def test_an_answer(replies: AiReplies, ai: Target, php: Php) -> None:
    before = now_ms()
    with capture_logs() as logs:
        assert await ask(replies, ai, question()) == Done([EFFECT])
    [answer] = answers(php)
    assert before <= answer.pop("at") <= now_ms()
    assert answer == {
        "id": "q",
        "vendor_uid": VENDOR,
        "outcome": "answered",
        "text": "re: secret q",
        "error": None,
        "usage": {"total_tokens": 3},
    }
    assert ai.hits[0].headers["Authorization"] == f"Bearer {KEY}"
    assert logs == []


async def test_answers_that_come_at_the_same_time_share_a_request(
    replies: AiReplies, ai: Target, php: Php
) -> None:
    held = Held()
    ai.answer = held
    asked = [asyncio.create_task(ask(replies, ai, question(str(n), str(n)))) for n in range(20)]
    await eventually(lambda: ai.in_flight == 20)
    held.release.set()
    assert await asyncio.gather(*asked) == [Done([EFFECT])] * 20
    assert len(php.to(AI_ANSWERS)) < 10


# -- no answer --


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_it_is_asked_again_a_few_times(
    replies: AiReplies, ai: Target, php: Php, status: int
) -> None:
    ai.answer = json({}, status, Retry_After="7")
    for attempts in (0, 1):
        end = await ask(replies, ai, question(attempts=attempts))
        assert isinstance(end, Again)
        assert (end.after_s, end.counts) == (7.0, True)
    assert answers(php) == []
    with capture_logs() as logs:
        assert await ask(replies, ai, question(attempts=2)) == Done([EFFECT])
    assert outcomes(php) == [("q", "failed")]
    assert answers(php)[0]["error"] == f"the AI 'mine' answered {status}"
    assert [log["event"] for log in logs] == ["ai.no_answer"]
    assert len(ai.hits) == 3


async def test_connections_that_break(replies: AiReplies, ai: Target, php: Php) -> None:
    ai.answer = lambda _hit: "drop"
    assert isinstance(await ask(replies, ai, question()), Again)
    ai.answer = said
    assert await ask(replies, ai, question(attempts=1)) == Done([EFFECT])
    assert outcomes(php) == [("q", "answered")]


@pytest.mark.parametrize(
    "refusal",
    [
        json({"error": {"message": f"wrong key {KEY}", "code": "invalid_api_key"}}, 401),
        json({}, 400),
        json({}, 404),
        json({"choices": [{"message": {"content": " "}}]}),
    ],
)
async def test_what_will_not_get_better(
    replies: AiReplies, ai: Target, php: Php, refusal: Any
) -> None:
    ai.answer = refusal
    with capture_logs() as logs:
        assert await ask(replies, ai, question(attempts=1)) == Done([EFFECT])
    [answer] = answers(php)
    assert (answer["outcome"], answer["text"]) == ("failed", None)
    assert answer["error"]
    for text in (str(logs), str(answer)):
        assert KEY not in text
        assert "secret" not in text
    assert len(ai.hits) == 1


@pytest.mark.parametrize("status", [401, 403, 404, 410])
async def test_a_key_or_url_that_may_have_changed(
    replies: AiReplies, ai: Target, php: Php, status: int
) -> None:
    ai.answer = json({}, status)
    end = await ask(replies, ai, question())
    assert isinstance(end, Again)
    assert end.refused
    assert await ask(replies, ai, question(attempts=1)) == Done([EFFECT])
    assert outcomes(php) == [("q", "failed")]


async def test_a_provider_that_is_not_there(replies: AiReplies, ai: Target, php: Php) -> None:
    counted = Counted()
    assert await ask(replies, ai, question("q", provider="gone")) == Done([EFFECT])
    [end] = await replies.do(config(), [question("r")])
    assert end == Done([EFFECT])
    assert outcomes(php) == [("q", "failed"), ("r", "failed")]
    assert answers(php)[0]["error"] == "there is no AI named 'gone'"
    assert counted.since() == {("ai_reply", "no_target"): 2}


async def test_an_answer_that_takes_too_long(backend: Backend, ai: Target, php: Php) -> None:
    held = Held()
    ai.answer = held
    one = make(backend, timeout_s=0.2)
    assert isinstance(await ask(one, ai, question()), Again)
    await eventually(lambda: held.gone == 1)
    await one.close()
    assert answers(php) == []


# -- out of date --


async def test_a_newer_question_breaks_the_older_one_off(
    replies: AiReplies, ai: Target, php: Php
) -> None:
    held = Held()
    ai.then(held, said)
    counted = Counted()
    older = asyncio.create_task(ask(replies, ai, question("a")))
    await eventually(lambda: ai.in_flight == 1)
    assert await ask(replies, ai, question("b", put_at=2)) == Done([EFFECT])
    assert await older == Done([EFFECT])
    assert sorted(outcomes(php)) == [("a", "superseded"), ("b", "answered")]
    await eventually(lambda: held.gone == 1)
    assert counted.since() == {("ai_reply", "superseded"): 1, ("ai_reply", "ok"): 1}


async def test_an_older_question_that_waits_is_never_asked(
    replies: AiReplies, ai: Target, php: Php
) -> None:
    older, newer = question("a"), question("b")
    replies.arrived(older)
    replies.arrived(newer)
    assert await replies.do(known(ai), [older]) == [Done([EFFECT])]
    assert await replies.do(known(ai), [newer]) == [Done([EFFECT])]
    assert outcomes(php) == [("a", "superseded"), ("b", "answered")]
    assert len(ai.hits) == 1


async def test_an_older_question_that_is_tried_again_is_out_of_date(
    replies: AiReplies, ai: Target, php: Php
) -> None:
    ai.answer = json({}, 503)
    assert isinstance(await ask(replies, ai, question("a")), Again)
    ai.answer = said
    await ask(replies, ai, question("b", put_at=2))
    assert await ask(replies, ai, question("a", attempts=1)) == Done([EFFECT])
    assert outcomes(php) == [("b", "answered"), ("a", "superseded")]


async def test_other_conversations_are_left_alone(replies: AiReplies, ai: Target, php: Php) -> None:
    held = Held()
    ai.then(held, said)
    one = asyncio.create_task(ask(replies, ai, question("a", "c1")))
    await eventually(lambda: ai.in_flight == 1)
    await ask(replies, ai, question("b", "c2", put_at=2))
    held.release.set()
    await one
    assert sorted(outcomes(php)) == [("a", "answered"), ("b", "answered")]


async def test_a_question_that_has_expired(replies: AiReplies, ai: Target, php: Php) -> None:
    for id_, provider in (("a", "mine"), ("b", "gone")):
        expired = question(id_, provider=provider, expires_at=now_ms() - 1)
        assert await ask(replies, ai, expired) == Done([EFFECT])
    assert outcomes(php) == [("a", "superseded"), ("b", "superseded")]
    assert ai.hits == []


async def test_a_question_that_expires_while_it_is_asked(
    replies: AiReplies, ai: Target, php: Php
) -> None:
    held = Held()
    ai.answer = held
    assert await ask(replies, ai, question(expires_at=now_ms() + 200)) == Done([EFFECT])
    assert outcomes(php) == [("q", "superseded")]
    await eventually(lambda: held.gone == 1)


# -- PHP does not take it --


async def test_php_is_away_while_the_ai_answers(replies: AiReplies, ai: Target, php: Php) -> None:
    away = php.always(AI_ANSWERS, Answer(503))
    task = asyncio.create_task(ask(replies, ai, question()))
    await eventually(lambda: len(php.to(AI_ANSWERS)) >= 2)
    php.forget(away)
    assert await task == Done([EFFECT])
    assert len(ai.hits) == 1


async def test_the_ai_is_not_asked_again_because_of_php(
    replies: AiReplies, ai: Target, php: Php
) -> None:
    ill = php.always(AI_ANSWERS, Answer(500))
    assert isinstance(await ask(replies, ai, question()), Again)
    php.forget(ill)
    # Also when a newer question has come: PHP may have acted on what it was told before.
    replies.arrived(question("newer", put_at=2))
    assert await ask(replies, ai, question(attempts=1)) == Done([EFFECT])
    # And when it could not be written down that it has happened.
    assert await ask(replies, ai, question(attempts=1)) == Done([EFFECT])
    assert set(outcomes(php)) == {("q", "answered")}
    assert len(ai.hits) == 1


async def test_whoever_stops_leaves_no_call_behind(
    replies: AiReplies, ai: Target, php: Php
) -> None:
    held = Held()
    ai.answer = held
    task = asyncio.create_task(ask(replies, ai, question()))
    await eventually(lambda: ai.in_flight == 1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await eventually(lambda: held.gone == 1)
    assert answers(php) == []
    ai.answer = said
    assert await ask(replies, ai, question()) == Done([EFFECT])


async def test_something_else_than_a_question(replies: AiReplies) -> None:
    other = queued(Forward(id="f"))
    replies.arrived(other)
    assert isinstance((await replies.do(config(), [other]))[0], GivenUp)
