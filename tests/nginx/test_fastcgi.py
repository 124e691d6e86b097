"""PHP over FastCGI, as shipped. On a real PHP-FPM this is tested with the whole stack."""

import io
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from contracts.cloud_api.webhook import SIGNATURE_HEADER, sign
from simulator.stack.nginx import Nginx
from tests.nginx.fastcgi import Fpm
from tests.nginx.stub import Stub, status
from tests.nginx.test_routes import LARGE, UID
from tests.trust import APP_SECRET


@pytest.fixture
async def fpm(tmp_path: Path) -> AsyncIterator[Fpm]:
    async with Fpm(tmp_path / "fpm.sock") as fpm:
        yield fpm


@pytest.fixture
def nginx(tmp_path: Path, sidecar: Stub, fpm: Fpm) -> Iterator[Nginx]:
    folder = tmp_path / "nginx"
    with Nginx(folder, sidecar=sidecar.address, php=f"unix:{fpm.path}") as server:
        yield server


async def test_a_webhook_that_the_sidecar_cannot_take(
    nginx: Nginx, sidecar: Stub, fpm: Fpm, client: aiohttp.ClientSession
) -> None:
    sidecar.answer = status(503)
    signature = sign(APP_SECRET.encode(), LARGE)
    headers = {
        SIGNATURE_HEADER: signature,
        "Content-Type": "application/json",
        "Proxy": "http://203.0.113.7",
        "X-Forwarded-Prefix": "/internal",
    }
    url = URL(f"{nginx.url}/webhook/{UID}?x=%2F", encoded=True)
    async with client.post(url, data=io.BytesIO(LARGE), headers=headers) as answer:
        assert (answer.status, await answer.text()) == (200, "done")
    (called,) = fpm.called
    assert called.body == LARGE
    expected = {
        "REQUEST_METHOD": "POST",
        "REQUEST_URI": f"/whatsapp-webhook/{UID}?x=%2F",
        "QUERY_STRING": "x=%2F",
        "SCRIPT_NAME": "/index.php",
        "SCRIPT_FILENAME": f"{nginx.root}/index.php",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(LARGE)),
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_X_HUB_SIGNATURE_256": signature,
        "HTTP_HOST": f"127.0.0.1:{nginx.port}",
    }
    assert {name: called.parameters.get(name) for name in expected} == expected
    # The mere presence of HTTPS is taken for https.
    assert not called.parameters.keys() & {"HTTPS", "HTTP_PROXY", "HTTP_X_FORWARDED_PREFIX"}


@pytest.mark.parametrize("target", ["/login?next=%2Fhome", "/index.php", "/other.php?a=b"])
async def test_everything_else_runs_the_front_controller(
    nginx: Nginx, fpm: Fpm, client: aiohttp.ClientSession, target: str
) -> None:
    (nginx.root / "other.php").write_text("<?php")
    async with client.get(nginx.url + target) as answer:
        assert answer.status == 200
    (called,) = fpm.called
    assert called.parameters["SCRIPT_FILENAME"] == f"{nginx.root}/index.php"
    assert called.parameters["REQUEST_URI"].startswith(target.partition("?")[0])


async def test_a_webhook_that_the_sidecar_passes_on(
    nginx: Nginx, fpm: Fpm, client: aiohttp.ClientSession
) -> None:
    """PHP sees Meta, and not the sidecar, which says who calls."""
    headers = {
        "Host": "whatsapp.example.com",
        "X-Real-IP": "203.0.113.7",
        "X-Forwarded-For": "203.0.113.7, 127.0.0.1",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Port": "443",
    }
    url = f"{nginx.internal_url}/whatsapp-webhook/{UID}"
    async with client.post(url, data=b"{}", headers=headers) as answer:
        assert answer.status == 200
    async with client.get(url) as answer:
        assert answer.status == 200
    webhook, verification = fpm.called
    expected = {
        "REMOTE_ADDR": "203.0.113.7",
        "REQUEST_SCHEME": "https",
        "HTTPS": "on",
        "SERVER_PORT": "443",
        "HTTP_HOST": "whatsapp.example.com",
        "HTTP_X_FORWARDED_FOR": "203.0.113.7, 127.0.0.1",
    }
    assert {name: webhook.parameters.get(name) for name in expected} == expected
    assert verification.parameters["REMOTE_ADDR"] == "127.0.0.1"
    assert verification.parameters["REQUEST_SCHEME"] == "http"
    assert "HTTPS" not in verification.parameters


async def test_an_internal_call_says_nothing_of_who_calls(
    nginx: Nginx, fpm: Fpm, client: aiohttp.ClientSession
) -> None:
    headers = {"X-Real-IP": "203.0.113.7", "X-Forwarded-Proto": "https"}
    url = f"{nginx.internal_url}/internal/process-webhooks"
    async with client.post(url, data=b"{}", headers=headers) as answer:
        assert answer.status == 200
    [called] = fpm.called
    assert called.parameters["REMOTE_ADDR"] == "127.0.0.1"
    assert "HTTPS" not in called.parameters


async def test_internal_calls(nginx: Nginx, fpm: Fpm, client: aiohttp.ClientSession) -> None:
    url = f"{nginx.internal_url}/internal/process-webhooks"
    async with client.post(url, data=io.BytesIO(LARGE * 6)) as answer:
        assert answer.status == 200
    (called,) = fpm.called
    assert called.parameters["REQUEST_URI"] == "/internal/process-webhooks"
    assert len(called.body) == 6 * len(LARGE)
