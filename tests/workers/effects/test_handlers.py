"""The handlers as settings make them, against the simulated servers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from contracts.backend import VendorConfig
from contracts.effects import AiMessage, AiReply, Broadcast, Effect, EffectKind, Forward
from sidecar.php.client import Backend
from simulator.ai_provider import simulating_ai
from simulator.pusher import simulating_pusher
from simulator.vendor_webhook import receiving_forwards
from tests.conftest import MakeSettings
from tests.workers import php as php_side
from tests.workers.ai_php import answers, take
from tests.workers.php import Php
from tests.workers.queued_effects import config, queued
from workers.effects.handler import Again, Done, End, GivenUp, Handler
from workers.effects.handlers import make_handlers

Handlers = dict[EffectKind, Handler]
Make = Callable[..., Any]


@pytest.fixture
async def php() -> AsyncIterator[Php]:
    async with php_side.running() as one:
        take(one)
        yield one


@pytest.fixture
async def backend(php: Php) -> AsyncIterator[Backend]:
    one = php_side.client(php.url)
    yield one
    await one.close()


@pytest.fixture
async def make(make_settings: MakeSettings, backend: Backend) -> AsyncIterator[Make]:
    """Make handlers; give settings by name."""
    async with AsyncExitStack() as stack:

        def make(**settings: Any) -> Handlers:
            handlers = make_handlers(make_settings(**settings), backend)
            for handler in handlers.values():
                stack.push_async_callback(handler.close)
            return handlers

        yield make


@pytest.fixture
def handlers(make: Make) -> Handlers:
    made: Handlers = make(outbound_allow=["127.0.0.0/8"])
    return made


async def do(handlers: Handlers, known: VendorConfig, *effects: Effect) -> list[End]:
    """Do effects of one kind, as one batch."""
    handler = handlers[effects[0].kind]
    batch = [queued(effect, put_at=number) for number, effect in enumerate(effects)]
    for one in batch:
        handler.arrived(one)
    return await handler.do(known, batch)


def question(id_: str, provider: str = "openai", **more: Any) -> AiReply:
    messages = [
        AiMessage(role="system", content="Be kind."),
        AiMessage(role="user", content="Hi"),
        AiMessage(role="assistant", content="Hello!"),
        AiMessage(role="user", content=f"question {id_}"),
    ]
    return AiReply(id=id_, conversation=id_, provider=provider, messages=messages, **more)


@asynccontextmanager
async def two_providers(**simulated: Any) -> AsyncIterator[tuple[Any, VendorConfig]]:
    async with simulating_ai(api_key="sk-1", **simulated) as ai:
        common = {"api_key": "sk-1", "model": "gpt-4o-mini"}
        known = config(
            ai_providers=[
                {"name": "openai", "url": ai.openai_url, **common},
                {"name": "flow", "kind": "flowise", "url": ai.flowise_url("f"), **common},
            ]
        )
        yield ai, known


def test_every_kind_but_messages_has_a_handler(handlers: Handlers) -> None:
    assert set(handlers) == set(EffectKind) - {EffectKind.SEND_MESSAGE}


def test_the_settings_are_used(make: Make) -> None:
    made = make(forward_concurrency=3, ai_concurrency=7, media_concurrency=2)
    assert made[EffectKind.FORWARD].at_once == 3
    assert made[EffectKind.AI_REPLY].at_once == 7
    assert made[EffectKind.FETCH_MEDIA].at_once == 2


@pytest.mark.parametrize("provider", ["openai", "flow"])
async def test_an_ai(handlers: Handlers, php: Php, provider: str) -> None:
    async with two_providers() as (ai, known):
        asked = question("q", provider, options={"temperature": 0.1})
        assert await do(handlers, known, asked) == [Done([])]
        [request] = ai.requests
    [answer] = answers(php)
    assert (answer["outcome"], answer["text"]) == ("answered", "You said: question q")
    assert (answer["usage"] is not None) == (provider == "openai")
    assert request.text == "question q"


async def test_a_slow_ai_keeps_nobody_waiting(handlers: Handlers, php: Php) -> None:
    """All questions are under way at the same time."""
    async with two_providers(latency_s=0.5) as (ai, known):
        one_by_one = [do(handlers, known, question(str(n))) for n in range(50)]
        assert await asyncio.gather(*one_by_one) == [[Done([])]] * 50
        assert ai.traffic.most_open == 50
    assert len(answers(php)) == 50


async def test_an_ai_that_fails(handlers: Handlers, php: Php) -> None:
    async with two_providers() as (ai, known):
        ai.faults.add("status", status=429, retry_after="2", times=1)
        [end] = await do(handlers, known, question("a"))
        assert isinstance(end, Again)
        assert end.after_s == 2.0
        ai.faults.add("reset", times=1)
        assert isinstance((await do(handlers, known, question("b")))[0], Again)
        for kind in ("broken", "empty"):
            ai.faults.add(kind, times=1)
            assert await do(handlers, known, question(kind)) == [Done([])]
    assert {(a["id"], a["outcome"]) for a in answers(php)} == {
        ("broken", "failed"),
        ("empty", "failed"),
    }


async def test_as_many_tries_as_there_are_before_it_is_given_up(make: Make, php: Php) -> None:
    """PHP hears of the failure, although effects are given up earlier than AIs."""
    handlers = make(outbound_allow="127.0.0.1", ai_max_attempts=5, effect_max_attempts=1)
    async with two_providers() as (ai, known):
        ai.faults.add("status", status=503)
        assert await do(handlers, known, question("q")) == [Done([])]
    assert [answer["outcome"] for answer in answers(php)] == ["failed"]


async def test_a_vendors_webhook(handlers: Handlers) -> None:
    async with receiving_forwards("s3cret") as hook:
        known = config(forward={"url": hook.hook, "secret": "s3cret"})
        body = {"object": "whatsapp_business_account", "entry": [{"text": "ü 😀"}]}
        assert await do(handlers, known, Forward(id="f", body=body)) == [Done()]
        assert [one.json for one in hook.requests] == [body]
        wrong = config(forward={"url": hook.hook, "secret": "other"})
        [end] = await do(handlers, wrong, Forward(id="g", body=body))
        assert isinstance(end, GivenUp)
        hook.faults.add("redirect", location="http://169.254.169.254/latest/meta-data", times=1)
        [end] = await do(handlers, known, Forward(id="h", body=body))
        assert isinstance(end, GivenUp)
        hook.faults.add("reset", times=1)
        [end] = await do(handlers, known, Forward(id="i", body=body))
        assert isinstance(end, Again)
        assert len(hook.requests) == 1


async def test_a_private_address_is_refused_by_default(make: Make, php: Php) -> None:
    handlers = make()
    async with receiving_forwards() as hook:
        [end] = await do(handlers, config(forward={"url": hook.hook}), Forward(id="f", body={}))
        assert isinstance(end, GivenUp)
        assert hook.requests == []
    async with two_providers() as (ai, known):
        assert await do(handlers, known, question("q")) == [Done([])]
        assert ai.requests == []
    assert "outbound_allow" in answers(php)[0]["error"]


async def test_broadcasts(make: Make) -> None:
    """The operator has chosen the server, so it may be a private one."""
    handlers = make()
    async with simulating_pusher() as pusher:
        server = {"url": pusher.url, "app_id": pusher.app_id, "key": pusher.key}
        known = config(broadcaster={**server, "secret": pusher.secret})
        effects = [
            Broadcast(id=str(n), channels=[f"vendor-{n}"], event="Sent", data={"n": n})
            for n in range(8)
        ]
        many = [f"private-{n}" for n in range(100)]
        effects.append(Broadcast(id="many", channels=many, event="Sent", data="x"))
        effects.append(Broadcast(id="large", channels=["c"], event="Sent", data="x" * 10_241))
        ends = await do(handlers, known, *effects)
        assert ends[:-1] == [Done()] * 9
        assert isinstance(ends[-1], GivenUp)
        assert pusher.batches == 1
        assert {event.channels for event in pusher.events} == {
            *((f"vendor-{n}",) for n in range(8)),
            tuple(many),
        }
        assert {event.data for event in pusher.events} == {*(f'{{"n":{n}}}' for n in range(8)), "x"}

        bad = Broadcast(id="bad", channels=["not a channel!"], event="Sent")
        good = Broadcast(id="good", channels=["c"], event="Sent", socket_id="1.2")
        bad_end, good_end = await do(handlers, known, bad, good)
        assert isinstance(bad_end, GivenUp)
        assert good_end == Done()

        wrong = config(broadcaster={**server, "secret": "wrong"})
        [end] = await do(handlers, wrong, good)
        assert isinstance(end, Again)
        assert not end.counts
