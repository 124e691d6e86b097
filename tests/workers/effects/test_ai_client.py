"""What AIs are asked, and what their answers mean."""

import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from contracts.effects import AiMessage, AiProvider, AiReply
from sidecar.effects.outbound import Outbound
from tests.target import Target, json, never, target
from tests.workers.queued_effects import Counted
from workers.effects.ai_client import LONGEST_PAUSE_S, MAX_ANSWER_BYTES, AiClient, NoAnswer, Said

KEY = "sk-secret-key"
SYSTEM = AiMessage(role="system", content="Be kind.")
TALK = [
    SYSTEM,
    AiMessage(role="user", content="Hi"),
    AiMessage(role="assistant", content="Hello!"),
    AiMessage(role="user", content="Where is my parcel? 📦"),
]


@pytest.fixture
async def server() -> AsyncIterator[Target]:
    async with target() as one:
        yield one


@pytest.fixture
async def client() -> AsyncIterator[AiClient]:
    one = AiClient(Outbound(["127.0.0.1"]), timeout_s=5.0)
    yield one
    await one.close()


def question(**known: Any) -> AiReply:
    known = {"id": "q", "conversation": "c", "provider": "mine", "messages": TALK, **known}
    return AiReply.model_validate(known)


def openai(url: str, **known: Any) -> AiProvider:
    return AiProvider.model_validate({"name": "mine", "url": url, "api_key": KEY, **known})


def flowise(url: str, **known: Any) -> AiProvider:
    return openai(url, kind="flowise", **known)


def completion(content: Any, **more: Any) -> dict[str, Any]:
    return {"choices": [{"message": {"role": "assistant", "content": content}}], **more}


# -- what they are asked --


async def test_a_chat_completion(client: AiClient, server: Target) -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
    server.answer = json(completion(" On its way. ", usage=usage))
    counted = Counted()
    options = {"temperature": 0.5, "max_tokens": 100, "stream": True, "stream_options": {}}
    said = await client.ask(openai(f"{server.url}/v1/"), question(model="m", options=options))
    assert said == Said("On its way.", usage)
    [hit] = server.hits
    assert hit.path == "/v1/chat/completions"
    assert hit.headers["Authorization"] == f"Bearer {KEY}"
    assert hit.headers["Content-Type"] == "application/json"
    assert hit.json == {
        "model": "m",
        "messages": [{"role": m.role, "content": m.content} for m in TALK],
        "temperature": 0.5,
        "max_tokens": 100,
    }
    assert counted.since() == {("ai_reply", "ok"): 1}


@pytest.mark.parametrize(
    ("asked", "provided", "model"),
    [("a", "b", "a"), (None, "b", "b"), (None, None, None)],
)
async def test_the_model(
    client: AiClient, server: Target, asked: str | None, provided: str | None, model: str | None
) -> None:
    server.answer = json(completion("x"))
    await client.ask(openai(server.url, model=provided), question(model=asked))
    assert server.hits[0].json.get("model") == model


async def test_options_replace_neither_model_nor_messages(client: AiClient, server: Target) -> None:
    server.answer = json(completion("x"))
    options = {"model": "other", "messages": []}
    await client.ask(openai(server.url), question(model="m", options=options))
    assert server.hits[0].json["model"] == "m"
    assert len(server.hits[0].json["messages"]) == 4


async def test_a_url_with_a_query(client: AiClient, server: Target) -> None:
    server.answer = json(completion("x"))
    await client.ask(openai(f"{server.url}/deployments/d?api-version=1"), question())
    [hit] = server.hits
    assert (hit.path, hit.query) == ("/deployments/d/chat/completions", {"api-version": "1"})


async def test_without_a_key(client: AiClient, server: Target) -> None:
    server.answer = json(completion("x"))
    await client.ask(openai(server.url, api_key=None), question())
    assert "Authorization" not in server.hits[0].headers


async def test_a_flowise_prediction(client: AiClient, server: Target) -> None:
    server.answer = json({"text": "On its way.", "question": "?", "chatId": "1"})
    url = f"{server.url}/api/v1/prediction/flow"
    said = await client.ask(flowise(url), question(options={"sessionId": "s"}))
    assert said == Said("On its way.")
    [hit] = server.hits
    assert hit.path == "/api/v1/prediction/flow"
    assert hit.headers["Authorization"] == f"Bearer {KEY}"
    assert hit.json == {
        "question": "Where is my parcel? 📦",
        "streaming": False,
        "history": [
            {"role": "userMessage", "content": "Hi"},
            {"role": "apiMessage", "content": "Hello!"},
        ],
        "overrideConfig": {"sessionId": "s"},
    }


async def test_a_flowise_prediction_without_a_history(client: AiClient, server: Target) -> None:
    server.answer = json({"text": "x"})
    await client.ask(flowise(server.url), question(messages=TALK[:2]))
    assert server.hits[0].json == {"question": "Hi", "streaming": False}


# -- what their answers mean --


async def test_an_answer_in_parts(client: AiClient, server: Target) -> None:
    parts = [{"type": "text", "text": "On its "}, {"type": "other"}, {"text": "way."}]
    server.answer = json(completion(parts))
    assert await client.ask(openai(server.url), question()) == Said("On its way.")


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        "text",
        None,
        {"choices": []},
        {"choices": None},
        {"choices": [None]},
        {"choices": [{}]},
        {"choices": [{"message": None}]},
        completion(None),
        completion(""),
        completion("  \n"),
        completion(5),
        completion([]),
        completion([{"text": None}]),
        {"text": "of a flow"},
    ],
)
async def test_an_answer_without_a_text(client: AiClient, server: Target, body: Any) -> None:
    counted = Counted()
    server.answer = json(body)
    found = await client.ask(openai(server.url), question())
    assert isinstance(found, NoAnswer)
    assert not found.again
    assert counted.since() == {("ai_reply", "no_answer"): 1}


@pytest.mark.parametrize("body", [{}, {"text": ""}, {"text": None}, {"text": {}}, completion("x")])
async def test_a_flow_without_a_text(client: AiClient, server: Target, body: Any) -> None:
    server.answer = json(body)
    assert isinstance(await client.ask(flowise(server.url), question()), NoAnswer)


@pytest.mark.parametrize("body", [b"", b"<html>", b"{", b'{"a":"\\ud800"}'])
async def test_an_answer_that_is_no_json(client: AiClient, server: Target, body: bytes) -> None:
    server.answer = lambda _hit: web.Response(body=body)
    found = await client.ask(openai(server.url), question())
    assert isinstance(found, NoAnswer)
    assert "something else than JSON" in found.reason


async def test_an_answer_that_is_too_long(client: AiClient, server: Target) -> None:
    server.answer = json(completion("x" * MAX_ANSWER_BYTES))
    found = await client.ask(openai(server.url), question())
    assert isinstance(found, NoAnswer)
    assert str(MAX_ANSWER_BYTES) in found.reason


@pytest.mark.parametrize(
    ("status", "again", "result"),
    [
        (301, False, "refused"),
        (400, False, "refused"),
        (401, False, "refused"),
        (403, False, "refused"),
        (404, False, "refused"),
        (408, True, "not_now"),
        (413, False, "refused"),
        (429, True, "not_now"),
        (500, True, "server_error"),
        (502, True, "server_error"),
        (503, True, "server_error"),
        (529, True, "server_error"),
    ],
)
async def test_what_a_status_means(
    client: AiClient, server: Target, status: int, again: bool, result: str
) -> None:
    error = {"message": f"Incorrect API key: {KEY}; you asked: parcel", "code": "some_code"}
    server.answer = json({"error": error}, status, Retry_After="9")
    counted = Counted()
    with capture_logs() as logs:
        found = await client.ask(openai(f"{server.url}/x?key={KEY}"), question())
    assert isinstance(found, NoAnswer)
    assert found.again == again
    assert found.after_s == 9.0
    assert found.reason == f"the AI 'mine' answered {status} (some_code)"
    assert counted.since() == {("ai_reply", result): 1}
    assert logs == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>secret",
        b"[]",
        b"5",
        b'{"error":"secret"}',
        b'{"error":["secret"]}',
        b'{"error":{"code":"se cret"}}',
        b'{"error":{"code":["secret"],"type":null}}',
    ],
)
async def test_an_error_without_a_code(client: AiClient, server: Target, body: bytes) -> None:
    server.answer = lambda _hit: web.Response(status=400, body=body)
    found = await client.ask(openai(server.url), question())
    assert found == NoAnswer("the AI 'mine' answered 400")


async def test_a_long_pause_is_cut(client: AiClient, server: Target) -> None:
    server.answer = json({}, 429, Retry_After="86400")
    found = await client.ask(openai(server.url), question())
    assert isinstance(found, NoAnswer)
    assert found.after_s == LONGEST_PAUSE_S


async def test_no_answer_in_time(server: Target) -> None:
    server.answer = never
    client = AiClient(Outbound(["127.0.0.1"]), timeout_s=0.2)
    counted = Counted()
    found = await client.ask(openai(server.url), question())
    await client.close()
    assert isinstance(found, NoAnswer)
    assert found.again
    assert counted.since() == {("ai_reply", "timed_out"): 1}


async def test_connections_that_break_and_that_never_come(client: AiClient, server: Target) -> None:
    server.answer = lambda _hit: "drop"
    found = await client.ask(openai(server.url), question())
    assert isinstance(found, NoAnswer)
    assert found.again
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/?key={KEY}"
        found = await client.ask(openai(url), question())
    assert isinstance(found, NoAnswer)
    assert found.again
    assert KEY not in found.reason


async def test_a_private_address(server: Target) -> None:
    client = AiClient(Outbound(), timeout_s=5.0)
    for provider in (openai(server.url), flowise(server.url)):
        found = await client.ask(provider, question())
        assert isinstance(found, NoAnswer)
        assert not found.again
        assert "outbound_allow" in found.reason
    await client.close()
    assert server.hits == []


@pytest.mark.parametrize(
    ("known", "says"),
    [
        ({"kind": "gemini"}, "unknown kind, 'gemini'"),
        ({"api_key": "a\r\nX-Evil: 1"}, "a character no key has"),
        ({"api_key": "schlüssel"}, "a character no key has"),
    ],
)
async def test_what_cannot_be_asked(
    client: AiClient, server: Target, known: dict[str, Any], says: str
) -> None:
    found = await client.ask(openai(server.url, **known), question())
    assert isinstance(found, NoAnswer)
    assert not found.again
    assert says in found.reason
    assert "Evil" not in found.reason
    assert server.hits == []


async def test_options_that_are_no_json(client: AiClient, server: Target) -> None:
    found = await client.ask(openai(server.url), question(options={"seed": 2**70}))
    assert isinstance(found, NoAnswer)
    assert server.hits == []
