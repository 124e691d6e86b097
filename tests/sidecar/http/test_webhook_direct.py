"""Webhooks that are taken without the application get the answers that it gives."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import uvicorn

from contracts.cloud_api.webhook import SIGNATURE_HEADER, sign
from contracts.jobs import Lane
from sidecar.http.connection import make_connection_class
from sidecar.http.direct import MAX_BODY_BYTES, Answer
from sidecar.metrics import ACK_SECONDS, METRICS, WEBHOOKS
from sidecar.redis import keys
from tests import trust
from tests.eventually import eventually
from tests.sidecar.answering_php import Php
from tests.sidecar.conftest import MakeService
from tests.sidecar.payloads import message_webhook, status_webhook
from tests.sidecar.service import VENDOR, Service

OWN, OWN_SECRET = "vendor-with-its-own-app", "secret-of-the-vendors-own-app"
PHPS = "vendor-of-php"


class Wire(Service):
    """The application behind a socket. ``taken`` tells, for each webhook that was offered to be
    taken without it, whether it was."""

    taken: list[bool]


@pytest.fixture
async def wire(
    make_service: MakeService, php: Php, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Wire]:
    php.add_vendor(OWN, OWN_SECRET)
    php.add_vendor(PHPS)
    php.vendors[PHPS]["modes"] = {"webhooks": "php"}
    service = await make_service(webhook_body_limit_bytes=200_000)
    for vendor_uid in (VENDOR, OWN, PHPS, "nobody"):
        await service.webhook(b"first", vendor_uid=vendor_uid)  # asks PHP about it
    await service.redis.flushall()
    taken, take = [], service.endpoint._take_directly

    def watched(vendor: str, signature: bytes, at: float, body: bytes, answer: Answer) -> bool:
        taken.append(take(vendor, signature, at, body, answer))
        return taken[-1]

    monkeypatch.setattr(service.endpoint, "_take_directly", watched)
    config = uvicorn.Config(
        service.app,
        host="127.0.0.1",
        port=0,
        http=make_connection_class(taker=service.app.direct),
        lifespan="off",
        log_config=None,
        server_header=False,
        date_header=False,
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    await eventually(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        wire = Wire(service.app, client, service.redis)
        wire.taken = taken
        yield wire
        server.should_exit = True
    await task


def usual(wire: Wire) -> Service:
    """Return the same application, called as an ASGI application."""
    transport = httpx.ASGITransport(wire.app)
    client = httpx.AsyncClient(transport=transport, base_url="http://sidecar")
    return Service(wire.app, client, wire.redis)


CASES: dict[str, tuple[bool | None, dict[str, Any]]] = {
    "a status": (True, {"body": status_webhook(1)}),
    "a message, by its older name": (
        True,
        {"body": message_webhook(1), "path": "/whatsapp-webhook"},
    ),
    "no body": (True, {"body": b""}),
    "under the vendor's own secret": (
        True,
        {"body": b"{}", "vendor_uid": OWN, "secret": OWN_SECRET},
    ),
    "in upper case": (
        True,
        {
            "body": b"{}",
            "headers": {
                SIGNATURE_HEADER: "sha256=" + sign(trust.APP_SECRET.encode(), b"{}")[7:].upper()
            },
        },
    ),
    "the longest": (True, {"body": bytes(MAX_BODY_BYTES)}),
    "too long for it": (None, {"body": bytes(MAX_BODY_BYTES + 1)}),
    "too long for all": (None, {"body": bytes(200_001)}),
    "wrongly signed": (False, {"body": b"{}", "secret": "of somebody else"}),
    "not signed": (False, {"body": b"{}", "secret": None}),
    "of an unknown vendor": (False, {"body": b"{}", "vendor_uid": "nobody"}),
    "of no vendor": (False, {"body": b"{}", "vendor_uid": "no.vendor"}),
    "of a vendor of PHP's": (False, {"body": b"{}", "vendor_uid": PHPS}),
    "compressed": (
        None,
        {
            "body": b"{}",
            "content": gzip.compress(b"{}", mtime=0),
            "headers": {"content-encoding": "gzip"},
        },
    ),
}


@pytest.mark.parametrize("case", CASES)
async def test_the_same_answer_and_the_same_entry(wire: Wire, case: str) -> None:
    is_taken, arguments = CASES[case]
    vendor_uid = arguments.get("vendor_uid", VENDOR)
    found = []
    for way in (wire, usual(wire)):
        before = METRICS.read()
        answer = await way.webhook(**arguments)
        counted = {
            (series.name, series.labels): value - before.get(series, 0.0)
            for series, value in METRICS.read().items()
            if series.name == WEBHOOKS.name and value != before.get(series, 0.0)
        }
        observed = METRICS.histogram(ACK_SECONDS)
        stored = [
            (webhook.signature, webhook.body)
            for lane in Lane
            for entry in await way.entries(lane, vendor_uid)
            for webhook in entry.webhooks
        ]
        counters = await wire.redis.hgetall(keys.counters(vendor_uid))
        headers = {k: v for k, v in answer.headers.items() if k not in ("date", "server")}
        found.append((answer.status_code, answer.text, headers, counted, stored, counters))
        assert sum(observed.counts) > 0
        await wire.redis.flushall()
    assert found[0] == found[1]
    assert wire.taken == ([] if is_taken is None else [is_taken])


async def test_a_body_of_unknown_length(wire: Wire) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"{"
        yield b"}"

    assert (await wire.webhook(b"{}", content=pieces())).status_code == 200
    assert wire.taken == []
    assert await wire.bodies() == [b"{}"]


async def test_the_inbox_that_fails(wire: Wire) -> None:
    """Redis answers with an error once the webhook was taken, and it is said like any other."""
    await wire.redis.set(keys.ready(Lane.MESSAGES), "no set")
    answers = [await way.webhook(message_webhook(1)) for way in (wire, usual(wire))]
    assert [(one.status_code, one.text) for one in answers] == [(503, "inbox_unavailable")] * 2
    assert wire.taken == [True]
    assert wire.counts == {"inbox_unavailable": 2}
    await wire.redis.flushall()
    assert (await wire.webhook(message_webhook(1))).status_code == 200


async def test_the_inbox_that_takes_nothing(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire.app.state.inbox, "_pending_limit_bytes", -1)
    answer = await wire.webhook(b"{}")
    assert (answer.status_code, answer.text) == (503, "inbox_unavailable")
    assert wire.taken == [False]
    assert wire.counts == {"inbox_unavailable": 1}


async def test_many_at_once_share_commits(wire: Wire) -> None:
    inbox = wire.app.state.inbox
    before = inbox.writes
    bodies = [message_webhook(number) for number in range(60)]
    answers = await asyncio.gather(*(wire.webhook(body) for body in bodies))
    assert {answer.status_code for answer in answers} == {200}
    assert sorted(await wire.bodies()) == sorted(bodies)
    assert wire.taken == [True] * 60
    assert inbox.writes - before < 40
