"""What is concluded from how a call ends, held against real sockets that misbehave.

"Not sent" is only ever concluded when nothing can have arrived: everything else of which it is not
known that it was refused might be sent twice.
"""

import asyncio
import socket

import aiohttp
import pytest

from contracts.cloud_api.errors import ErrorClass
from tests.workers.conftest import MakeApi
from tests.workers.rows import claimed_row
from tests.workers.sockets import ACCEPTED, Behaviour, Connection, misbehaving, send
from workers.sending import cloud_api as module
from workers.sending.cloud_api import (
    Accepted,
    CloudApi,
    ErrorAnswer,
    NotSent,
    OutcomeUnknown,
)
from workers.sending.error_policy import decide
from workers.sending.line_health import reason_of_attempt, shows_that_it_works

# -- certainly not sent --


async def test_a_refused_connection_is_not_sent(make_api: MakeApi) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        attempt = await send(make_api(url))
    assert isinstance(attempt, NotSent)
    assert "cannot connect" in attempt.reason


async def test_a_name_that_is_not_known_is_not_sent(make_api: MakeApi) -> None:
    assert isinstance(await send(make_api("http://nobody.invalid")), NotSent)


async def test_a_connection_that_does_not_come_about_in_time_is_not_sent(
    make_api: MakeApi,
) -> None:
    """The listener's queue is full."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        api = make_api(f"http://127.0.0.1:{full.getsockname()[1]}", timeout_s=0.6)
        attempt = await send(api)
        for one in waiting:
            one.close()
    assert isinstance(attempt, NotSent)


async def test_a_server_that_speaks_no_tls_gets_nothing(make_api: MakeApi) -> None:
    async def close(connection: Connection) -> None:
        await connection.reader.read(5)
        await connection.write(b"HTTP/1.1 400 x\r\n\r\n")

    async with misbehaving(close) as server:
        attempt = await send(make_api(server.url.replace("http:", "https:")))
    assert isinstance(attempt, NotSent)
    assert server.received == []


async def test_a_server_that_refuses_the_handshake_gets_nothing(make_api: MakeApi) -> None:
    async def alert(connection: Connection) -> None:
        await connection.reader.read(5)
        await connection.write(b"\x15\x03\x03\x00\x02\x02\x28")  # fatal, handshake_failure

    async with misbehaving(alert) as server:
        attempt = await send(make_api(server.url.replace("http:", "https:")))
    assert isinstance(attempt, NotSent)


def test_a_wrong_certificate_counts_as_a_failure_to_connect() -> None:
    assert issubclass(aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorError)


async def test_a_handshake_that_is_broken_off_is_not_sent(make_api: MakeApi) -> None:
    async def abort(connection: Connection) -> None:
        await connection.reader.read(5)
        connection.reset()

    async with misbehaving(abort) as server:
        attempt = await send(make_api(server.url.replace("http:", "https:")))
    assert isinstance(attempt, NotSent)


# -- perhaps sent --


def answering(status: int, content: bytes) -> Behaviour:
    async def behave(connection: Connection) -> None:
        while True:
            await connection.read_request()
            await connection.answer(status, content)

    return behave


async def close_at_once(connection: Connection) -> None:
    pass


async def reset_at_once(connection: Connection) -> None:
    connection.reset()


async def read_half_and_reset(connection: Connection) -> None:
    await connection.reader.read(40)
    connection.reset()


async def read_all_and_close(connection: Connection) -> None:
    await connection.read_request()


async def read_all_and_reset(connection: Connection) -> None:
    await connection.read_request()
    connection.reset()


async def read_all_and_say_nothing(connection: Connection) -> None:
    await connection.read_request()
    await connection.reader.read()


async def read_nothing_and_say_nothing(connection: Connection) -> None:
    await asyncio.sleep(60)


async def answer_half_a_head(connection: Connection) -> None:
    await connection.read_request()
    await connection.write(b"HTTP/1.1 200 OK\r\nContent-")


async def answer_half_a_body(connection: Connection) -> None:
    await connection.read_request()
    await connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + ACCEPTED[:30])


async def answer_half_a_body_and_wait(connection: Connection) -> None:
    await answer_half_a_body(connection)
    await connection.reader.read()


async def answer_garbage(connection: Connection) -> None:
    await connection.read_request()
    await connection.write(b"\x00\x01\x02 this is no HTTP\r\n\r\n")


async def answer_bad_chunks(connection: Connection) -> None:
    await connection.read_request()
    await connection.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nnothing")


async def answer_bad_compression(connection: Connection) -> None:
    await connection.read_request()
    await connection.answer(200, b"not gzip at all", "Content-Encoding: gzip")


@pytest.mark.parametrize(
    "behaviour",
    [
        close_at_once,
        reset_at_once,
        read_half_and_reset,
        read_all_and_close,
        read_all_and_reset,
        read_all_and_say_nothing,
        read_nothing_and_say_nothing,
        answer_half_a_head,
        answer_half_a_body,
        answer_half_a_body_and_wait,
        answer_garbage,
        answer_bad_chunks,
        answer_bad_compression,
        answering(200, b"{}"),
        answering(500, b"<html>"),
        answering(502, b"<html>"),
        answering(504, b""),
    ],
    ids=lambda behaviour: behaviour.__qualname__,
)
@pytest.mark.parametrize("size", [10, 1_000_000])
async def test_what_may_have_arrived_is_unknown_and_not_repeated(
    make_api: MakeApi, behaviour: Behaviour, size: int
) -> None:
    async with misbehaving(behaviour) as server:
        attempt = await send(make_api(server.url, timeout_s=1.0), b"x" * size)
    assert isinstance(attempt, OutcomeUnknown), attempt
    assert attempt.reason
    assert server.connections == 1
    assert len(server.received) <= 1


async def test_a_kept_connection_that_was_closed_meanwhile_is_unknown(make_api: MakeApi) -> None:
    """Whether the request arrived before the server closed, nobody can tell."""

    async def answer_once_and_close_on_the_next(connection: Connection) -> None:
        await connection.read_request()
        await connection.answer(200, ACCEPTED)
        await connection.reader.read(1)
        connection.reset()

    async with misbehaving(answer_once_and_close_on_the_next) as server:
        api = make_api(server.url)
        assert isinstance(await send(api), Accepted)
        assert isinstance(await send(api), OutcomeUnknown)
        assert server.connections == 1, "the client has not tried again by itself"


async def test_a_connection_that_was_closed_in_time_is_not_used_again(make_api: MakeApi) -> None:
    async def answer_once(connection: Connection) -> None:
        await connection.read_request()
        await connection.answer(200, ACCEPTED)

    async with misbehaving(answer_once) as server:
        api = make_api(server.url)
        for _ in range(3):
            assert isinstance(await send(api), Accepted)
            await asyncio.sleep(0.02)
        assert server.connections == 3


async def test_connections_are_kept(make_api: MakeApi) -> None:
    async with misbehaving(answering(200, ACCEPTED)) as server:
        api = make_api(server.url)
        for _ in range(3):
            assert isinstance(await send(api), Accepted)
        assert server.connections == 1


async def test_a_redirection_is_not_followed(make_api: MakeApi) -> None:
    async def redirect(connection: Connection) -> None:
        await connection.read_request()
        await connection.answer(307, b"", f"Location: {connection.server.url}/elsewhere")

    async with misbehaving(redirect, answering(200, ACCEPTED)) as server:
        assert isinstance(await send(make_api(server.url)), ErrorAnswer)
        assert len(server.received) == 1


@pytest.mark.parametrize("token", ["to\nken", "token\r\nX-Evil: 1", "tok\x00en"])
async def test_a_token_that_no_header_may_hold_is_refused_before_it_is_sent(
    make_api: MakeApi, token: str
) -> None:
    async with misbehaving(answering(200, ACCEPTED)) as server:
        attempt = await make_api(server.url).send("110", token, b"{}")
        assert isinstance(attempt, ErrorAnswer)
        assert attempt.rule.error_class is ErrorClass.PAUSE_TOKEN
        assert server.connections == 0
    decision = decide(claimed_row(), attempt)
    assert decision.pause_reason == attempt.error.message


async def test_a_closed_api_opens_again(make_api: MakeApi) -> None:
    async with misbehaving(answering(200, ACCEPTED)) as server:
        api = make_api(server.url)
        await send(api)
        await api.close()
        await api.close()
        assert isinstance(await send(api), Accepted)


def test_the_time_to_connect_is_less_than_all_the_time() -> None:
    """So that it is told apart from an answer that does not come."""
    for timeout_s in (0.5, 5.0, 60.0):
        timeout = CloudApi("http://x", "v1", timeout_s=timeout_s)._timeout
        assert timeout.sock_connect is not None
        assert timeout.sock_connect < (timeout.total or 0)
        assert timeout.sock_connect <= module.CONNECT_TIMEOUT_S


# -- asking whether it is there --

ASKED = b'{"id": "110"}'


@pytest.mark.parametrize(
    ("status", "content"),
    [(200, ASKED), (401, b'{"error": {"code": 190}}'), (400, b'{"error": {"code": 100}}')],
)
async def test_the_api_answers_a_question(make_api: MakeApi, status: int, content: bytes) -> None:
    heads: list[bytes] = []

    async def answer(connection: Connection) -> None:
        heads.append(await connection.reader.readuntil(b"\r\n\r\n"))
        await connection.answer(status, content)

    async with misbehaving(answer) as server:
        attempt = await make_api(server.url).ask("110", "token", 5.0)
    assert attempt is None or shows_that_it_works(attempt)
    lines = heads[0].decode().split("\r\n")
    assert lines[0] == "GET /v26.0/110?fields=id HTTP/1.1"
    assert "Authorization: Bearer token" in lines


@pytest.mark.parametrize(
    ("status", "content"),
    [
        (200, b""),
        (200, b"<html>"),
        (200, b"{}"),
        (404, b"<html>"),
        (502, b"<html>"),
        (503, b""),
        (500, b'{"error": {"code": 2}}'),
        (500, b'{"error": {"code": 131000}}'),
    ],
)
async def test_what_is_no_answer_to_a_question(
    make_api: MakeApi, status: int, content: bytes
) -> None:
    async def answer(connection: Connection) -> None:
        await connection.reader.readuntil(b"\r\n\r\n")
        await connection.answer(status, content)

    async with misbehaving(answer) as server:
        attempt = await make_api(server.url).ask("110", "token", 5.0)
    assert attempt is not None
    assert not shows_that_it_works(attempt)
    assert reason_of_attempt(attempt)


async def test_a_question_is_not_waited_for_longer_than_said(make_api: MakeApi) -> None:
    async def hang(connection: Connection) -> None:
        await connection.reader.read()

    async with misbehaving(hang) as server:
        attempt = await make_api(server.url, timeout_s=30).ask("110", "token", 0.1)
    assert isinstance(attempt, OutcomeUnknown)
    assert isinstance(await make_api("http://nobody.invalid").ask("110", "token", 5.0), NotSent)
