"""The simulated AI, over real connections."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import orjson
import pytest

from simulator import server
from simulator.ai_provider import SimulatedAi, simulating_ai
from simulator.outside.app import as_range
from tests.eventually import eventually

ASKED = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi!"},
        {"role": "user", "content": "Do you ship?"},
    ],
}


@pytest.fixture
async def ai() -> AsyncIterator[SimulatedAi]:
    async with simulating_ai() as running:
        yield running


async def _post(
    client: aiohttp.ClientSession, url: str, body: Any, **headers: str
) -> tuple[int, Any]:
    async with client.post(url, json=body, headers=headers) as answer:
        return answer.status, await answer.json(content_type=None)


async def _ask(client: aiohttp.ClientSession, ai: SimulatedAi) -> tuple[int, Any]:
    return await _post(client, f"{ai.openai_url}/chat/completions", ASKED)


async def test_chat_completions(ai: SimulatedAi, client: aiohttp.ClientSession) -> None:
    url = f"{ai.openai_url}/chat/completions"
    status, answer = await _post(client, url, ASKED, Authorization="Bearer k")
    assert status == 200
    (choice,) = answer["choices"]
    assert choice["message"]["content"] == "You said: Do you ship?"
    assert (choice["message"]["role"], choice["finish_reason"]) == ("assistant", "stop")
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    (kept,) = ai.requests
    assert (kept.authorization, kept.text, kept.body) == ("Bearer k", "Do you ship?", ASKED)


async def test_flowise(ai: SimulatedAi, client: aiohttp.ClientSession) -> None:
    history = [{"role": "userMessage", "content": "Hello"}]
    body = {"question": "Ship?", "history": history, "overrideConfig": {"sessionId": "c1"}}
    status, answer = await _post(client, ai.flowise_url("flow-7"), body)
    assert (status, answer["text"]) == (200, "You said: Ship?")
    assert answer["sessionId"] == "c1"
    assert ai.requests[0].path.endswith("/flow-7")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"model": None}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "bot", "content": "a"}]}, "role"),
        ({"messages": [{"role": "user", "content": 7}]}, "content"),
        ({"stream": True}, "stream"),
    ],
)
async def test_what_openai_would_not_take(
    ai: SimulatedAi, client: aiohttp.ClientSession, change: dict[str, Any], word: str
) -> None:
    url = f"{ai.openai_url}/chat/completions"
    status, answer = await _post(client, url, {**ASKED, **change})
    assert (status, word in answer["error"]["message"]) == (400, True)
    assert ai.requests == []


@pytest.mark.parametrize("body", [{}, {"question": "a", "history": [{"role": "user"}]}, []])
async def test_what_flowise_would_not_take(
    ai: SimulatedAi, client: aiohttp.ClientSession, body: Any
) -> None:
    assert (await _post(client, ai.flowise_url("f"), body))[0] == 400


async def test_a_wrong_key(client: aiohttp.ClientSession) -> None:
    async with simulating_ai(api_key="right") as ai:
        status, answer = await _ask(client, ai)
        assert (status, answer["error"]["code"]) == (401, "invalid_api_key")


async def test_hundreds_are_open_at_once(ai: SimulatedAi, client: aiohttp.ClientSession) -> None:
    ai.latency_s = 30.0
    asked = [asyncio.create_task(_ask(client, ai)) for _ in range(300)]
    await eventually(lambda: ai.traffic.open == 300, 30)
    assert ai.traffic.most_open == 300
    for one in asked:
        one.cancel()
    await asyncio.gather(*asked, return_exceptions=True)
    await eventually(lambda: ai.traffic.open == 0, 30)
    assert ai.traffic.answers == {"none": 300}


async def test_an_answer_takes_its_time(ai: SimulatedAi, client: aiohttp.ClientSession) -> None:
    loop = asyncio.get_running_loop()
    ai.latency_s = (0.2, 0.3)
    begun = loop.time()
    assert (await _ask(client, ai))[0] == 200
    assert loop.time() - begun >= 0.19
    with pytest.raises(ValueError, match="delay"):
        SimulatedAi((2.0, 1.0))


async def test_stops_at_once_with_requests_open(
    client: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_SHUTDOWN_S", 3600)
    async with simulating_ai(3600.0) as ai:
        asked = asyncio.create_task(_ask(client, ai))
        await eventually(lambda: ai.traffic.open == 1)
    with pytest.raises(aiohttp.ClientConnectionError):
        await asked


async def test_too_many_requests(ai: SimulatedAi, client: aiohttp.ClientSession) -> None:
    ai.faults.add("status", status=429, retry_after="2", times=1)
    async with client.post(f"{ai.openai_url}/chat/completions", json=ASKED) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (429, "2")
        assert (await answer.json())["error"]["code"] == "rate_limit_exceeded"
    assert ai.requests == []
    assert (await _ask(client, ai))[0] == 200
    assert ai.traffic.answers == {"429": 1, "200": 1}
    assert ai.traffic.faults == {"status": 1}


async def test_broken_and_empty(ai: SimulatedAi, client: aiohttp.ClientSession) -> None:
    ai.faults.add("broken", times=1)
    ai.faults.add("empty", times=1)
    async with client.post(f"{ai.openai_url}/chat/completions", json=ASKED) as answer:
        assert (answer.status, answer.content_type) == (200, "application/json")
        text = await answer.text()
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(text)
    assert (await _ask(client, ai))[1]["choices"] == []


@pytest.mark.parametrize("kind", ["hang", "reset"])
async def test_no_answer(ai: SimulatedAi, client: aiohttp.ClientSession, kind: str) -> None:
    ai.faults.add(kind, seconds=0.05, times=1)
    with pytest.raises(aiohttp.ClientConnectionError):
        await _ask(client, ai)
    assert (await _ask(client, ai))[0] == 200
    assert ai.traffic.answers == {"none": 1, "200": 1}


async def test_faults_for_some(ai: SimulatedAi, client: aiohttp.ClientSession) -> None:
    ai.faults.add("status", status=500, body_contains="poison")
    ai.faults.add("status", status=503, share=0.5)
    statuses = [(await _ask(client, ai))[0] for _ in range(4)]
    assert statuses == [200, 503, 200, 503]
    poison = {**ASKED, "user": "poison"}
    assert (await _post(client, f"{ai.openai_url}/chat/completions", poison))[0] == 500


async def test_control(ai: SimulatedAi, client: aiohttp.ClientSession) -> None:
    control = f"{ai.url}/_simulator"
    fault = {"kind": "status", "status": 500}
    assert (await _post(client, f"{control}/faults", fault))[0] == 200
    for wrong in ({"kind": "status"}, {"kind": "redirect"}, {"kind": "new"}):
        assert (await _post(client, f"{control}/faults", wrong))[0] == 400
    await _ask(client, ai)
    async with client.get(f"{control}/faults") as answer:
        assert [one["hits"] for one in (await answer.json())["faults"]] == [1]
    async with client.delete(f"{control}/faults") as answer:
        assert await answer.json() == {"faults": []}
    assert (await _post(client, f"{control}/latency", {"least": 0, "most": 0.01}))[0] == 200
    assert (await _post(client, f"{control}/latency", {"least": 2, "most": 1}))[0] == 400
    assert as_range(ai.latency_s) == (0, 0.01)
    url = f"{ai.openai_url}/chat/completions"
    await _post(client, url, ASKED, Authorization="Bearer secret")
    async with client.get(f"{control}/requests") as answer:
        text = await answer.text()
        assert "Do you ship?" in text
        assert "secret" not in text
    async with client.get(f"{control}/report") as answer:
        report = await answer.json()
    assert (report["requests"], report["open"], report["most_open"]) == (2, 0, 1)
