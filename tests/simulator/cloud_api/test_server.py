import asyncio
import socket

import aiohttp
import httpx
import pytest

from simulator import server
from simulator.cloud_api.app import create_app
from simulator.cloud_api.config import DEFAULT_PHONE_NUMBER_ID, CloudApiConfig
from simulator.cloud_api.server import running
from tests.simulator.cloud_api.helpers import Receiver, eventually, message, simulating


async def test_serves_and_stops() -> None:
    async with running() as simulator, aiohttp.ClientSession() as session:
        async with session.get(f"{simulator.control_url}/report") as answer:
            assert (await answer.json())["idle"]
        url = simulator.url
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.get(url)


async def test_port_that_is_taken() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(OSError, match="in use"),
    ):
        await running(port=taken.getsockname()[1]).__aenter__()


async def test_ipv6() -> None:
    async with running(host="::1") as simulator, aiohttp.ClientSession() as session:
        assert simulator.url.startswith("http://[::1]:")
        async with session.get(f"{simulator.control_url}/report") as answer:
            assert answer.status == 200


async def test_connections_are_kept_alive() -> None:
    async with simulating() as api:
        for at in range(5):
            await api.send(f"+49151{at:08d}")
        assert len(api.simulator.server.server_state.connections) == 1


async def test_answers_are_not_held_back() -> None:
    async with simulating() as api:
        connections = api.simulator.server.server_state.connections
        await api.send()
        (connection,) = connections
        peer = connection.transport.get_extra_info("socket")
        assert peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_requests_that_do_not_end_are_cut_off(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_SHUTDOWN_S", 0.05)
    receiver.delay_s = 0.5
    async with simulating(receiver.url) as api:
        waiting = asyncio.create_task(api.control("POST", "webhook", b"{}"))
        await eventually(lambda: bool(receiver.webhooks))
        api.simulator.server.stop()
        with pytest.raises(aiohttp.ClientConnectionError):
            await waiting


async def test_under_any_server() -> None:
    app = create_app(CloudApiConfig(faults=[{"kind": "reset_before_read", "times": 1}]))
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://simulator") as client:
        path = f"/v25.0/{DEFAULT_PHONE_NUMBER_ID}/messages"
        with pytest.raises(RuntimeError, match="own server"):
            await client.post(path, json=message())
        headers = {"Authorization": "Bearer simulated-access-token"}
        answer = await client.post(path, json=message(), headers=headers)
        assert answer.status_code == 200
        assert (await client.get("/_simulator/report")).json()["accepted"] == 1


async def test_many_at_once() -> None:
    async with simulating() as api:
        answers = await asyncio.gather(*(api.send(f"+49151{at:08d}") for at in range(100)))
        assert {one.status for one in answers} == {200}
        assert len({one.wamid for one in answers}) == 100
