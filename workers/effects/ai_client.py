"""The APIs of AIs: requests, and what their answers mean."""

import re
import time
from dataclasses import dataclass
from typing import Any

import orjson

from contracts.effects import AiProvider, AiProviderKind, AiReply, EffectKind
from contracts.portable import flaw
from sidecar.effects.outbound import Outbound, OutboundFailed, OutboundRefused, Reply
from workers.effects.calls import REFUSED, count, may_come_again, result_of, retry_after_s

#: Nobody could send a longer answer.
MAX_ANSWER_BYTES = 1024 * 1024
#: Maximum size of the usage, which is a few numbers.
MAX_USAGE_BYTES = 4 * 1024
LONGEST_PAUSE_S = 120.0

_CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True)
class Said:
    """``usage`` is as the provider reports it."""

    text: str
    usage: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """``again``: a retry may help, not before ``after_s`` if that is given. ``refused``: as it is
    of :class:`workers.effects.handler.Again`. ``reason`` contains nothing of the conversation, and
    no key."""

    reason: str
    again: bool = False
    after_s: float | None = None
    refused: bool = False


class AiClient:
    """Asks AIs. ``outbound`` is its own, because tenants choose the URLs."""

    def __init__(self, outbound: Outbound, *, timeout_s: float) -> None:
        self._outbound = outbound
        self._timeout_s = timeout_s

    async def close(self) -> None:
        await self._outbound.close()

    async def ask(self, provider: AiProvider, question: AiReply) -> Said | NoAnswer:
        """Ask once. Never raises, whatever the network or the AI does."""
        headers = {}
        if provider.api_key:
            if not (provider.api_key.isascii() and provider.api_key.isprintable()):
                return NoAnswer(f"the key of the AI {provider.name!r} holds a character no key has")
            headers["Authorization"] = f"Bearer {provider.api_key}"
        if provider.kind == AiProviderKind.OPENAI:
            url, value = _below(provider.url, "chat/completions"), _completion(provider, question)
        elif provider.kind == AiProviderKind.FLOWISE:
            url, value = provider.url, _prediction(question)
        else:
            return NoAnswer(f"the AI {provider.name!r} is of an unknown kind, {provider.kind!r}")
        try:
            body = orjson.dumps(value)
        except TypeError as error:
            return NoAnswer(f"the question cannot be written as JSON: {error}")
        return await self._post(provider, url, body, headers)

    async def _post(
        self, provider: AiProvider, url: str, body: bytes, headers: dict[str, str]
    ) -> Said | NoAnswer:
        kind = EffectKind.AI_REPLY
        started_at = time.perf_counter()
        try:
            reply = await self._outbound.post(
                url, body, headers, timeout_s=self._timeout_s, limit_bytes=MAX_ANSWER_BYTES
            )
        except OutboundRefused as error:
            count(kind, "refused_address")
            return NoAnswer(f"the AI's URL may not be called: {error}")
        except OutboundFailed as error:
            count(kind, error.how, started_at)
            return NoAnswer(str(error), again=True)
        if 200 <= reply.status < 300:
            said = _read(provider, reply)
            count(kind, "ok" if isinstance(said, Said) else "no_answer", started_at)
            return said
        count(kind, result_of(reply.status), started_at)
        code = _error_code(reply.body)
        return NoAnswer(
            f"the AI {provider.name!r} answered {reply.status}" + (f" ({code})" if code else ""),
            again=may_come_again(reply.status),
            after_s=retry_after_s(reply.retry_after, LONGEST_PAUSE_S),
            refused=reply.status in REFUSED,
        )


def _below(url: str, path: str) -> str:
    root, mark, query = url.partition("?")
    return f"{root.rstrip('/')}/{path}{mark}{query}"


def _completion(provider: AiProvider, question: AiReply) -> dict[str, Any]:
    """Return the body of a chat completion, not streamed
    (https://platform.openai.com/docs/api-reference/chat/create)."""
    body = {
        name: value for name, value in question.options.items() if not name.startswith("stream")
    }
    if model := question.model or provider.model:
        body["model"] = model
    body["messages"] = [{"role": m.role, "content": m.content} for m in question.messages]
    return body


def _prediction(question: AiReply) -> dict[str, Any]:
    """Return the body of a Flowise prediction
    (https://docs.flowiseai.com/using-flowise/prediction): the last message is the question, and
    those before it the history. A flow has its own instructions, so those of the system are left
    out; PHP may name what a flow lets override, among the options."""
    *earlier, last = question.messages
    roles = {"user": "userMessage", "assistant": "apiMessage"}
    history = [{"role": roles[m.role], "content": m.content} for m in earlier if m.role in roles]
    body: dict[str, Any] = {"question": last.content, "streaming": False}
    if history:
        body["history"] = history
    if question.options:
        body["overrideConfig"] = question.options
    return body


def _read(provider: AiProvider, reply: Reply) -> Said | NoAnswer:
    if reply.cut:
        return NoAnswer(f"the AI {provider.name!r} answered more than {MAX_ANSWER_BYTES} bytes")
    try:
        body = orjson.loads(reply.body)
    except orjson.JSONDecodeError:
        return NoAnswer(f"the AI {provider.name!r} answered something else than JSON")
    if not isinstance(body, dict):
        return NoAnswer(f"the AI {provider.name!r} answered JSON that is no object")
    flowise = provider.kind == AiProviderKind.FLOWISE
    text = body.get("text") if flowise else _completed(body)
    if not isinstance(text, str) or not text.strip():
        return NoAnswer(f"the AI {provider.name!r} answered without a text")
    return Said(text.strip(), _usage(body.get("usage")))


def _usage(value: Any) -> dict[str, Any] | None:
    """Return it as PHP can have it, and not what makes PHP refuse the answer."""
    if not isinstance(value, dict) or flaw([[[value]]]) is not None:
        return None
    return value if len(orjson.dumps(value)) <= MAX_USAGE_BYTES else None


def _completed(body: dict[str, Any]) -> Any:
    """Return the text of the first choice. Some APIs give it in parts."""
    choices = body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    message = first.get("message") if isinstance(first, dict) else None
    content = message.get("content") if isinstance(message, dict) else None
    if not isinstance(content, list):
        return content
    texts = [part.get("text") for part in content if isinstance(part, dict)]
    return "".join(text for text in texts if isinstance(text, str))


def _error_code(body: bytes) -> str | None:
    """Return the error's code or type. Not its message, which may repeat the key or what was
    asked."""
    try:
        error = orjson.loads(body)["error"]
    except (orjson.JSONDecodeError, KeyError, TypeError, IndexError):
        return None
    if not isinstance(error, dict):
        return None
    codes = (error.get("code"), error.get("type"))
    return next((c for c in codes if isinstance(c, str) and _CODE.fullmatch(c)), None)
