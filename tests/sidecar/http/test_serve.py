"""``sidecar serve`` as a process: it starts, takes what comes, and ends cleanly."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path

import aiohttp
import orjson
import pytest
import redis as blocking_redis

from contracts.cloud_api.webhook import SIGNATURE_HEADER, sign
from contracts.console import Role
from contracts.jobs import Lane
from sidecar.console.sessions import Origin, Sessions
from sidecar.http import serve
from sidecar.inbox.store import InboxReader
from sidecar.redis import keys
from sidecar.redis.client import Redis
from simulator.processes import Process, ProcessFailed, python
from tests import trust
from tests.conftest import MakeSettings
from tests.eventually import eventually
from tests.sidecar.answering_php import Php
from tests.sidecar.service import VENDOR

pytestmark = pytest.mark.usefixtures("own_environment")


class Serving:
    """Starts processes in a folder, and stops them."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "serve.log"
        self._processes: list[Process] = []
        self._others: list[Callable[[], object]] = []

    def start(self, **settings: object) -> Process:
        values = {
            "backend_url": "http://127.0.0.1:9",
            "signing_keys": f"{trust.KEY_ID}:{trust.SIGNING_SECRET}",
            "app_secrets": trust.APP_SECRET,
            "port": "{port}",
            **settings,
        }
        environment = {f"SIDECAR_{name.upper()}": str(value) for name, value in values.items()}
        command = python("sidecar.commands.main", "serve")
        process = Process("sidecar", command, self.log, environment=environment)
        self._processes.append(process)
        return process.start()

    def on_stop(self, call: Callable[[], object]) -> None:
        """Have this called too, for what a process may leave behind."""
        self._others.append(call)

    def stop(self) -> None:
        for process in self._processes:
            process.stop()
        for call in self._others:
            call()

    def logged(self) -> list[str]:
        """Return the events that were logged; each line must be JSON."""
        return [orjson.loads(line)["event"] for line in self.log.read_text().splitlines()]


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    serving = Serving(tmp_path)
    yield serving
    serving.stop()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def post(http: aiohttp.ClientSession, url: str, body: bytes) -> tuple[int, bytes]:
    headers = {SIGNATURE_HEADER: sign(trust.APP_SECRET.encode(), body)}
    async with http.post(f"{url}/webhook/{VENDOR}", data=body, headers=headers) as answer:
        return answer.status, await answer.read()


async def bodies(redis: Redis) -> list[bytes]:
    found = await InboxReader(redis).read(Lane.MESSAGES, {VENDOR: "0"}, 1000)
    return [webhook.body for entry in found[VENDOR] for webhook in entry.webhooks]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_what_is_under_way_is_finished_at_the_end(
    serving: Serving,
    http: aiohttp.ClientSession,
    php: Php,
    redis: Redis,
    redis_url: str,
    number: signal.Signals,
) -> None:
    process = serving.start(redis_url=redis_url, backend_url=php.url)
    php.open.clear()
    in_flight = asyncio.create_task(post(http, process.url, b"{}"))
    await eventually(lambda: php.calls)
    os.kill(process.pid, number)
    await eventually(lambda: "Shutting down" in serving.log.read_text())
    assert not in_flight.done()
    php.open.set()
    assert await in_flight == (200, b"done")
    assert await asyncio.to_thread(process.stop) == 0
    assert await bodies(redis) == [b"{}"]
    assert "serve.stopped" in serving.logged()


async def test_who_looks_at_the_console_does_not_hold_up_the_end(
    serving: Serving, http: aiohttp.ClientSession, redis: Redis, redis_url: str, php: Php
) -> None:
    process = serving.start(redis_url=redis_url, backend_url=php.url, console=True)
    sessions = Sessions(redis, longest_s=100, idle_s=100)
    token = await sessions.open("ada", Role.LOOK, Origin.LINK)
    cookies = {"sidecar_session": token}
    async with http.get(f"{process.url}/sidecar/overview/live", cookies=cookies) as events:
        assert (await events.content.readline()).startswith(b"event: ")
        stopped = asyncio.create_task(asyncio.to_thread(process.stop))
        await events.content.read()
        assert await stopped == 0
    assert "serve.stopped" in serving.logged()


async def test_it_listens_on_a_free_port_and_says_which(
    serving: Serving, http: aiohttp.ClientSession, redis_url: str
) -> None:
    process = serving.start(redis_url=redis_url)
    assert process.url.startswith("http://127.0.0.1:")
    async with http.get(f"{process.url}/readyz") as answer:
        assert answer.status == 200
        assert "server" not in answer.headers
    assert "serve.started" in serving.logged()


async def test_the_embedded_valkey_ends_with_it_and_keeps_what_was_acknowledged(
    serving: Serving, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    data_dir = tmp_path / "data"
    socket_path = data_dir / "valkey.sock"
    process = serving.start(data_dir=data_dir)
    assert await post(http, process.url, b"1") == (200, b"done")
    assert await asyncio.to_thread(process.stop) == 0
    assert not socket_path.exists()

    process = serving.start(data_dir=data_dir)
    with blocking_redis.Redis(unix_socket_path=str(socket_path)) as client:
        serving.on_stop(lambda: client.shutdown(nosave=True) if socket_path.exists() else None)
        assert await post(http, process.url, b"2") == (200, b"done")
        os.kill(process.pid, signal.SIGKILL)
        assert socket_path.exists(), "the server outlives a sidecar that is killed"

        process = serving.start(data_dir=data_dir)
        assert await post(http, process.url, b"3") == (200, b"done")
        assert client.xlen(keys.inbox(Lane.MESSAGES, VENDOR)) == 3
    assert await asyncio.to_thread(process.stop) == 0
    assert not socket_path.exists()


def test_a_port_that_is_taken(serving: Serving) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ProcessFailed) as raised:
            serving.start(port=port)
    assert serving.log.read_text() == (
        f"Error: cannot listen on 127.0.0.1 port {port}: Address already in use; "
        "look at the settings host and port\n"
    )
    assert "did not start" in str(raised.value)


def test_an_address_that_is_not_ours(make_settings: MakeSettings) -> None:
    with pytest.raises(serve.CannotServe, match="look at the settings host and port"):
        serve._listen(make_settings(host="host.invalid"))


def test_an_address_of_ipv6(make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Mapping[str, object]] = []

    def create_server(address: tuple[str, int], **options: object) -> socket.socket:
        made.append({"address": address, **options})
        return socket.socket()

    monkeypatch.setattr(socket, "create_server", create_server)
    with serve._listen(make_settings(host="::1", port=5)):
        assert made == [{"address": ("::1", 5), "family": socket.AF_INET6, "backlog": 2048}]


# -- whatever comes over the wire ----------------------------------------------------------------

_POST = f"POST /webhook/{VENDOR} HTTP/1.1\r\nHost: x\r\n".encode()
_SIGNED = f"{SIGNATURE_HEADER}: {sign(trust.APP_SECRET.encode(), b'{}')}\r\n".encode()

RAW = {
    "no http": b"\x16\x03\x01\x02\x00\x01\r\n\r\n",
    "no version": b"GET /healthz\r\n\r\n",
    "bytes in the path": b"GET /webhook/\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
    "bytes in the query": b"GET /webhook/v?\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    "escapes in the path": b"GET /webhook/%FF%00 HTTP/1.1\r\nHost: x\r\n\r\n",
    "half an escape": b"GET /webhook/%F HTTP/1.1\r\nHost: x\r\n\r\n",
    "an absolute address": b"GET http://x/healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "an odd host": b"GET /internal/campaigns/c HTTP/1.1\r\nHost: [\r\n\r\n",
    "two hosts": b"GET /healthz HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "a content length that is no number": _POST + b"Content-Length: ten\r\n\r\n{}",
    "a negative content length": _POST + b"Content-Length: -2\r\n\r\n{}",
    "a huge content length": _POST + b"Content-Length: " + b"9" * 18 + b"\r\n\r\n{}",
    "a content length too long": _POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n{}",
    "two content lengths": _POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
    "a chunk of no length": _POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "a signature of any bytes": _POST + SIGNATURE_HEADER.encode() + b": \xff\xfe\r\n"
    b"Content-Length: 2\r\n\r\n{}",
    "expectation": _POST + _SIGNED + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
    "an upgrade": b"GET /healthz HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: eA==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    "chunks": _POST + _SIGNED + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
}


async def exchanged(port: int, raw: bytes) -> bytes:
    """Return the status line of the server's answer, or nothing if it just closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(raw)
        while line := await asyncio.wait_for(reader.readline(), 10):
            if line.startswith(b"HTTP/1.1 ") and not line.startswith(b"HTTP/1.1 100 "):
                break
        return line
    finally:
        writer.close()
        await writer.wait_closed()


async def test_whatever_comes_over_the_wire(
    serving: Serving, http: aiohttp.ClientSession, php: Php, redis: Redis, redis_url: str
) -> None:
    process = serving.start(redis_url=redis_url, backend_url=php.url)
    answers = {name: await exchanged(process.port, raw) for name, raw in RAW.items()}
    statuses = {name: answer.split(b" ")[1] for name, answer in answers.items() if answer}
    assert not [name for name, status in statuses.items() if status.startswith(b"5")], statuses
    assert statuses["chunks"] == statuses["expectation"] == b"200"
    assert statuses["a signature of any bytes"] == b"401"
    assert statuses["a huge content length"] == b"413"
    assert await bodies(redis) == [b"{}", b"{}"]
    async with http.get(f"{process.url}/healthz") as answer:
        assert answer.status == 200
    assert "Traceback" not in serving.log.read_text()


async def test_a_client_that_leaves_in_the_middle(
    serving: Serving, redis: Redis, redis_url: str, http: aiohttp.ClientSession
) -> None:
    process = serving.start(redis_url=redis_url, webhook_signature="report")
    for sent in (b"Content-Length: 100\r\n\r\n{", b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"):
        _, writer = await asyncio.open_connection("127.0.0.1", process.port)
        writer.write(_POST + sent)
        await writer.drain()
        writer.close()
        await writer.wait_closed()
    assert await post(http, process.url, b"whole") == (200, b"done")
    assert await asyncio.to_thread(process.stop) == 0
    assert await bodies(redis) == [b"whole"]
    assert "Traceback" not in serving.log.read_text()
