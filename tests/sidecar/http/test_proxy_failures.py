"""Webhooks on which PHP fails: kept, or refused; and whose signature is wrong."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, cast

import httpx
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from contracts.cloud_api.webhook import SIGNATURE_HEADER, sign
from contracts.jobs import Lane
from sidecar.http.proxy import Proxy
from sidecar.inbox.lanes import lane_of
from sidecar.metrics import METRICS, PROXY_SECONDS
from sidecar.redis import keys
from tests import trust
from tests.sidecar.answering_php import Call, Php
from tests.sidecar.conftest import MakeService
from tests.sidecar.http.test_proxy import answers, sends
from tests.sidecar.payloads import message_webhook, status_webhook
from tests.sidecar.service import VENDOR, Service

Webhook = Callable[[web.Request, Call], Awaitable[web.StreamResponse]]
PROXIED = "X-Sidecar-Proxied"


async def hang(request: web.Request, call: Call) -> web.StreamResponse:
    """Until whoever asks has gone."""
    while request.transport is not None and not request.transport.is_closing():
        await asyncio.sleep(0.01)
    return web.Response()


async def begin_and_hang(request: web.Request, call: Call) -> web.StreamResponse:
    response = web.StreamResponse()
    response.content_length = 100
    await response.prepare(request)
    await response.write(b"done")
    return await hang(request, call)


FAILURES: dict[str, tuple[Webhook, int]] = {
    "500": (answers(500, "from PHP"), 500),
    "503": (answers(503, "from PHP"), 503),
    "huge 500": (answers(500, "x" * 500_000), 500),
    "hangs": (hang, 504),
    "hangs in the middle": (begin_and_hang, 504),
    "breaks off": (sends(b""), 502),
    "resets": (sends(b"", reset=True), 502),
    "breaks off in the middle": (sends(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ndone"), 502),
    "nonsense": (sends(b"SMTP ready\r\n\r\n"), 502),
    "no status that there is": (sends(b"HTTP/1.1 999 X\r\nContent-Length: 0\r\n\r\n"), 502),
    "headers without an end": (sends(b"HTTP/1.1 200 OK\r\nX: " + bytes(20_000)), 502),
}
failures = pytest.mark.parametrize("failure", FAILURES)


@pytest.fixture
def php(php: Php) -> Php:
    """PHP handles the vendor's webhooks."""
    php.vendors[VENDOR]["modes"] = {"webhooks": "php"}
    return php


async def post(
    service: Service, body: bytes = b"{}", secret: str | None = trust.APP_SECRET
) -> httpx.Response:
    headers = {SIGNATURE_HEADER: sign(secret.encode(), body)} if secret else {}
    return await service.client.post(f"/webhook/{VENDOR}", content=body, headers=headers)


def proxied(result: str) -> int:
    return sum(METRICS.histogram(PROXY_SECONDS, result).counts)


# -- kept ----------------------------------------------------------------------------------------


@failures
async def test_what_php_fails_on_is_kept(make_service: MakeService, php: Php, failure: str) -> None:
    service = await make_service(proxy_timeout_s=0.3)
    php.webhook, _ = FAILURES[failure]
    for body in (message_webhook(), status_webhook()):
        answer = await post(service, body)
        assert (answer.status_code, answer.text) == (200, "done")
        assert PROXIED not in answer.headers
        lane = lane_of(body)
        [entry] = await service.entries(lane)
        [kept] = entry.webhooks
        assert kept.body == body
        assert kept.signature == sign(trust.APP_SECRET.encode(), body).encode()
    assert service.counts == {"kept": 2}
    php.webhook = None
    assert PROXIED in (await post(service)).headers, "PHP is asked as soon as it works"
    assert len(await service.bodies(Lane.MESSAGES)) == 1


async def test_a_php_that_is_down(service: Service, php: Php) -> None:
    assert PROXIED in (await post(service)).headers
    await php.stop()
    before = proxied("unreachable")
    with capture_logs() as logs:
        for _ in range(5):
            assert (await post(service)).status_code == 200
    assert len(await service.bodies()) == 5
    assert proxied("unreachable") == before + 5
    assert [log["event"] for log in logs] == ["proxy.php_unavailable"], "it is said once"
    await php.start()
    with capture_logs() as logs:
        assert PROXIED in (await post(service)).headers
    assert "proxy.php_unavailable.resolved" in [log["event"] for log in logs]


async def test_a_vendor_of_which_php_was_never_asked(service: Service, php: Php) -> None:
    """Nobody knows who handles it."""
    await php.stop()
    assert (await post(service)).text == "done"
    assert await service.bodies() == [b"{}"]
    assert service.counts == {}


async def test_the_wait_for_the_vendor_counts(service: Service, php: Php) -> None:
    """All together must end before nginx takes the sidecar for dead."""
    proxy = Proxy(php.url, timeout_s=3.0, concurrency=1, limit_bytes=2**20)
    scope: dict[str, object] = {"headers": [], "query_string": b""}
    answer = await proxy.ask(VENDOR, scope, b"{}", time.perf_counter() - 3.5)
    await proxy.close()
    assert answer.status == 504
    assert php.webhooks == []


# -- refused -------------------------------------------------------------------------------------


@failures
async def test_where_nothing_is_to_be_kept(
    make_service: MakeService, php: Php, failure: str
) -> None:
    """Meta gets PHP's failure, and nginx is told that it need not ask PHP again."""
    service = await make_service(proxy_timeout_s=0.3, proxy_keep_failed=False)
    php.webhook, status = FAILURES[failure]
    answer = await post(service)
    assert answer.status_code == status
    assert answer.headers[PROXIED] == "1"
    if status in (500, 503):
        assert answer.text == ("x" * 500_000 if failure == "huge 500" else "from PHP")
    assert await service.is_empty()
    assert service.counts == {"proxy_failed": 1}


async def test_a_php_that_is_down_where_nothing_is_to_be_kept(
    make_service: MakeService, php: Php
) -> None:
    service = await make_service(proxy_keep_failed=False)
    await post(service)
    await php.stop()
    answer = await post(service)
    assert (answer.status_code, answer.text) == (502, "php_unreachable")


async def test_without_redis(make_service: MakeService, php: Php) -> None:
    """PHP needs none, and what it fails on cannot be kept."""
    service = await make_service(redis_url="redis://127.0.0.1:9/0")
    answer = await post(service)
    assert (answer.status_code, answer.text) == (200, "done")
    php.webhook, _ = FAILURES["500"]
    answer = await post(service)
    assert (answer.status_code, answer.text) == (500, "from PHP")
    assert answer.headers[PROXIED] == "1"


async def test_too_much_on_its_way_where_nothing_is_to_be_kept(
    make_service: MakeService, php: Php, monkeypatch: pytest.MonkeyPatch
) -> None:
    """nginx may ask PHP itself: nobody has yet."""
    monkeypatch.setattr("sidecar.http.proxy.OVERHEAD_BYTES", 2**20)
    service = await make_service(
        proxy_keep_failed=False, proxy_timeout_s=0.3, proxy_pending_limit_bytes=2**20
    )
    await post(service)
    php.webhook = hang
    before = proxied("busy")
    found = await asyncio.gather(post(service), post(service))
    assert sorted((a.status_code, a.text, a.headers.get(PROXIED)) for a in found) == [
        (503, "proxy_busy", None),
        (504, "php_timed_out", "1"),
    ]
    assert proxied("busy") == before + 1


async def test_a_backend_url_that_leads_back(service: Service, php: Php) -> None:
    """It ends at once, and not when the time is over, many times."""
    with capture_logs() as logs:
        answer = await service.client.post(
            f"/webhook/{VENDOR}",
            content=b"{}",
            headers={
                SIGNATURE_HEADER: sign(trust.APP_SECRET.encode(), b"{}"),
                "Via": "1.1 whatsapp-sidecar",
            },
        )
    assert answer.status_code == 508
    assert "proxy.loop" in [log["event"] for log in logs]
    assert await service.is_empty(), "whoever has passed it on keeps it"
    assert php.webhooks == []


async def test_a_body_over_the_limit(make_service: MakeService, php: Php) -> None:
    service = await make_service(webhook_body_limit_bytes=2000)
    assert (await post(service, bytes(2000))).status_code == 200
    assert (await post(service, bytes(2001))).status_code == 413
    assert len(php.webhooks) == 1


# -- signatures ----------------------------------------------------------------------------------

UNSIGNED = pytest.mark.parametrize("secret", ["of somebody else", None], ids=["wrong", "missing"])


@UNSIGNED
async def test_php_decides_about_signatures(service: Service, php: Php, secret: str | None) -> None:
    """As it would without the sidecar; but they are counted. What PHP does not take is not kept:
    it would be handed over as if it were Meta's."""
    await post(service)
    answer = await post(service, b"[]", secret)
    assert answer.headers[PROXIED] == "1"
    assert php.webhooks[-1].body == b"[]"
    given = {name.lower(): value for name, value in php.webhooks[-1].headers.items()}
    assert given.get(SIGNATURE_HEADER.lower()) == (sign(secret.encode(), b"[]") if secret else None)
    assert service.counts == {"proxied": 2, "signature_wrong_accepted": 1}
    php.webhook, _ = FAILURES["500"]
    answer = await post(service, b"[]", secret)
    assert (answer.status_code, answer.text) == (500, "from PHP")
    assert await service.is_empty()


@UNSIGNED
async def test_signatures_that_are_enforced(
    make_service: MakeService, php: Php, secret: str | None
) -> None:
    service = await make_service(proxy_signature="enforce")
    assert PROXIED in (await post(service)).headers
    answer = await post(service, b"[]", secret)
    assert answer.status_code == 401
    assert answer.text == ("signature_wrong" if secret else "signature_missing")
    assert [call.body for call in php.webhooks] == [b"{}"]


@UNSIGNED
async def test_where_signatures_are_only_reported(
    make_service: MakeService, php: Php, secret: str | None
) -> None:
    service = await make_service(webhook_signature="report")
    php.webhook, _ = FAILURES["500"]
    assert (await post(service, b"{}", secret)).status_code == 200
    assert await service.bodies() == [b"{}"]


async def test_a_vendors_own_secret(service: Service, php: Php) -> None:
    php.vendors[VENDOR]["app_secrets"] = ["its own"]
    php.webhook, _ = FAILURES["500"]
    assert (await post(service, b"{}", "its own")).status_code == 200
    assert await service.bodies() == [b"{}"]


async def test_nothing_unsigned_makes_work_for_php(service: Service, php: Php) -> None:
    assert (await post(service, b"{}", None)).status_code == 401
    assert php.calls == []


# -- modes ---------------------------------------------------------------------------------------


async def test_the_sidecars_own_never_reach_php(service: Service, php: Php) -> None:
    php.vendors[VENDOR]["modes"] = {"webhooks": "sidecar"}
    assert PROXIED not in (await post(service)).headers
    assert await service.bodies() == [b"{}"]
    assert php.webhooks == []


async def test_a_vendor_that_php_does_not_know(service: Service, php: Php) -> None:
    php.vendors.clear()
    assert (await post(service)).status_code == 404
    assert php.webhooks == []


async def test_shadow_is_recorded_and_passed_on(make_service: MakeService, php: Php) -> None:
    php.vendors[VENDOR]["modes"] = {"webhooks": "shadow"}
    service = await make_service()

    async def recorded() -> list[bytes]:
        await service.app.state.shadow.close()
        command = cast(Any, service.redis).execute_command
        entries = await command("XRANGE", keys.shadow(VENDOR), "-", "+")
        return [body for _, (_, body) in entries]

    assert PROXIED in (await post(service, b"1")).headers
    assert PROXIED in (await post(service, b"unsigned", None)).headers
    assert await recorded() == [b"1"]
    php.webhook = answers(404)
    await post(service, b"PHP does not take it")
    php.webhook, _ = FAILURES["500"]
    await post(service, b"2")
    assert await recorded() == [b"1", b"2"], "what is kept is handed to PHP too"
    assert await service.bodies() == [b"2"]


async def test_a_vendor_that_is_moved_under_load(service: Service, php: Php) -> None:
    """Back and forth: each webhook is PHP's or the inbox's, and none is both or neither."""
    ended = False
    sent: list[bytes] = []

    async def send(connection: int) -> None:
        number = 0
        while not ended:
            body = b"%d-%d" % (connection, number)
            answer = await post(service, body)
            assert answer.status_code == 200
            sent.append(body)
            number += 1

    senders = [asyncio.create_task(send(connection)) for connection in range(8)]
    for mode in ("sidecar", "php", "shadow", "sidecar", "php", "sidecar"):
        php.vendors[VENDOR]["modes"] = {"webhooks": mode}
        await service.call("POST", "/internal/invalidate")
        await asyncio.sleep(0.15)
    ended = True
    await asyncio.gather(*senders)
    passed_on = [call.body for call in php.webhooks]
    kept = await service.bodies()
    assert len(passed_on) > 20
    assert len(kept) > 20
    assert sorted([*passed_on, *kept]) == sorted(sent)
    assert len(set(sent)) == len(sent)
