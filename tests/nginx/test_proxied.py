"""A webhook's way through nginx, the real sidecar and nginx again to a PHP that handles it."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from contracts.cloud_api.webhook import SIGNATURE_HEADER, sign
from simulator.ports import free_ports
from simulator.stack.nginx import Nginx
from tests import trust
from tests.conftest import MakeSettings
from tests.nginx.stub import Stub
from tests.nginx.test_routes import LARGE
from tests.sidecar.answering_php import Php
from tests.sidecar.http.test_proxy import answers, headers_of, sends
from tests.sidecar.listening import listening
from tests.sidecar.service import VENDOR


@pytest.fixture
async def application() -> AsyncIterator[Php]:
    """PHP, which handles its vendor's webhooks."""
    application = Php()
    application.add_vendor(VENDOR)
    application.vendors[VENDOR]["modes"] = {"webhooks": "php"}
    await application.start()
    yield application
    await application.stop()
    assert application.problems == []


@pytest.fixture
async def chain(
    tmp_path: Path, make_settings: MakeSettings, redis_url: str, application: Php
) -> AsyncIterator[Nginx]:
    ports = free_ports(2)
    settings = make_settings(
        # A busy machine may take so long; nothing here is about time.
        backend_url=f"http://127.0.0.1:{ports[1]}",
        proxy_keep_failed=False,
        proxy_timeout_s=30,
    )
    async with listening(settings, redis_url) as sidecar:
        with Nginx(
            tmp_path / "nginx",
            sidecar=f"127.0.0.1:{sidecar.port}",
            php=application.url.removeprefix("http://"),
            ports=(ports[0], ports[1]),
        ) as nginx:
            yield nginx


async def post(
    nginx: Nginx, client: aiohttp.ClientSession, body: bytes = b"{}"
) -> tuple[int, bytes]:
    headers = {SIGNATURE_HEADER: sign(trust.APP_SECRET.encode(), body), "Host": "site.example.com"}
    url = f"{nginx.url}/whatsapp-webhook/{VENDOR}"
    async with client.post(url, data=body, headers=headers) as answer:
        assert "X-Sidecar-Proxied" not in answer.headers, "that is nobody else's business"
        return answer.status, await answer.read()


async def test_a_webhook_is_passed_on(
    chain: Nginx, application: Php, client: aiohttp.ClientSession
) -> None:
    body = LARGE[: 1024 * 1024]
    assert await post(chain, client, body) == (200, b"done")
    [call] = application.webhooks
    assert call.body == body
    found = headers_of(call)
    assert found[SIGNATURE_HEADER.lower()] == sign(trust.APP_SECRET.encode(), body)
    assert found["host"] == "site.example.com"
    assert found["x-forwarded-for"] == found["x-real-ip"] == "127.0.0.1"
    assert found["x-forwarded-proto"] == "http"
    assert found["x-forwarded-port"] == str(chain.port), "not that of the internal server"
    assert found["via"] == "1.1 whatsapp-sidecar"


@pytest.mark.parametrize("status", [201, 302, 404, 429])
async def test_phps_answer_is_metas(
    chain: Nginx, application: Php, client: aiohttp.ClientSession, status: int
) -> None:
    application.webhook = answers(status, "from PHP")
    assert await post(chain, client) == (status, b"from PHP")
    assert len(application.webhooks) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_php_fails_and_is_not_asked_again(
    chain: Nginx, application: Php, client: aiohttp.ClientSession, status: int
) -> None:
    application.webhook = answers(status, "from PHP")
    assert (await post(chain, client))[0] == status
    assert len(application.webhooks) == 1


async def test_php_breaks_off_and_is_not_asked_again(
    chain: Nginx, application: Php, client: aiohttp.ClientSession
) -> None:
    application.webhook = sends(b"")
    assert (await post(chain, client))[0] == 502
    assert len(application.webhooks) == 1


async def test_a_failure_of_the_sidecars_own_is_phps_as_ever(
    nginx: Nginx, sidecar: Stub, php: Stub, client: aiohttp.ClientSession
) -> None:
    """Only an answer that is marked says that PHP has had it."""

    async def marked(request: web.BaseRequest) -> web.Response:
        return web.Response(status=503, headers={"X-Sidecar-Proxied": mark} if mark else None)

    sidecar.answer = marked
    for mark, asked in (("", 1), ("0", 2), ("1", 2)):
        url = f"{nginx.url}/webhook/{VENDOR}"
        async with client.post(url, data=b"{}") as answer:
            assert answer.status == (503 if mark == "1" else 200)
        assert len(php.asked) == asked
