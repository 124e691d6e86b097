"""The application as a whole: its routes, health, and configuration."""

import asyncio
from contextlib import aclosing

import orjson
import pytest
from pytest_httpserver import HTTPServer
from starlette.routing import Route
from structlog.testing import capture_logs

from contracts import sidecar_api as api
from contracts.jobs import Lane
from sidecar.http.app import create_app
from sidecar.inbox.store import InboxReader
from sidecar.redis import keys
from sidecar.redis.client import Redis, connect
from tests import trust
from tests.conftest import MakeSettings
from tests.contracts.conformance import load
from tests.eventually import eventually
from tests.sidecar.answering_php import Php
from tests.sidecar.conftest import MakeService
from tests.sidecar.payloads import message_webhook, status_webhook
from tests.sidecar.service import VENDOR, Service


def test_the_routes_are_those_of_the_document(make_settings: MakeSettings, redis_url: str) -> None:
    app = create_app(make_settings(), redis_url)
    routes = {
        (method, route.path)
        for route in app.routes
        if isinstance(route, Route) and route.methods is not None
        for method in route.methods - {"HEAD"}
    }
    documented = {
        (method.upper(), path)
        for path, operations in load("sidecar")["paths"].items()
        for method in operations
    }
    assert len(app.routes) == len({route.path for route in app.routes if isinstance(route, Route)})
    assert routes == documented


async def test_healthz(service: Service) -> None:
    answer = await service.request("GET", "/healthz")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "checks": {}}


async def test_readyz_while_webhooks_can_be_taken(service: Service) -> None:
    answer = await service.request("GET", "/readyz")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "checks": {"redis": "ok"}}


async def test_readyz_and_healthz_without_redis(make_service: MakeService) -> None:
    service = await make_service(redis_url="redis://127.0.0.1:9/0")
    answer = await service.request("GET", "/readyz")
    assert answer.status_code == 503
    assert answer.json()["status"] == "unavailable"
    assert "127.0.0.1:9" in answer.json()["checks"]["redis"]
    assert (await service.request("GET", "/healthz")).status_code == 200


async def test_invalidate_has_php_asked_again(service: Service, php: Php) -> None:
    await service.webhook(b"{}")
    await service.webhook(b"{}")
    assert len(php.asked("/internal/vendor-config")) == 1

    body = orjson.dumps({"vendor_uids": [VENDOR]})
    answer = await service.call("POST", api.INVALIDATE, body)
    assert answer.status_code == 200
    assert answer.json() == {"result": "done"}

    await service.webhook(b"{}")
    await eventually(lambda: len(php.asked("/internal/vendor-config")) == 2)
    assert await service.redis.xlen(keys.CONFIG_CHANGES) == 1


async def test_invalidate_reaches_the_other_processes(make_service: MakeService, php: Php) -> None:
    one, other = await make_service(), await make_service()
    secret = "secret-of-the-vendor-that-is-new"
    assert (await other.webhook(b"{}", secret=secret)).status_code == 401

    php.add_vendor(VENDOR, secret)
    assert (await other.webhook(b"{}", secret=secret)).status_code == 401
    assert (await one.call("POST", api.INVALIDATE)).status_code == 200

    async def accepted() -> bool:
        return (await other.webhook(b"{}", secret=secret)).status_code == 200

    await eventually(accepted, every_s=0.05)


async def test_invalidate_refuses_what_it_does_not_know(service: Service) -> None:
    for body in (b'{"scopes": ["weather"]}', b'{"vendors": []}', b"[]", b"\xff"):
        answer = await service.call("POST", api.INVALIDATE, body)
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "request_invalid"
    assert await service.redis.get(keys.CONFIG_VERSION) is None


async def test_a_webhook_has_a_worker_woken(service: Service, redis_url: str) -> None:
    for _ in range(3):
        await service.webhook(message_webhook())
    await service.webhook(status_webhook())
    async with aclosing(connect(redis_url.removesuffix("/0") + "/1", timeout_s=5.0)) as dramatiq:
        await eventually(lambda: dramatiq.exists("dramatiq:statuses.msgs"))
        for lane in Lane:
            [message] = await dramatiq.hvals(f"dramatiq:{lane}.msgs")
            assert orjson.loads(message)["actor_name"] == f"drain_{lane}"
    assert await service.redis.keys("dramatiq:*") == []


async def test_no_secret_is_logged(make_service: MakeService, redis_url: str) -> None:
    with capture_logs() as logs:
        service = await make_service(webhook_signature="report")
        await service.webhook(message_webhook(text="Dear Ada"), secret="of somebody else")
        await service.webhook(message_webhook(text="Dear Ada"))
        await service.call("POST", api.INVALIDATE, b"Dear Ada")
        await service.request("POST", api.INVALIDATE, content=b"Dear Ada")
    assert {line["event"] for line in logs} == {
        "serve.started",
        "webhook.signature_invalid",
        "internal_call.refused",
    }
    for hidden in (trust.APP_SECRET, trust.SIGNING_SECRET, "Ada"):
        assert hidden not in str(logs)


async def test_without_a_worker_it_tells_people(
    make_service: MakeService, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.notify.notifier.STAND_BY_S", 0.02)
    httpserver.expect_request("/hook").respond_with_data("ok")
    await make_service(notify_slack_url=httpserver.url_for("/hook"), notify_after_s=0)
    await eventually(lambda: httpserver.log)
    assert "No worker is running" in httpserver.log[0][0].get_data(as_text=True)


async def test_a_slash_too_many_is_no_redirect(service: Service) -> None:
    for target in (f"/webhook/{VENDOR}/", "/healthz/"):
        assert (await service.client.get(target)).status_code == 404


async def test_nothing_goes_on_after_the_shutdown(
    make_settings: MakeSettings, redis_url: str, php: Php
) -> None:
    before = asyncio.all_tasks()
    app = create_app(make_settings(backend_url=php.url), redis_url)
    async with app.router.lifespan_context(app):
        await eventually(lambda: len(asyncio.all_tasks()) > len(before))
    assert asyncio.all_tasks() == before


async def test_the_shutdown_writes_what_is_waiting(
    make_settings: MakeSettings, redis_url: str, redis: Redis
) -> None:
    app = create_app(make_settings(), redis_url)
    async with app.router.lifespan_context(app):
        written = app.state.inbox.put(Lane.MESSAGES, VENDOR, b"", b"{}")
    assert written.done()
    assert await InboxReader(redis).depth(Lane.MESSAGES, [VENDOR]) == 1
