import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from tests.simulator.cloud_api.helpers import Receiver, eventually, receiving, simulating

_ONE = {"delivered_share": 0}


_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@asynccontextmanager
async def _serving(
    handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    async def handle_and_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            # Where the test is over, the client may go away in the middle of it.
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                await handle(reader, writer)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    server = await asyncio.start_server(handle_and_close, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/webhook?vendor=1"


@asynccontextmanager
async def _answering(*answers: bytes) -> AsyncIterator[str]:
    """A server that gives these answers, each on a connection of its own, then closes it; and
    after those a plain 200."""
    left = list(answers)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(left.pop(0) if left else b"HTTP/1.0 200 OK\r\n\r\n")
        await writer.drain()

    async with _serving(handle) as url:
        yield url


async def test_connections_are_kept_alive(receiver: Receiver) -> None:
    async with simulating(receiver.url) as api:
        for at in range(20):
            await api.send(f"+49151{at:08d}")
            await api.idle()
        assert len(receiver.webhooks) == 60
        assert len(receiver.connections) <= 3


async def test_connections_are_limited(receiver: Receiver) -> None:
    receiver.delay_s = 0.01
    async with simulating(receiver.url, webhook_connections=4) as api:
        await asyncio.gather(*(api.send(f"+49151{at:08d}") for at in range(40)))
        await api.idle()
        assert receiver.most_at_once == 4
        assert len(receiver.connections) == 4
        assert len(receiver.webhooks) == 120


async def test_receiver_that_closes_after_each_answer(receiver: Receiver) -> None:
    receiver.keep_alive = False
    async with simulating(receiver.url) as api:
        for at in range(10):
            await api.send(f"+49151{at:08d}")
        report = await api.idle()
        assert report["webhooks"]["posts"] == report["webhooks"]["acknowledged"] == 30
        assert len(receiver.connections) == 30


async def test_answer_that_ends_with_the_connection() -> None:
    async with _answering(b"HTTP/1.0 200 OK\r\n\r\ndone") as url, simulating(url, **_ONE) as api:
        await api.send()
        assert (await api.idle())["webhooks"]["unanswered"] == 0


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
async def test_answers_that_are_none(answer: bytes) -> None:
    async with _answering(answer) as url, simulating(url, **_ONE) as api:
        await api.send()
        report = await api.idle()
        assert report["webhooks"]["unanswered"] == 1
        assert report["webhooks"]["retried"] == 1
        assert report["statuses_acknowledged"]["sent"] == 1


async def test_interim_answer() -> None:
    answer = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    async with _answering(answer) as url, simulating(url, **_ONE) as api:
        await api.send()
        assert (await api.idle())["webhooks"]["unanswered"] == 0


async def test_connection_that_closes_as_it_is_used_again_costs_no_retry() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(_OK)
        # The second request gets no answer.
        await reader.readuntil(b"\r\n\r\n")

    async with _serving(handle) as url, simulating(url, webhook_connections=1) as api:
        await api.send()
        report = await api.idle()
        assert report["webhooks"]["retried"] == report["webhooks"]["unanswered"] == 0
        assert report["statuses_acknowledged"]["read"] == 1


async def test_answer_that_nobody_asked_for() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(_OK)
        await eventually(lambda: api.simulator.engine.delivery.acknowledged > 0)
        writer.write(_OK)
        # The connection is given up for it.
        await reader.read(100_000)
        assert await reader.read() == b""
        closed.set()

    closed = asyncio.Event()
    async with _serving(handle) as url, simulating(url, **_ONE) as api:
        await api.send()
        await asyncio.wait_for(closed.wait(), 10)
        assert (await api.idle())["statuses_acknowledged"]["sent"] == 1


@pytest.mark.parametrize("verify", [True, False])
async def test_https_url_that_does_not_speak_tls(receiver: Receiver, verify: bool) -> None:
    url = receiver.url.replace("http:", "https:")
    async with simulating(url, webhook_tls_verify=verify, **_ONE) as api:
        await api.send()
        await eventually(lambda: api.simulator.engine.delivery.unanswered > 0)
        assert not receiver.webhooks
        await api.control("POST", "webhook-url", {"url": receiver.url})
        assert (await api.idle())["statuses_acknowledged"]["sent"] == 1


async def test_stop_while_connecting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/"
        async with simulating(url, **_ONE) as api:
            await api.send()
            await eventually(lambda: api.simulator.engine.delivery.pending == 1)
            assert (await api.report())["webhooks"]["in_flight"] == 1


async def test_idle_connection_that_was_closed_costs_no_retry() -> None:
    async with receiving() as receiver, simulating(receiver.url, **_ONE) as api:
        await api.send("+491511")
        await api.idle()
        for connection in list(receiver.connections):
            connection.close()
        await api.send("+491512")
        report = await api.idle()
        assert report["webhooks"]["retried"] == report["webhooks"]["unanswered"] == 0
        assert report["statuses_acknowledged"]["sent"] == 2


async def test_webhooks_can_move(receiver: Receiver) -> None:
    settings = {"retry_first_ms": 300, "retry_max_ms": 300, **_ONE}
    async with (
        receiving() as second,
        receiving() as third,
        simulating(receiver.url, **settings) as api,
    ):
        receiver.answers = [500]
        await api.send("+491511")
        await eventually(lambda: api.simulator.engine.delivery.refused == 1)
        await api.control("POST", "pause-webhooks")
        await api.send("+491512")
        await eventually(lambda: api.simulator.engine.delivery.pending == 2)
        for url in (second.url, third.url):
            answer = await api.control("POST", "webhook-url", {"url": url})
            assert answer.json["url"] == url
        await api.control("POST", "resume-webhooks")
        # Those that waited, those to be tried again, and those to come.
        await api.send("+491513")
        report = await api.idle()
        assert report["statuses_acknowledged"]["sent"] == 3
        assert [len(one.webhooks) for one in (receiver, second, third)] == [1, 0, 3]


async def test_connection_that_closes_as_webhooks_move(receiver: Receiver) -> None:
    moved = asyncio.Event()
    second = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(_OK)
        await reader.readuntil(b"\r\n\r\n")
        second.set()
        await moved.wait()

    delays = {"delivered_delay_ms": (50, 50), "read_share": 0}
    async with _serving(handle) as url, simulating(url, **delays) as api:
        await api.send()
        await asyncio.wait_for(second.wait(), 10)
        await api.control("POST", "webhook-url", {"url": receiver.url})
        moved.set()
        await api.idle()
        assert receiver.statuses() == ["delivered"]


async def test_webhooks_can_move_back(receiver: Receiver) -> None:
    async with receiving() as other, simulating(receiver.url, **_ONE) as api:
        for url in (receiver.url, other.url, receiver.url):
            await api.control("POST", "webhook-url", {"url": url})
            await api.send()
            await api.idle()
        assert [len(one.webhooks) for one in (receiver, other)] == [2, 1]


async def test_url_of_an_account_and_of_a_number(receiver: Receiver) -> None:
    async with receiving() as second, receiving() as third:
        accounts = [{"account_id": "B", "webhook_url": second.url, "app_secret": "secret-b"}]
        numbers = [
            {"phone_number_id": "1"},
            {"phone_number_id": "2", "account_id": "B"},
            {"phone_number_id": "3", "account_id": "B", "webhook_url": third.url},
        ]
        async with simulating(receiver.url, accounts=accounts, phone_numbers=numbers) as api:
            for number in "123":
                await api.control("POST", "inbound", {"phone_number_id": number})
            await api.idle()
        assert [len(one.webhooks) for one in (receiver, second, third)] == [1, 1, 1]
        assert receiver.webhooks[0].is_signed()
        assert second.webhooks[0].is_signed("secret-b")
        assert third.webhooks[0].is_signed("secret-b")


async def test_request_line_and_headers(receiver: Receiver) -> None:
    async with simulating(receiver.url + "?a=1", **_ONE) as api:
        await api.send()
        await api.idle()
        (webhook,) = receiver.webhooks
        assert webhook.path == "/webhook/vendor"
        assert webhook.headers["Host"] == receiver.url.split("/")[2]
        assert webhook.headers["User-Agent"] == "facebookexternalua"
        assert webhook.headers["Content-Length"] == str(len(webhook.body))


async def test_stop_while_webhooks_are_under_way(receiver: Receiver) -> None:
    receiver.delay_s = 0.2
    async with simulating(receiver.url) as api:
        await api.send()
        await eventually(lambda: bool(receiver.webhooks))
    in_flight = len(receiver.webhooks)
    await asyncio.sleep(0.05)
    assert len(receiver.webhooks) == in_flight
