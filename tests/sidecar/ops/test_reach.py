"""What ``sidecar status`` tries to reach by itself."""

from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer

from sidecar.ops.reach import dramatiq_problem, public_problem
from sidecar.redis.client import connect
from simulator.ports import free_ports
from simulator.redis_server import RedisServer
from tests.conftest import MakeSettings


async def test_the_redis_of_the_wakeups(
    make_settings: MakeSettings, redis_url: str, tmp_path: Path
) -> None:
    assert await dramatiq_problem(make_settings(), redis_url) is None
    out_of_range = redis_url.removesuffix("/0") + "/99"
    found = await dramatiq_problem(make_settings(dramatiq_redis_url=out_of_range), redis_url)
    assert found is not None
    assert "out of range" in found
    with RedisServer(tmp_path / "own") as server:
        settings = make_settings(dramatiq_redis_url=server.url)
        assert await dramatiq_problem(settings, redis_url) is None
        client = connect(server.url, timeout_s=5.0)
        await client.config_set("maxmemory", "1mb")
        await client.config_set("maxmemory", "1")
        await client.aclose()
        assert await dramatiq_problem(settings, redis_url) == (
            "it is full: it uses all of its maxmemory, 0 MB"
        )
    found = await dramatiq_problem(settings, redis_url)
    assert found is not None
    assert "onnect" in found


@pytest.mark.parametrize(("status", "what"), [(405, None), (404, None), (502, "it answers 502")])
async def test_the_public_address(httpserver: HTTPServer, status: int, what: str | None) -> None:
    httpserver.expect_request("/webhook/status", method="OPTIONS").respond_with_data("", status)
    assert await public_problem(httpserver.url_for("/")) == what


async def test_nobody_listens_there() -> None:
    [port] = free_ports(1)
    assert await public_problem(f"http://127.0.0.1:{port}") is not None
