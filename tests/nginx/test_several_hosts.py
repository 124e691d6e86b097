"""Two hosts with a sidecar: nginx finds the one that works, for Meta and for PHP."""

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from simulator.ports import free_ports
from simulator.stack.nginx import Nginx, several_hosts
from tests.nginx.stub import Answer, Stub, drop, status

#: Far more than the calls that it takes until both servers had one.
CALLS = 8


@dataclass
class Hosts:
    """``first`` and ``second`` stand for ``sidecar serve`` on a host each."""

    first: Stub
    second: Stub
    nginx: Nginx
    for_php: str

    @property
    def stubs(self) -> tuple[Stub, Stub]:
        return self.first, self.second

    def asked(self) -> tuple[int, int]:
        return len(self.first.asked), len(self.second.asked)


@pytest.fixture
async def second() -> AsyncIterator[Stub]:
    async with Stub() as stub:
        yield stub


@pytest.fixture
def hosts(tmp_path: Path, sidecar: Stub, second: Stub, php: Stub) -> Iterator[Hosts]:
    public, internal, for_php = free_ports(3)
    site = several_hosts([sidecar.address, second.address], for_php)
    with Nginx(
        tmp_path / "nginx",
        sidecar=sidecar.address,
        php=php.address,
        ports=(public, internal),
        files={"site.conf": site},
    ) as nginx:
        yield Hosts(sidecar, second, nginx, f"http://127.0.0.1:{for_php}")


@pytest.fixture
def unreachable(sidecar: Stub) -> Iterator[None]:
    """Have nobody take a connection to the first host, nor refuse it, as of one that is off."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", sidecar.port))
        listener.listen(0)
        for _ in range(8):  # more than may wait
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", sidecar.port))
        yield


async def post(client: aiohttp.ClientSession, url: str, times: int = CALLS) -> list[int]:
    found = []
    for _ in range(times):
        async with client.post(url, data=b"{}") as answer:
            found.append(answer.status)
    return found


def webhook(hosts: Hosts) -> str:
    return f"{hosts.nginx.url}/webhook/vendor"


def call(hosts: Hosts) -> str:
    return f"{hosts.for_php}/internal/campaigns/one/pause"


async def test_both_get_webhooks_and_calls(hosts: Hosts, client: aiohttp.ClientSession) -> None:
    assert await post(client, webhook(hosts)) == [200] * CALLS
    assert min(hosts.asked()) > 0
    assert await post(client, call(hosts)) == [200] * CALLS
    assert [asked.target for asked in hosts.first.asked][-1] == "/internal/campaigns/one/pause"
    assert sum(hosts.asked()) == 2 * CALLS


async def test_a_host_that_has_ended(
    hosts: Hosts, php: Stub, client: aiohttp.ClientSession
) -> None:
    await hosts.first.stop()
    assert await post(client, webhook(hosts)) == [200] * CALLS
    assert await post(client, call(hosts)) == [200] * CALLS
    assert hosts.asked() == (0, 2 * CALLS)
    assert php.asked == []


async def test_a_host_that_is_off(
    hosts: Hosts, php: Stub, client: aiohttp.ClientSession, request: pytest.FixtureRequest
) -> None:
    await hosts.first.stop()
    request.getfixturevalue("unreachable")
    assert await post(client, webhook(hosts)) == [200] * CALLS
    assert await post(client, call(hosts)) == [200] * CALLS
    assert hosts.asked() == (0, 2 * CALLS)
    assert php.asked == []


async def test_one_that_breaks_off(hosts: Hosts, php: Stub, client: aiohttp.ClientSession) -> None:
    """A webhook is repeated elsewhere. A call of PHP's may have been done: PHP is told so."""
    hosts.first.answer = drop
    assert await post(client, webhook(hosts)) == [200] * CALLS
    assert php.asked == []
    hosts.second.answer = drop
    before = sum(hosts.asked())
    assert await post(client, call(hosts), times=1) == [502]
    assert sum(hosts.asked()) == before + 1


@pytest.mark.parametrize("answer", [status(503), status(500)])
async def test_what_a_host_cannot_take_is_phps(
    hosts: Hosts, php: Stub, client: aiohttp.ClientSession, answer: Answer
) -> None:
    """Anybody can make up a vendor that a sidecar refuses: that marks no host as failed."""
    for stub in hosts.stubs:
        stub.answer = answer
    assert await post(client, webhook(hosts)) == [200] * CALLS
    assert sum(hosts.asked()) == CALLS
    assert len(php.asked) == CALLS


async def test_a_call_that_a_host_refuses_for_now_is_made_at_another(
    hosts: Hosts, client: aiohttp.ClientSession
) -> None:
    """It does not reach Redis, say. A refusal of the call itself is PHP's to know."""
    hosts.first.answer = status(503)
    assert await post(client, call(hosts)) == [200] * CALLS
    assert len(hosts.second.asked) == CALLS
    hosts.second.answer = status(503)
    assert await post(client, call(hosts), times=1) == [503]
    hosts.first.answer = hosts.second.answer = status(409)
    before = sum(hosts.asked())
    assert await post(client, call(hosts), times=1) == [409]
    assert sum(hosts.asked()) == before + 1


async def test_no_host_is_left(hosts: Hosts, php: Stub, client: aiohttp.ClientSession) -> None:
    for stub in hosts.stubs:
        await stub.stop()
    assert await post(client, webhook(hosts)) == [200] * CALLS
    assert len(php.asked) == CALLS
    assert await post(client, call(hosts), times=1) == [502]
    assert len(php.asked) == CALLS, "PHP's own calls never come back to it"


async def test_all_calls_of_phps_are_passed_on_as_they_came(
    hosts: Hosts, client: aiohttp.ClientSession
) -> None:
    headers = {"X-Sidecar-Signature": "of this"}
    url = f"{hosts.for_php}/internal/campaigns/a%2Fb?c=d"
    async with client.post(url, data=b"body", headers=headers) as answer:
        assert answer.status == 200
    [asked] = [*hosts.first.asked, *hosts.second.asked]
    assert (asked.target, asked.body) == ("/internal/campaigns/a%2Fb?c=d", b"body")
    assert asked.headers["X-Sidecar-Signature"] == "of this"
