"""Clients of ``sidecar serve`` that never finish: no webhook is kept away, memory is bounded."""

import asyncio
import io
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

import aiohttp
import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from contracts.cloud_api.webhook import SIGNATURE_HEADER, sign
from sidecar.http.bodies import read_body
from sidecar.http.connection import MAX_FIELDS, MAX_HEAD_BYTES, make_connection_class
from simulator.processes import Process
from tests.eventually import eventually
from tests.nginx.uploads import slow, unfinished
from tests.sidecar.http.test_serve import Serving
from tests.sidecar.service import VENDOR
from tests.trust import APP_SECRET

MB = 1024 * 1024
HERE = ["127.0.0.1"]
PATH = f"/webhook/{VENDOR}"
HEADERS = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nX-A: ".encode()


# -- the process -----------------------------------------------------------------------------------


@pytest.fixture
def process(own_environment: None, tmp_path: Path, redis_url: str) -> Iterator[Process]:
    serving = Serving(tmp_path)
    yield serving.start(redis_url=redis_url)
    serving.stop()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def post(http: aiohttp.ClientSession, process: Process, body: bytes) -> int:
    headers = {SIGNATURE_HEADER: sign(APP_SECRET.encode(), body)}
    async with http.post(process.url + PATH, data=io.BytesIO(body), headers=headers) as answer:
        return answer.status


def resident(process: Process) -> int:
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("there is no VmRSS")


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(HEADERS, id="headers"),
        pytest.param(unfinished(PATH, 4 * MB, 1), id="body"),
        pytest.param(unfinished(PATH, 4 * MB, 4 * MB - 1), id="large body"),
    ],
)
async def test_200_slow_clients(process: Process, http: aiohttp.ClientSession, sent: bytes) -> None:
    """800 MB of bodies that are never finished take a tenth of it."""
    before = resident(process)
    async with slow(process.port, sent, 200, HERE):
        for size in (5_000, 300_000, 3_000_000):
            assert await post(http, process, bytes(size)) == 200
        assert resident(process) - before < 160 * MB


async def test_headers_without_an_end(process: Process, http: aiohttp.ClientSession) -> None:
    before = resident(process)
    reader, writer = await asyncio.open_connection("127.0.0.1", process.port)
    with closing(writer), suppress(ConnectionError):
        writer.write(HEADERS)
        for _ in range(100):
            writer.write(b"x" * MB)
            await writer.drain()
        assert await asyncio.wait_for(reader.read(), 30) == b""
    assert await post(http, process, b"{}") == 200
    assert resident(process) - before < 20 * MB


# -- one server, with limits that a test can reach -------------------------------------------------


@asynccontextmanager
async def serving(**limits: float) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Run a server that takes bodies; yield its port, and the bodies that were taken."""
    taken: list[bytes] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        taken.append(await read_body(receive, 4 * MB))
        length = (b"content-length", b"0")
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        await send({"type": "http.response.body", "body": b""})

    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=0,
        http=make_connection_class(**limits),  # type: ignore[arg-type]
        lifespan="off",
        log_config=None,
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    await eventually(lambda: server.started)
    try:
        yield server.servers[0].sockets[0].getsockname()[1], taken
    finally:
        server.should_exit = True
        await task


async def test_one_that_is_slow_is_cut_off() -> None:
    async with serving(request_s=0.2) as (port, taken):
        for sent in (b"", HEADERS, unfinished(PATH, 10, 9)):
            async with slow(port, sent, 3, HERE) as clients:
                assert [await client.status() for client in clients] == [0, 0, 0]
    assert taken == []


async def test_a_connection_that_rests_between_requests_is_kept() -> None:
    async with serving(request_s=0.1) as (port, taken):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with closing(writer):
            for _ in range(3):
                writer.write(unfinished(PATH, 2, 2))
                assert await reader.readuntil(b"\r\n\r\n")
                await asyncio.sleep(0.3)
    assert taken == [bytes(2)] * 3


async def test_a_request_in_many_parts() -> None:
    async with serving() as (port, taken):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with closing(writer):
            for byte in unfinished(PATH, 5, 5):
                writer.write(bytes([byte]))
                await writer.drain()
            assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
    assert taken == [bytes(5)]


async def test_too_many_connections_end_the_slowest() -> None:
    async with (
        serving(max_connections=4) as (port, taken),
        slow(port, HEADERS, 1, HERE) as [slowest],
        slow(port, HEADERS, 3, HERE),
        slow(port, unfinished(PATH, 2, 2), 1, HERE) as [fast],
    ):
        assert await fast.status() == 200
        assert await slowest.status() == 0
    assert taken == [bytes(2)]


async def test_too_many_bytes_end_the_slowest() -> None:
    async with (
        serving(max_unfinished_bytes=7 * MB // 2) as (port, taken),
        slow(port, unfinished(PATH, 2 * MB, MB), 1, HERE) as [first],
        slow(port, unfinished(PATH, 2 * MB, MB), 1, HERE) as [second],
        slow(port, unfinished(PATH, 2 * MB, 2 * MB), 1, HERE) as [fast],
    ):
        assert await fast.status() == 200
        done, _ = await asyncio.wait(
            [asyncio.create_task(client.status()) for client in (first, second)],
            return_when=asyncio.FIRST_COMPLETED,
        )
        assert [task.result() for task in done] == [0]
        assert taken == [bytes(2 * MB)]


async def test_a_head_that_is_too_long() -> None:
    async with serving() as (port, _):
        async with slow(port, HEADERS + b"x" * MAX_HEAD_BYTES, 1, HERE) as [client]:
            assert await client.status() == 0
        fields = b"a: b\r\n" * (MAX_FIELDS + 2)
        async with slow(port, b"GET / HTTP/1.1\r\n" + fields, 1, HERE) as [client]:
            assert await client.status() == 0


async def test_what_follows_an_answer_is_neither_kept_nor_waited_for() -> None:
    """A body that was refused before it ended: others are not cut off for it."""
    body = unfinished(PATH, 64 * MB, 5 * MB)
    async with serving(request_s=0.5, max_unfinished_bytes=16 * MB) as (port, taken):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        with closing(writer), suppress(ConnectionError):
            writer.write(body)
            for _ in range(50):
                writer.write(bytes(MB))
                await writer.drain()
        async with slow(port, unfinished(PATH, 2, 2), 1, HERE) as [client]:
            assert await client.status() == 200
    assert taken == [bytes(2)]


async def test_two_requests_at_once_and_half_of_a_third() -> None:
    request = unfinished(PATH, 2, 2)
    async with (
        serving(request_s=0.3) as (port, taken),
        slow(port, request + request + request[:-1], 1, HERE) as [client],
    ):
        assert await client.status() == 200
        with suppress(ConnectionError):
            while await asyncio.wait_for(client.reader.read(4096), 10):
                pass
        assert taken == [bytes(2)] * 2
