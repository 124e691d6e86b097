"""Webhooks that go to PHP, with a copy for the sidecar."""

import asyncio
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from contracts.cloud_api.webhook import SIGNATURE_HEADER, sign
from simulator.stack.nginx import Nginx
from tests.eventually import eventually
from tests.nginx.stub import Answer, Stub, drop, hang, status
from tests.nginx.test_routes import LARGE, UID
from tests.trust import APP_SECRET

SITE = {"#include sidecar/mirror.conf;": "include sidecar/mirror.conf;"}
#: A copy may take for ever.
PATIENT = {"proxy_read_timeout 200ms": "proxy_read_timeout 60s"}


@pytest.fixture
def make_nginx(tmp_path: Path, sidecar: Stub, php: Stub) -> Iterator[Callable[..., Nginx]]:
    started: list[Nginx] = []

    def make(mirror: dict[str, str] | None = None) -> Nginx:
        files = {"site.conf": SITE, **({"sidecar/mirror.conf": mirror} if mirror else {})}
        folder = tmp_path / "nginx"
        server = Nginx(folder, sidecar=sidecar.address, php=php.address, files=files)
        started.append(server)
        return server.start()

    yield make
    for server in started:
        server.stop()


@pytest.fixture
def nginx(make_nginx: Callable[..., Nginx]) -> Nginx:
    return make_nginx()


async def post(
    client: aiohttp.ClientSession, nginx: Nginx, body: bytes = b"{}", path: str = "/webhook/"
) -> tuple[int, str]:
    headers = {SIGNATURE_HEADER: sign(APP_SECRET.encode(), body)}
    url = URL(f"{nginx.url}{path}{UID}?a=%2F", encoded=True)
    async with client.post(url, data=io.BytesIO(body), headers=headers) as answer:
        return answer.status, await answer.text()


@pytest.mark.parametrize("path", ["/webhook/", "/whatsapp-webhook/"])
@pytest.mark.parametrize("body", [b"{}", LARGE], ids=["small", "3 MB"])
async def test_both_get_it(
    nginx: Nginx,
    sidecar: Stub,
    php: Stub,
    client: aiohttp.ClientSession,
    path: str,
    body: bytes,
) -> None:
    sidecar.answer = status(204)
    php.answer = status(201, "PHP's")
    assert await post(client, nginx, body, path) == (201, "PHP's")
    await eventually(lambda: sidecar.asked)
    for stub, target in (
        (php, f"/whatsapp-webhook/{UID}?a=%2F"),
        (sidecar, f"/shadow/webhook/{UID}"),
    ):
        [asked] = stub.asked
        assert (asked.method, asked.target, asked.body) == ("POST", target, body)
        assert asked.headers[SIGNATURE_HEADER] == sign(APP_SECRET.encode(), body)


async def test_a_verification_is_not_mirrored(
    nginx: Nginx, sidecar: Stub, php: Stub, client: aiohttp.ClientSession
) -> None:
    for _ in range(3):
        async with client.get(f"{nginx.url}/webhook/{UID}?hub.mode=subscribe") as answer:
            assert await answer.text() == "done"
    assert php.targets == [f"/whatsapp-webhook/{UID}?hub.mode=subscribe"] * 3
    await asyncio.sleep(0.1)
    assert sidecar.asked == []


async def test_the_webhook_that_is_no_vendors_is_not_mirrored(
    nginx: Nginx, sidecar: Stub, php: Stub, client: aiohttp.ClientSession
) -> None:
    async with client.post(f"{nginx.url}/whatsapp-webhook/service-whatsapp", data=b"{}"):
        pass
    assert php.targets == ["/whatsapp-webhook/service-whatsapp"]
    await asyncio.sleep(0.1)
    assert sidecar.asked == []


@pytest.mark.parametrize("fault", [hang, drop, status(500), None], ids=["hang", "drop", "500", "-"])
async def test_the_sidecar_fails(
    nginx: Nginx,
    sidecar: Stub,
    php: Stub,
    client: aiohttp.ClientSession,
    fault: Answer | None,
) -> None:
    """Nobody notices; and a connection waits for a copy no longer than it may."""
    if fault is None:
        await sidecar.stop()
    else:
        sidecar.answer = fault
    for number in range(10):
        body = b"%d" % number
        assert await post(client, nginx, body) == (200, "done")
    assert [asked.body for asked in php.asked] == [b"%d" % number for number in range(10)]


async def test_the_answer_does_not_wait_for_the_copy(
    make_nginx: Callable[..., Nginx], sidecar: Stub, php: Stub, client: aiohttp.ClientSession
) -> None:
    """The next request of the same connection does."""
    nginx = make_nginx(PATIENT)
    copied = asyncio.Event()
    released = asyncio.Event()

    async def wait(request: web.BaseRequest) -> web.Response:
        copied.set()
        await released.wait()
        return web.Response(status=204)

    sidecar.answer = wait
    reader, writer = await asyncio.open_connection("127.0.0.1", nginx.port)
    request = f"POST /webhook/{UID} HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{{}}".encode()
    writer.write(request)
    assert (await reader.readuntil(b"done")).startswith(b"HTTP/1.1 200")
    await asyncio.wait_for(copied.wait(), 5)
    writer.write(request)
    assert await post(client, nginx) == (200, "done")
    await asyncio.sleep(0.2)
    assert len(php.asked) == 2, "another connection does not wait, and this one does"
    released.set()
    assert (await reader.readuntil(b"done")).endswith(b"done")
    writer.close()


async def test_php_fails(
    nginx: Nginx, sidecar: Stub, php: Stub, client: aiohttp.ClientSession
) -> None:
    """Meta learns of it, as if there were no sidecar."""
    php.answer = status(500, "PHP's own")
    assert await post(client, nginx) == (500, "PHP's own")
    await php.stop()
    assert (await post(client, nginx))[0] == 502
    await eventually(lambda: len(sidecar.asked) == 2)


async def test_the_mirror_cannot_be_asked_from_outside(
    nginx: Nginx, sidecar: Stub, php: Stub, client: aiohttp.ClientSession
) -> None:
    async with client.post(f"{nginx.url}/sidecar-mirror", data=b"{}") as answer:
        assert answer.status == 404
    async with client.post(f"{nginx.url}/shadow/webhook/{UID}", data=b"{}"):
        pass
    assert sidecar.asked == []
