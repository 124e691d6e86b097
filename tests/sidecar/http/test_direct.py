"""Requests that are taken without the application: on the wire they are like all others."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from sidecar.http.bodies import BodyRefused, read_body
from sidecar.http.connection import make_connection_class
from sidecar.http.direct import MAX_BODY_BYTES, Answer, Take
from tests.eventually import eventually


class Application:
    """Takes requests whose path begins with ``/direct``, and answers them with their body when
    ``held`` is false, else when :meth:`release` is called. What it does not take, or returns, it
    answers as an ASGI application does, with the body behind ``app ``."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.returned: list[bytes] = []
        self.broken_off = 0
        self.held = False
        self.answers: list[Callable[[], None]] = []

    def direct(self, scope: Any) -> Take | None:
        return self._take if scope["path"].startswith("/direct") else None

    def _take(self, body: bytes, answer: Answer) -> bool:
        assert type(body) is bytes
        if body.startswith(b"return"):
            self.returned.append(body)
            return False
        self.taken.append(body)
        self.answers.append(lambda: answer(200, body))
        if not self.held:
            asyncio.get_running_loop().call_soon(self.release)
        return True

    def release(self) -> None:
        answers, self.answers = self.answers, []
        for answer in answers:
            answer()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = b"app " + await read_body(receive, 4 * 1024 * 1024)
        except BodyRefused:
            self.broken_off += 1
            return
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", b"%d" % len(body)),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class Served:
    def __init__(self, app: Application, server: uvicorn.Server, port: int) -> None:
        self.app = app
        self.server = server
        self.port = port

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def ask(self, *parts: bytes, answers: int = 1) -> list[tuple[bytes, bytes]]:
        """Send these parts on one connection, and return the heads and bodies of the answers."""
        reader, writer = await self.connect()
        with closing(writer):
            for part in parts:
                writer.write(part)
                await asyncio.sleep(0.01)
            return [await read_answer(reader) for _ in range(answers)]


@asynccontextmanager
async def serve() -> AsyncIterator[Served]:
    app = Application()
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=0,
        http=make_connection_class(taker=app.direct),
        lifespan="off",
        log_config=None,
        server_header=False,
        date_header=False,
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    await eventually(lambda: server.started)
    try:
        yield Served(app, server, server.servers[0].sockets[0].getsockname()[1])
    finally:
        server.should_exit = True
        await task


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serve() as served:
        yield served


async def read_answer(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Return the next answer's head, without its content-length, and its body."""
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    length = re.search(rb"content-length: (\d+)\r\n", head)
    assert length is not None, head
    return head.replace(length[0], b""), await reader.readexactly(int(length[1]))


def post(body: bytes, path: str = "/direct", *headers: str, version: str = "1.1") -> bytes:
    lines = [f"POST {path} HTTP/{version}", "Host: x", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def test_the_answer_is_the_applications_to_the_byte(served: Served) -> None:
    """But for its text."""
    for headers in ((), ("Connection: close",)):
        [(direct, text)] = await served.ask(post(b"abcd", "/direct", *headers))
        [(usual, other)] = await served.ask(post(b"", "/usual", *headers))
        assert direct == usual
        assert (text, other) == (b"abcd", b"app ")
    assert served.app.taken == [b"abcd"] * 2


@pytest.mark.parametrize("size", [0, 1, 1000, MAX_BODY_BYTES])
async def test_a_body_in_parts_is_taken_whole(served: Served, size: int) -> None:
    body = bytes(number % 251 for number in range(size))
    request = post(body)
    parts = [request[:30], request[30 : -size // 2 or None], request[-size // 2 or len(request) :]]
    assert [text for _, text in await served.ask(*parts)] == [body]
    assert served.app.taken == [body]


async def test_what_is_not_taken_is_the_applications(served: Served) -> None:
    assert [text for _, text in await served.ask(post(b"x", "/usual"))] == [b"app x"]
    assert [text for _, text in await served.ask(post(b"return"))] == [b"app return"]
    assert served.app.taken == []
    assert served.app.returned == [b"return"]


async def test_a_client_that_waits_for_100_continue(served: Served) -> None:
    request = post(b"x", "/direct", "Expect: 100-continue")
    reader, writer = await served.connect()
    with closing(writer):
        writer.write(request[:-1])
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(request[-1:])
        assert (await read_answer(reader))[1] == b"app x"


@pytest.mark.parametrize("at_once", [True, False])
async def test_requests_in_a_row_are_answered_in_their_order(served: Served, at_once: bool) -> None:
    bodies = [b"1", b"return 2", b"3", b"4"]
    requests = [post(body) for body in bodies] + [post(b"5", "/usual"), post(b"6")]
    parts = [b"".join(requests)] if at_once else requests
    answers = await served.ask(*parts, answers=6)
    assert [text for _, text in answers] == [b"1", b"app return 2", b"3", b"4", b"app 5", b"6"]


async def test_a_thousand_in_a_row(served: Served) -> None:
    answers = await served.ask(b"".join(post(b"%d" % n) for n in range(1000)), answers=1000)
    assert [text for _, text in answers] == [b"%d" % n for n in range(1000)]


async def test_http_1_0_is_closed_after_the_answer(served: Served) -> None:
    reader, writer = await served.connect()
    with closing(writer):
        writer.write(post(b"x", version="1.0"))
        assert (await asyncio.wait_for(reader.read(), 10)).endswith(
            b"\r\nconnection: close\r\n\r\nx"
        )


async def test_a_client_that_is_gone_before_its_answer(served: Served) -> None:
    served.app.held = True
    _, writer = await served.connect()
    writer.write(post(b"x"))
    await eventually(lambda: served.app.taken == [b"x"])
    writer.close()
    await eventually(lambda: not served.server.server_state.connections)
    served.app.release()
    served.app.held = False
    assert [text for _, text in await served.ask(post(b"y"))] == [b"y"]


async def test_a_body_that_breaks_off_is_the_applications(served: Served) -> None:
    _, writer = await served.connect()
    writer.write(post(b"xy")[:-1])
    await writer.drain()
    await eventually(lambda: len(served.server.server_state.connections) == 1)
    writer.close()
    await eventually(lambda: served.app.broken_off == 1)
    assert served.app.taken == []


async def test_who_waits_when_the_server_ends_is_answered() -> None:
    async with serve() as served:
        served.app.held = True
        reader, writer = await served.connect()
        with closing(writer):
            writer.write(post(b"x"))
            await eventually(lambda: served.app.taken == [b"x"])
            served.server.should_exit = True
            connection: Any = next(iter(served.server.server_state.connections))
            await eventually(lambda: not connection.cycle.keep_alive)
            served.app.release()
            head, text = await read_answer(reader)
            assert text == b"x"
            assert b"connection: close" in head
            assert await asyncio.wait_for(reader.read(), 10) == b""
