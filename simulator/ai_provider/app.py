"""The simulated AI."""

import random
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from simulator.outside.app import Outside, as_range, json_answer, read_object, running

_LATENCY = "/_simulator/latency"
_ROLES = frozenset({"system", "developer", "user", "assistant", "tool"})


@dataclass(frozen=True, slots=True)
class Question:
    """A request as it came. ``text``: what the customer said last."""

    path: str
    authorization: str | None
    body: dict[str, Any]
    text: str


def echo(text: str) -> str:
    """Answer with the question."""
    return f"You said: {text}"


class SimulatedAi(Outside[Question]):
    """``latency_s``: how long an answer takes, or least and most. ``api_key``: what requests must
    carry; None takes any. ``reply`` makes the answer out of the question."""

    paths = ("/v1/chat/completions", "/api/v1/prediction/{id}")

    def __init__(
        self,
        latency_s: float | tuple[float, float] = 0.0,
        *,
        api_key: str | None = None,
        reply: Callable[[str], str] = echo,
    ) -> None:
        super().__init__()
        as_range(latency_s)
        self.latency_s = latency_s
        self.api_key = api_key
        self.reply = reply
        self._app.add_route(_LATENCY, self._set_latency, methods=["POST"])

    @property
    def openai_url(self) -> str:
        """The root of its OpenAI API."""
        return f"{self.url}/v1"

    def flowise_url(self, flow: str) -> str:
        """The whole URL of a Flowise prediction."""
        return f"{self.url}/api/v1/prediction/{flow}"

    async def handle(self, request: Request, body: bytes) -> Response:
        authorization = request.headers.get("authorization")
        if self.api_key is not None and authorization != f"Bearer {self.api_key}":
            return _refuse(401, "Incorrect API key provided.", "invalid_api_key")
        asked = read_object(body)
        flowise = "id" in request.path_params
        fault = _flowise_fault(asked) if flowise else _openai_fault(asked)
        if asked is None or fault is not None:
            return _refuse(400, fault or "The body is no JSON object.", None)
        text = asked["question"] if flowise else _last_said(asked["messages"])
        self.requests.append(Question(request.url.path, authorization, asked, text))
        least, most = as_range(self.latency_s)
        await self.wait(request, random.uniform(least, most))
        answer = self.reply(text)
        made = _prediction(asked, answer) if flowise else _completion(asked, answer)
        return json_answer(orjson.dumps(made))

    def kept_as_json(self, kept: Question) -> Any:
        return {**asdict(kept), "authorization": kept.authorization and "Bearer ..."}

    def error(self, status: int) -> bytes:
        kind = "rate_limit_exceeded" if status == 429 else None
        return orjson.dumps(_error(f"simulated {status}", kind))

    def empty(self) -> bytes:
        return orjson.dumps({"id": "chatcmpl-empty", "object": "chat.completion", "choices": []})

    async def _set_latency(self, request: Request) -> Response:
        asked = read_object(await request.body()) or {}
        try:
            self.latency_s = as_range((float(asked["least"]), float(asked["most"])))
        except (KeyError, TypeError, ValueError) as error:
            return _refuse(400, f"least and most must be seconds: {error!r}", None)
        return json_answer(orjson.dumps({"latency_s": self.latency_s}))


@asynccontextmanager
async def simulating_ai(
    latency_s: float | tuple[float, float] = 0.0,
    *,
    api_key: str | None = None,
    reply: Callable[[str], str] = echo,
) -> AsyncIterator[SimulatedAi]:
    """Serve an AI on a free port while the context is open."""
    async with running(SimulatedAi(latency_s, api_key=api_key, reply=reply)) as ai:
        yield ai


def _openai_fault(asked: dict[str, Any] | None) -> str | None:
    """Return what OpenAI would not take, if there is something."""
    if asked is None:
        return None
    if not isinstance(asked.get("model"), str) or not asked["model"]:
        return "you must provide a model parameter"
    if asked.get("stream"):
        return "streams are not simulated"
    messages = asked.get("messages")
    if not isinstance(messages, list) or not messages:
        return "Invalid 'messages': expected a list that is not empty."
    for position, message in enumerate(messages):
        if not isinstance(message, dict) or message.get("role") not in _ROLES:
            return f"Invalid value: 'messages[{position}].role'."
        if not isinstance(message.get("content"), str):
            return f"Invalid type for 'messages[{position}].content': expected a string."
    return None


def _flowise_fault(asked: dict[str, Any] | None) -> str | None:
    if asked is None:
        return None
    if not isinstance(asked.get("question"), str):
        return "question is required"
    history = asked.get("history", [])
    if not isinstance(history, list) or any(
        not isinstance(one, dict)
        or one.get("role") not in ("apiMessage", "userMessage")
        or not isinstance(one.get("content"), str)
        for one in history
    ):
        return "history is a list of {role: apiMessage or userMessage, content}"
    return None


def _last_said(messages: list[dict[str, Any]]) -> str:
    said = [message["content"] for message in messages if message["role"] == "user"]
    return str(said[-1]) if said else ""


def _completion(asked: dict[str, Any], answer: str) -> dict[str, Any]:
    prompt = sum(_tokens(message["content"]) for message in asked["messages"])
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": asked["model"],
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": answer, "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": _tokens(answer),
            "total_tokens": prompt + _tokens(answer),
        },
    }


def _prediction(asked: dict[str, Any], answer: str) -> dict[str, Any]:
    override = asked.get("overrideConfig")
    chat = asked.get("chatId") or str(uuid.uuid4())
    session = override.get("sessionId") if isinstance(override, dict) else None
    return {
        "text": answer,
        "question": asked["question"],
        "chatId": chat,
        "chatMessageId": str(uuid.uuid4()),
        "sessionId": session or chat,
        "isStreamValid": False,
    }


def _tokens(text: str) -> int:
    """Return about as many tokens as a model would see."""
    return max(1, len(text) // 4)


def _error(message: str, code: str | None) -> dict[str, Any]:
    kind = "requests" if code == "rate_limit_exceeded" else "invalid_request_error"
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _refuse(status: int, message: str, code: str | None) -> Response:
    return json_answer(orjson.dumps(_error(message, code)), status)
