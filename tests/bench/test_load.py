import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

import pytest

from bench.load import connected, latencies_ms, percentile

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nOK"
REQUEST = b"POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n"

Answer = Callable[[asyncio.Transport], None]


class Server(asyncio.Protocol):
    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        assert data == REQUEST
        self.answer(self.transport)


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[int]:
    """Answer each request as it comes."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Server(answer), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def answering(first: bytes, second: bytes = b"") -> Answer:
    """Answer in two parts, which come in two turns."""

    def answer(transport: asyncio.Transport) -> None:
        transport.write(first)
        if second:
            asyncio.get_running_loop().call_later(0.001, transport.write, second)

    return answer


def test_percentile_is_the_nearest_rank() -> None:
    values = [float(number) for number in range(1, 101)]
    assert [percentile(values, share) for share in (0.0, 0.5, 0.99, 1.0)] == [1, 50, 99, 100]
    assert percentile([7.0], 0.99) == 7
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


def test_latencies_of_nothing() -> None:
    assert latencies_ms([]) == {}
    assert latencies_ms([0.002, 0.001]) == {"p50_ms": 1.0, "p99_ms": 2.0, "max_ms": 2.0}


@pytest.mark.parametrize(
    "parts",
    [
        (OK,),
        (OK[:20], OK[20:]),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nOK\r\n", b"0\r\n\r\n"),
    ],
)
async def test_each_request_is_sent_once_and_answered(parts: tuple[bytes, ...]) -> None:
    async with serving(answering(*parts)) as port, connected(port, [REQUEST], 3) as load:
        assert await load.at_saturation(20, 100) > 0
        assert (len(load.latencies), load.refused) == (100, 0)
        await load.at_rate(1000, 0.05)
        assert (len(load.latencies), load.refused) == (50, 0)


async def test_what_is_not_answered_with_200_was_refused() -> None:
    refused = OK.replace(b"200 OK", b"503 No")
    async with serving(answering(refused)) as port, connected(port, [REQUEST], 2) as load:
        await load.at_saturation(20, 10)
    assert load.refused == 10


async def test_what_was_refused_is_sent_again_until_it_is_taken() -> None:
    answers = [b"HTTP/1.1 503 No\r\ncontent-length: 2\r\n\r\nNO"] * 3 + [OK] * 10

    def answer(transport: asyncio.Transport) -> None:
        transport.write(answers.pop(0))

    async with serving(answer) as port, connected(port, [REQUEST], 1, again=True) as load:
        await load.at_saturation(20, 10)
    assert (load.refused, len(load.latencies), answers) == (3, 10, [])


async def test_a_connection_that_is_closed_is_not_waited_for() -> None:
    async with serving(asyncio.Transport.close) as port, connected(port, [REQUEST], 2) as load:
        await load.at_saturation(20, 10)
    assert (load.refused, load.latencies) == (2, [])


async def test_a_server_that_stands_still_is_charged_for_all_that_came_meanwhile() -> None:
    """One connection, and a server that answers nothing until all are due: each has waited since it
    was due, and not since it was sent."""
    waiting: list[asyncio.Transport] = []
    has_come, goes_on = asyncio.Event(), asyncio.Event()

    def answer(transport: asyncio.Transport) -> None:
        transport.write(OK) if goes_on.is_set() else waiting.append(transport)
        has_come.set()

    async with serving(answer) as port, connected(port, [REQUEST], 1) as load:
        run = asyncio.create_task(load.at_rate(100, 0.3))
        await has_come.wait()
        await asyncio.sleep(0.3)
        goes_on.set()
        waiting[0].write(OK)
        await run
        assert len(load.latencies) == 30
        assert load.latencies[0] >= 0.3
        # The n-th is due n hundredths of a second later, and they are answered at once.
        assert load.latencies[15] >= 0.14
