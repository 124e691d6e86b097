"""Bodies and headers that never end, and places that are full: webhooks come in all the same."""

import asyncio
import io
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import aiohttp
import pytest

from simulator.stack.nginx import Nginx
from tests.eventually import eventually
from tests.nginx.stub import Stub
from tests.nginx.uploads import OTHERS, Slow, file_system, slow, unfinished

UID = "c0ffee00-0000-4000-8000-000000000001"
KB, MB = 1024, 1024 * 1024
SIZES = [5 * KB, 300 * KB, 3 * MB]
#: nginx waits for one second where it waits for ten or five.
HASTY = {
    "sidecar/public.conf": {"client_header_timeout 10s": "client_header_timeout 1s"},
    "sidecar/webhook-body.conf": {"client_body_timeout 5s": "client_body_timeout 1s"},
}


async def post(client: aiohttp.ClientSession, nginx: Nginx, size: int) -> int:
    async with client.post(f"{nginx.url}/webhook/{UID}", data=io.BytesIO(bytes(size))) as answer:
        return answer.status


async def statuses(clients: list[Slow]) -> Counter[int]:
    return Counter(await asyncio.gather(*(client.status() for client in clients)))


def is_full(folder: Path) -> bool:
    return shutil.disk_usage(folder).free < MB


@pytest.fixture
def in_memory(tmp_path: Path, sidecar: Stub, php: Stub) -> Iterator[Nginx]:
    """nginx with file systems of its own for bodies, as in containers, only smaller."""
    folder = tmp_path / "nginx"
    with ExitStack() as stack:
        stack.enter_context(file_system(folder / "body", "64m"))
        stack.enter_context(file_system(folder / "webhooks", "128m"))
        yield stack.enter_context(Nginx(folder, sidecar=sidecar.address, php=php.address))


@pytest.mark.parametrize("size", SIZES)
async def test_uploads_that_fill_their_place(
    in_memory: Nginx, sidecar: Stub, client: aiohttp.ClientSession, size: int
) -> None:
    upload = unfinished("/vendor-console/media", 32 * MB, 8 * MB)
    async with slow(in_memory.port, upload, 20):
        await eventually(lambda: is_full(in_memory.folder / "body"))
        assert await post(client, in_memory, size) == 200
    assert [len(asked.body) for asked in sidecar.asked] == [size]


@pytest.mark.parametrize("size", SIZES)
async def test_webhooks_of_one_sender_that_are_never_finished(
    in_memory: Nginx, sidecar: Stub, client: aiohttp.ClientSession, size: int
) -> None:
    """It holds half of the place at most, and more of it is turned away."""
    webhook = unfinished(f"/webhook/{UID}", 4 * MB, 4 * MB - 1)
    async with slow(in_memory.port, webhook, 60, OTHERS[:1]) as clients:
        first, *_ = await asyncio.wait(
            [asyncio.create_task(client.status()) for client in clients],
            return_when=asyncio.FIRST_COMPLETED,
        )
        assert {task.result() for task in first} == {429}
        assert await post(client, in_memory, size) == 200
    assert [len(asked.body) for asked in sidecar.asked] == [size]


async def test_a_webhook_that_cannot_be_kept(
    in_memory: Nginx, sidecar: Stub, php: Stub, client: aiohttp.ClientSession
) -> None:
    """Meta comes again. PHP is not given the part of it that was here; and small ones come in."""
    await asyncio.to_thread(_fill, in_memory.folder / "webhooks")
    assert await post(client, in_memory, 3 * MB) == 503
    assert sidecar.asked == php.asked == []
    assert await post(client, in_memory, 90 * KB) == 200


def _fill(folder: Path) -> None:
    with (folder / "filler").open("wb") as filler, suppress(OSError):
        while True:
            filler.write(bytes(MB))
            filler.flush()


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"POST /webhook/x HTTP/1.1\r\nHost: x\r\nX-A: ", id="headers"),
        pytest.param(unfinished(f"/webhook/{UID}", 4 * KB, 1), id="body"),
        pytest.param(unfinished(f"/webhook/{UID}", 4 * MB, MB), id="large body"),
    ],
)
async def test_who_is_slow_is_cut_off(
    tmp_path: Path, sidecar: Stub, php: Stub, client: aiohttp.ClientSession, sent: bytes
) -> None:
    """200 clients that have stopped in the middle keep no webhook away."""
    with Nginx(tmp_path / "nginx", sidecar=sidecar.address, php=php.address, files=HASTY) as nginx:
        async with slow(nginx.port, sent, 200) as clients:
            for size in SIZES:
                assert await post(client, nginx, size) == 200
            # reset_timedout_connection: what was held is let go of at once.
            assert await statuses(clients) <= Counter({408: 200, 429: 200, 0: 200})
        assert len(sidecar.asked) == len(SIZES)
        assert php.asked == []


async def test_an_internal_call_is_kept_apart(
    in_memory: Nginx, php: Stub, client: aiohttp.ClientSession
) -> None:
    """Batches get to PHP whatever those outside have filled."""
    for name in ("body", "webhooks"):
        await asyncio.to_thread(_fill, in_memory.folder / name)
    url = f"{in_memory.internal_url}/internal/webhooks/process"
    async with client.post(url, data=io.BytesIO(bytes(8 * MB))) as answer:
        assert answer.status == 200
    assert [len(asked.body) for asked in php.asked] == [8 * MB]


@pytest.mark.parametrize(
    ("path", "limit_mb", "internal"),
    [
        (f"/webhook/{UID}", 4, False),
        ("/whatsapp-webhook/service-whatsapp", 4, False),
        ("/vendor-console/media", 32, False),
        ("/index.php", 32, False),
        ("/internal/webhooks/process", 32, True),
        (f"/whatsapp-webhook/{UID}", 4, True),
    ],
)
async def test_limits_of_each_place(
    nginx: Nginx, client: aiohttp.ClientSession, path: str, limit_mb: int, internal: bool
) -> None:
    url = (nginx.internal_url if internal else nginx.url) + path
    for size, status in ((limit_mb * MB, 200), (limit_mb * MB + 1, 413)):
        async with client.post(url, data=io.BytesIO(bytes(size))) as answer:
            assert answer.status == status
