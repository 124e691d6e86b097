"""Forwarding to a vendor's own webhook."""

import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from contracts.cloud_api.webhook import sign
from contracts.effects import Forward
from sidecar.effects.outbound import Outbound
from tests.target import Target, json, never, target
from tests.workers.queued_effects import Counted, config, queued
from workers.effects.forward import LONGEST_PAUSE_S, Forwarder
from workers.effects.handler import Again, Done, End, GivenUp

ID = "5b0c9e0e-93d4-4a56-8c4e-0b9b1c7f3a11"
BODY: dict[str, Any] = {"object": "whatsapp_business_account", "entry": [{"id": "ü 😀"}]}


@pytest.fixture
async def hook() -> AsyncIterator[Target]:
    async with target() as one:
        yield one


@pytest.fixture
async def forwarder() -> AsyncIterator[Forwarder]:
    one = Forwarder(Outbound(["127.0.0.1"]), timeout_s=5.0, at_once=8)
    yield one
    await one.close()


async def forward(
    one: Forwarder,
    url: str | None,
    secret: str | None = None,
    body: dict[str, Any] | None = BODY,
    id_: str = ID,
) -> End:
    known = config(forward={"url": url, "secret": secret} if url is not None else None)
    [end] = await one.do(known, [queued(Forward(id=id_, body=body))])
    return end


async def test_what_arrives(forwarder: Forwarder, hook: Target) -> None:
    counted = Counted()
    assert await forward(forwarder, f"{hook.url}/hook?token=1", "s3cret") == Done()
    [hit] = hook.hits
    assert hit.json == BODY
    assert (hit.path, hit.query) == ("/hook", {"token": "1"})
    assert hit.headers["Webhook-Id"] == ID
    assert hit.headers["X-Hub-Signature-256"] == sign(b"s3cret", hit.body)
    assert hit.headers["Content-Type"] == "application/json"
    assert hit.headers["User-Agent"] == "whatsapp-sidecar"
    assert counted.since() == {("forward", "ok"): 1}


@pytest.mark.parametrize("secret", [None, ""])
async def test_without_a_secret_there_is_no_signature(
    forwarder: Forwarder, hook: Target, secret: str | None
) -> None:
    await forward(forwarder, hook.url, secret)
    assert "X-Hub-Signature-256" not in hook.hits[0].headers


async def test_an_id_that_no_header_may_hold(forwarder: Forwarder, hook: Target) -> None:
    assert await forward(forwarder, hook.url, id_="a\r\nX-Evil: 1") == Done()
    assert hook.hits[0].headers["Webhook-Id"] == "a%0D%0AX-Evil%3A%201"


@pytest.mark.parametrize(
    ("status", "end"),
    [
        (200, Done),
        (202, Done),
        (204, Done),
        (301, GivenUp),
        (307, GivenUp),
        (400, GivenUp),
        (401, GivenUp),
        (403, GivenUp),
        (404, GivenUp),
        (408, Again),
        (410, GivenUp),
        (413, GivenUp),
        (425, Again),
        (429, Again),
        (500, Again),
        (502, Again),
        (503, Again),
        (504, Again),
    ],
)
async def test_what_an_answer_means(
    forwarder: Forwarder, hook: Target, status: int, end: type[End]
) -> None:
    location = {"Location": f"{hook.url}/elsewhere"}
    hook.answer = lambda _hit: web.Response(status=status, headers=location)
    found = await forward(forwarder, f"{hook.url}/hook?token=s3cret")
    assert isinstance(found, end)
    if isinstance(found, Again | GivenUp):
        assert str(status) in found.reason
        assert found.refused is (status in {401, 403, 404, 410})
        assert "s3cret" not in found.reason
    if isinstance(found, Again):
        assert found.counts
        assert found.after_s is None
    assert [hit.path for hit in hook.hits] == ["/hook"]


@pytest.mark.parametrize(("asked", "after_s"), [("7", 7.0), ("86400", LONGEST_PAUSE_S)])
async def test_the_pause_that_is_asked_for(
    forwarder: Forwarder, hook: Target, asked: str, after_s: float
) -> None:
    hook.answer = json({}, 503, Retry_After=asked)
    found = await forward(forwarder, hook.url)
    assert isinstance(found, Again)
    assert found.after_s == after_s


async def test_no_answer_in_time(hook: Target) -> None:
    hook.answer = never
    counted = Counted()
    one = Forwarder(Outbound(["127.0.0.1"]), timeout_s=0.2, at_once=8)
    found = await forward(one, f"{hook.url}/?token=s3cret")
    await one.close()
    assert isinstance(found, Again)
    assert "did not answer within 0.2 s" in found.reason
    assert "s3cret" not in found.reason
    assert counted.since() == {("forward", "timed_out"): 1}


async def test_connections_that_break_and_that_never_come(
    forwarder: Forwarder, hook: Target
) -> None:
    hook.answer = lambda _hit: "drop"
    counted = Counted()
    assert isinstance(await forward(forwarder, hook.url), Again)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        assert isinstance(await forward(forwarder, url), Again)
    assert counted.since() == {("forward", "broke"): 1, ("forward", "no_connection"): 1}


async def test_a_private_address(hook: Target) -> None:
    one = Forwarder(Outbound(), timeout_s=5.0, at_once=8)
    counted = Counted()
    found = await forward(one, hook.url)
    await one.close()
    assert isinstance(found, GivenUp)
    assert "outbound_allow" in found.reason
    assert hook.hits == []
    assert counted.since() == {("forward", "refused_address"): 1}


async def test_a_redirect_to_a_private_address(forwarder: Forwarder, hook: Target) -> None:
    async with target("::1") as inner:
        moved = {"Location": inner.url}
        hook.answer = lambda _hit: web.Response(status=307, headers=moved)
        found = await forward(forwarder, hook.url)
        assert isinstance(found, GivenUp)
        assert "redirect" in found.reason
        assert inner.hits == []


@pytest.mark.parametrize("url", ["", None])
async def test_there_is_no_target_any_more(
    forwarder: Forwarder, hook: Target, url: str | None
) -> None:
    counted = Counted()
    with capture_logs() as logs:
        for _ in range(3):
            assert await forward(forwarder, url) == Done()
        await forward(forwarder, hook.url)
        assert await forward(forwarder, url) == Done()
    assert counted.since() == {("forward", "no_target"): 4, ("forward", "ok"): 1}
    assert [log["event"] for log in logs] == ["forward.no_target"] * 2


async def test_a_text_of_json_is_posted_as_it_is(forwarder: Forwarder, hook: Target) -> None:
    raw = '{"n": 18446744073709551617, "x":1.0,"y":"\\u00e9\\/ \\ud83d\\ude00 ü"}'
    effect = Forward(id=ID, raw=raw)
    known = config(forward={"url": f"{hook.url}/hook", "secret": "s3cret"})
    [end] = await forwarder.do(known, [queued(effect)])
    assert end == Done()
    [hit] = hook.hits
    assert hit.body == raw.encode()
    assert hit.headers["X-Hub-Signature-256"] == sign(b"s3cret", raw.encode())


async def test_a_body_that_is_missing_or_no_json(forwarder: Forwarder, hook: Target) -> None:
    for body in (None, {"number": 2**70}):
        assert isinstance(await forward(forwarder, hook.url, body=body), GivenUp)
    assert hook.hits == []
