"""When the sidecar cannot take a webhook, PHP gets it: the same bytes, the same signature."""

import asyncio
import io
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from contracts.cloud_api.webhook import SIGNATURE_HEADER, sign
from simulator.stack.nginx import IMPATIENT, Nginx
from tests.nginx.stub import Answer, Stub, drop, hang, status
from tests.nginx.test_routes import LARGE, UID
from tests.trust import APP_SECRET


@pytest.fixture
def impatient_nginx(tmp_path: Path, sidecar: Stub, php: Stub) -> Iterator[Nginx]:
    folder = tmp_path / "nginx"
    with Nginx(folder, sidecar=sidecar.address, php=php.address, files=IMPATIENT) as server:
        yield server


async def post(
    client: aiohttp.ClientSession, nginx: Nginx, body: bytes = b"{}", path: str = "/webhook/"
) -> tuple[int, str]:
    headers = {SIGNATURE_HEADER: sign(APP_SECRET.encode(), body), "Content-Type": "text/json"}
    url = f"{nginx.url}{path}{UID}"
    async with client.post(url, data=io.BytesIO(body), headers=headers) as answer:
        return answer.status, await answer.text()


def assert_whole(php: Stub, *bodies: bytes) -> None:
    """PHP's webhook route got these, as Meta sent them."""
    for asked, body in zip(php.asked, bodies, strict=True):
        assert (asked.method, asked.target) == ("POST", f"/whatsapp-webhook/{UID}")
        assert asked.headers[SIGNATURE_HEADER] == sign(APP_SECRET.encode(), body)
        assert asked.headers["Content-Type"] == "text/json"
        assert asked.body == body


@pytest.mark.parametrize(
    "answer",
    [*map(status, (500, 502, 503, 504)), drop],
    ids=["500", "502", "503", "504", "dropped"],
)
@pytest.mark.parametrize("path", ["/webhook/", "/whatsapp-webhook/"])
@pytest.mark.parametrize("body", [b"{}", LARGE], ids=["small", "3 MB"])
async def test_the_sidecar_fails(
    nginx: Nginx,
    sidecar: Stub,
    php: Stub,
    client: aiohttp.ClientSession,
    answer: Answer,
    path: str,
    body: bytes,
) -> None:
    sidecar.answer = answer
    assert await post(client, nginx, body, path) == (200, "done")
    assert_whole(php, body)


@pytest.mark.parametrize("code", [200, 201, 400, 401, 404, 413, 429])
async def test_other_answers_are_the_sidecars_own(
    nginx: Nginx, sidecar: Stub, php: Stub, client: aiohttp.ClientSession, code: int
) -> None:
    sidecar.answer = status(code, "from the sidecar")
    assert await post(client, nginx) == (code, "from the sidecar")
    assert php.asked == []


@pytest.mark.parametrize("body", [b"{}", LARGE], ids=["small", "3 MB"])
async def test_the_sidecar_does_not_run(
    nginx: Nginx, sidecar: Stub, php: Stub, client: aiohttp.ClientSession, body: bytes
) -> None:
    await sidecar.stop()
    for _ in range(5):
        assert await post(client, nginx, body) == (200, "done")
    assert_whole(php, *[body] * 5)


async def test_a_body_of_unknown_length(
    nginx: Nginx, sidecar: Stub, php: Stub, client: aiohttp.ClientSession
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(LARGE), 100_000):
            yield LARGE[start : start + 100_000]

    sidecar.answer = status(503)
    async with client.post(f"{nginx.url}/webhook/{UID}", data=chunks()) as answer:
        assert answer.status == 200
    assert sidecar.asked[0].body == php.asked[0].body == LARGE


async def test_a_verification_goes_to_php_with_its_query(
    nginx: Nginx, sidecar: Stub, php: Stub, client: aiohttp.ClientSession
) -> None:
    await sidecar.stop()
    query = "hub.mode=subscribe&hub.challenge=115&hub.verify_token=a%2Bb"
    async with client.get(f"{nginx.url}/webhook/{UID}?{query}") as answer:
        assert answer.status == 200
    assert [(asked.method, asked.target) for asked in php.asked] == [
        ("GET", f"/whatsapp-webhook/{UID}?{query}")
    ]


@pytest.mark.parametrize("code", [401, 404, 429, 500, 503])
async def test_what_php_answers_is_what_meta_gets(
    nginx: Nginx, sidecar: Stub, php: Stub, client: aiohttp.ClientSession, code: int
) -> None:
    """So that Meta comes again, and PHP is not asked twice."""
    sidecar.answer = status(503)
    php.answer = status(code, "from PHP")
    assert await post(client, nginx) == (code, "from PHP")
    assert len(php.asked) == 1


async def test_neither_runs(
    nginx: Nginx, sidecar: Stub, php: Stub, client: aiohttp.ClientSession
) -> None:
    await sidecar.stop()
    await php.stop()
    code, _ = await post(client, nginx)
    assert code == 502


async def test_a_sidecar_that_hangs_is_soon_not_waited_for(
    impatient_nginx: Nginx, sidecar: Stub, php: Stub, client: aiohttp.ClientSession
) -> None:
    """The first webhooks wait for the time-out. Then nginx knows, and the others go to PHP at
    once, but for one from time to time; and when the sidecar is well, they are its own again."""
    nginx = impatient_nginx
    sidecar.answer = hang
    assert await asyncio.gather(*(post(client, nginx) for _ in range(5))) == [(200, "done")] * 5
    assert len(sidecar.asked) == 5
    assert await asyncio.gather(*(post(client, nginx) for _ in range(50))) == [(200, "done")] * 50
    assert len(sidecar.asked) <= 6
    assert len(php.asked) == 55
    sidecar.answer = status(200, "well")
    async with asyncio.timeout(10):
        while (await post(client, nginx))[1] != "well":
            await asyncio.sleep(0.05)


async def test_a_503_does_not_count_as_a_failure(
    nginx: Nginx, sidecar: Stub, php: Stub, client: aiohttp.ClientSession
) -> None:
    """It may concern one vendor alone; the others' webhooks are still the sidecar's."""
    sidecar.answer = status(503)
    for _ in range(10):
        await post(client, nginx)
    sidecar.answer = status(200, "well")
    assert await post(client, nginx) == (200, "well")


async def test_the_second_of_two_sidecars_comes_before_php(
    tmp_path: Path, sidecar: Stub, php: Stub, client: aiohttp.ClientSession
) -> None:
    """Whether the first one does not run or breaks the connection off."""
    folder = tmp_path / "nginx"
    async with Stub() as other:
        servers = f"{sidecar.address} max_fails=3 fail_timeout=2s; server {other.address}"
        with Nginx(folder, sidecar=servers, php=php.address) as nginx:
            sidecar.answer = drop
            for _ in range(4):
                assert await post(client, nginx, LARGE) == (200, "done")
            assert sidecar.asked
            await sidecar.stop()
            for _ in range(4):
                assert await post(client, nginx, LARGE) == (200, "done")
    assert [asked.body for asked in other.asked] == [LARGE] * 8
    assert php.asked == []


async def test_a_restart_costs_no_webhook_that_the_new_one_could_take(
    nginx: Nginx, sidecar: Stub, php: Stub, client: aiohttp.ClientSession
) -> None:
    """nginx's idle connections to the old process are of no use, and it opens a new one."""
    for _ in range(3):
        await post(client, nginx)
    await sidecar.stop()
    await sidecar.start()
    for _ in range(3):
        assert await post(client, nginx) == (200, "done")
    assert len(sidecar.asked) == 6
    assert php.asked == []
