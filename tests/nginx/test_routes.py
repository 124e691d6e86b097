"""Who gets what, and as what."""

import hashlib
import io
import json
import re

import aiohttp
import pytest
from yarl import URL

from contracts.cloud_api.webhook import SIGNATURE_HEADER, sign
from simulator.stack.nginx import Nginx
from tests.eventually import eventually
from tests.nginx.stub import Stub
from tests.trust import APP_SECRET

UID = "c0ffee00-0000-4000-8000-000000000001"
#: 3 MB, as large as Meta's get, and of all bytes.
LARGE = bytes(range(256)) * (3 * 1024 * 1024 // 256)


@pytest.mark.parametrize("path", [f"/webhook/{UID}", f"/whatsapp-webhook/{UID}"])
@pytest.mark.parametrize("slash", ["", "/"])
async def test_a_webhook_goes_to_the_sidecar(
    nginx: Nginx, sidecar: Stub, php: Stub, client: aiohttp.ClientSession, path: str, slash: str
) -> None:
    headers = {SIGNATURE_HEADER: sign(APP_SECRET.encode(), LARGE)}
    async with client.post(
        nginx.url + path + slash, data=io.BytesIO(LARGE), headers=headers
    ) as answer:
        assert (answer.status, await answer.text()) == (200, "done")
    (asked,) = sidecar.asked
    assert (asked.method, asked.target) == ("POST", f"/webhook/{UID}")
    assert asked.headers[SIGNATURE_HEADER] == headers[SIGNATURE_HEADER]
    assert hashlib.sha256(asked.body).digest() == hashlib.sha256(LARGE).digest()
    assert php.asked == []


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", ["/whatsapp-webhook", "/webhook"])
@pytest.mark.parametrize("slash", ["", "/"])
async def test_the_webhook_that_is_no_vendors_is_phps(
    nginx: Nginx,
    sidecar: Stub,
    php: Stub,
    client: aiohttp.ClientSession,
    method: str,
    path: str,
    slash: str,
) -> None:
    url = f"{nginx.url}{path}/service-whatsapp{slash}?hub.mode=subscribe"
    async with client.request(method, url, data=io.BytesIO(LARGE)) as answer:
        assert await answer.text() == "done"
    [asked] = php.asked
    assert (asked.method, asked.body) == (method, LARGE)
    assert asked.target == "/whatsapp-webhook/service-whatsapp?hub.mode=subscribe"
    assert sidecar.asked == []


async def test_a_vendor_whose_uid_begins_like_it(
    nginx: Nginx, sidecar: Stub, client: aiohttp.ClientSession
) -> None:
    async with client.post(f"{nginx.url}/webhook/service-whatsapp-2", data=b"{}"):
        pass
    assert sidecar.targets == ["/webhook/service-whatsapp-2"]


async def test_a_verification_goes_to_the_sidecar_with_its_query(
    nginx: Nginx, sidecar: Stub, client: aiohttp.ClientSession
) -> None:
    query = "hub.mode=subscribe&hub.challenge=115&hub.verify_token=a%2Bb"
    async with client.get(f"{nginx.url}/whatsapp-webhook/{UID}?{query}") as answer:
        assert answer.status == 200
    assert sidecar.targets == [f"/webhook/{UID}?{query}"]


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/login?next=%2Fhome",
        "/vendor-console/campaigns/%C3%A9t%C3%A9",
        "/webhook",
        "/webhook/a/b",
        "/webhook/some.thing",
        f"/api/webhook/{UID}",
        f"/webhook/{'a' * 65}",
        "/index.php",
    ],
)
async def test_everything_else_goes_to_php_as_it_was_sent(
    nginx: Nginx, sidecar: Stub, php: Stub, client: aiohttp.ClientSession, target: str
) -> None:
    async with client.get(URL(nginx.url + target, encoded=True)) as answer:
        assert answer.status == 200
    assert php.targets == [target]
    assert sidecar.asked == []


async def test_files_are_served_and_code_is_not(
    nginx: Nginx, php: Stub, client: aiohttp.ClientSession
) -> None:
    (nginx.root / "app.css").write_text("body {}")
    (nginx.root / "index.php").write_text("<?php secret();")
    (nginx.root / ".env").write_text("APP_KEY=secret")
    async with client.get(f"{nginx.url}/app.css") as answer:
        assert (answer.status, await answer.text()) == (200, "body {}")
    assert php.asked == []
    async with client.get(f"{nginx.url}/index.php") as answer:
        assert await answer.text() == "done"
    async with client.get(f"{nginx.url}/.env") as answer:
        assert answer.status == 404


@pytest.mark.parametrize("where", ["/webhook/" + UID, "/somewhere"])
async def test_headers_tell_who_calls(
    nginx: Nginx, sidecar: Stub, php: Stub, client: aiohttp.ClientSession, where: str
) -> None:
    claimed = {
        "X-Forwarded-For": "203.0.113.7",
        "X-Real-IP": "203.0.113.7",
        "X-Forwarded-Prefix": "/internal",
        "X-Request-Id": "chosen-by-the-caller",
    }
    async with client.post(nginx.url + where, data=b"{}", headers=claimed) as answer:
        assert answer.status == 200
    (asked,) = sidecar.asked + php.asked
    assert asked.headers["X-Forwarded-For"] == asked.headers["X-Real-IP"] == "127.0.0.1"
    assert "X-Forwarded-Prefix" not in asked.headers
    assert re.fullmatch("[0-9a-f]{32}", asked.headers["X-Request-Id"])


async def test_behind_a_load_balancer(
    nginx_behind_balancer: Nginx, sidecar: Stub, client: aiohttp.ClientSession
) -> None:
    headers = {"X-Forwarded-For": "198.51.100.1, 203.0.113.7"}
    url = f"{nginx_behind_balancer.url}/webhook/{UID}"
    async with client.post(url, data=b"{}", headers=headers) as answer:
        assert answer.status == 200
    assert sidecar.asked[0].headers["X-Forwarded-For"] == "203.0.113.7"


async def test_the_log_holds_no_query(nginx: Nginx, client: aiohttp.ClientSession) -> None:
    target = f"/webhook/{UID}?hub.verify_token=a-secret"
    async with client.get(nginx.url + target, headers={"Referer": "/?a-secret"}) as answer:
        assert answer.status == 200
    line = await eventually(nginx.access_log.read_text)
    assert "a-secret" not in line
    logged = json.loads(line)
    assert logged["path"] == f"/webhook/{UID}"
    assert (logged["status"], logged["upstream_status"]) == (200, "200")


async def test_a_body_over_the_limit(
    nginx: Nginx, sidecar: Stub, php: Stub, client: aiohttp.ClientSession
) -> None:
    body = bytes(4 * 1024 * 1024 + 1)
    async with client.post(f"{nginx.url}/webhook/{UID}", data=io.BytesIO(body)) as answer:
        assert answer.status == 413
    assert sidecar.asked == php.asked == []


async def test_connections_to_the_sidecar_are_kept(
    nginx: Nginx, sidecar: Stub, client: aiohttp.ClientSession
) -> None:
    for _ in range(100):
        async with client.post(f"{nginx.url}/webhook/{UID}", data=b"{}") as answer:
            assert answer.status == 200
    # One for each of nginx's two workers, whichever of them took the client's connection.
    assert len({asked.peer for asked in sidecar.asked}) <= 2
