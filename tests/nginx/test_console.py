"""The web console behind nginx: off by default, and then all of /sidecar and nothing else."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from simulator.stack.nginx import Nginx
from tests.nginx.stub import Stub

SITE = {"#include sidecar/console.conf;": "include sidecar/console.conf;"}


@pytest.fixture
def console(tmp_path: Path, sidecar: Stub, php: Stub) -> Iterator[Nginx]:
    """nginx with the console's locations."""
    folder = tmp_path / "nginx"
    with Nginx(
        folder, sidecar=sidecar.address, php=php.address, files={"site.conf": SITE}
    ) as server:
        yield server


async def test_it_is_phps_by_default(
    nginx: Nginx, sidecar: Stub, php: Stub, client: aiohttp.ClientSession
) -> None:
    for path in ("/sidecar", "/sidecar/", "/sidecar/sign-in"):
        async with client.get(nginx.url + path):
            pass
    assert sidecar.asked == []
    assert php.targets == ["/sidecar", "/sidecar/", "/sidecar/sign-in"]


async def test_what_is_the_consoles_and_what_is_not(
    console: Nginx, sidecar: Stub, php: Stub, client: aiohttp.ClientSession
) -> None:
    for path in ("/sidecar", "/sidecar/", "/sidecar/a.php?q=a%2Fb", "/sidecar/static/0/x.css"):
        async with client.get(URL(console.url + path, encoded=True)) as answer:
            assert answer.status == 200
    assert sidecar.targets == [
        *("/sidecar/", "/sidecar/", "/sidecar/a.php?q=a%2Fb", "/sidecar/static/0/x.css")
    ]
    assert php.asked == []
    for path in ("/sidecars", "/a/sidecar/", "/Sidecar/"):
        async with client.get(console.url + path):
            pass
    assert php.targets == ["/sidecars", "/a/sidecar/", "/Sidecar/"]
    assert len(sidecar.asked) == 4


async def test_the_sidecar_is_told_who_comes_and_how(
    console: Nginx, sidecar: Stub, client: aiohttp.ClientSession
) -> None:
    claims = {"X-Real-IP": "192.0.2.1", "X-Forwarded-Proto": "https"}
    async with client.post(f"{console.url}/sidecar/sign-in", data={"a": "b"}, headers=claims):
        pass
    [asked] = sidecar.asked
    assert asked.headers["X-Real-IP"] == "127.0.0.1"
    assert asked.headers["X-Forwarded-Proto"] == "http"
    assert asked.body == b"a=b"


@pytest.mark.parametrize("path", ["/sidecar/../internal/x", "/sidecar/%2e%2e/metrics"])
async def test_there_is_no_way_out_of_it(
    console: Nginx, sidecar: Stub, client: aiohttp.ClientSession, path: str
) -> None:
    async with client.get(URL(console.url + path, encoded=True)) as answer:
        assert answer.status == 404
    assert sidecar.asked == []


async def test_events_come_at_once(
    console: Nginx, sidecar: Stub, client: aiohttp.ClientSession
) -> None:
    seen = asyncio.Event()

    async def events(request: web.BaseRequest) -> web.Response:
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        await answer.write(b"event: figures\ndata: 1\n\n")
        await asyncio.wait_for(seen.wait(), 20)
        return answer  # type: ignore[return-value]

    sidecar.answer = events
    async with client.get(f"{console.url}/sidecar/overview/live") as answer:
        assert await answer.content.readuntil(b"\n\n") == b"event: figures\ndata: 1\n\n"
        seen.set()


async def test_who_asks_too_much_is_slowed_down(
    console: Nginx, sidecar: Stub, client: aiohttp.ClientSession
) -> None:
    async def ask() -> int:
        async with client.get(f"{console.url}/sidecar/sign-in") as answer:
            return answer.status

    statuses = await asyncio.gather(*(ask() for _ in range(120)))
    assert set(statuses) == {200, 429}
    assert statuses.count(200) >= 60
    async with client.post(f"{console.url}/webhook/c0ffee", data=b"{}") as answer:
        assert answer.status == 200
