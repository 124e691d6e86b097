"""What ``sidecar status`` tries to reach by itself."""

from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer

from sidecar.ops.reach import dramatiq_problem, failover_problem, public_problem
from sidecar.redis.client import connect
from simulator.ports import free_ports
from simulator.redis_group import RedisGroup
from simulator.redis_server import RedisServer
from tests.conftest import MakeSettings
from tests.eventually import eventually


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


async def test_whether_a_failover_is_possible(redis_url: str, redis_group: RedisGroup) -> None:
    assert await failover_problem(redis_url) is None
    assert await failover_problem(redis_group.url) is None
    primary = redis_group.primary
    [replica] = [s for s in redis_group.servers.values() if s.running and s is not primary]
    redis_group.lose(replica)
    await eventually(lambda: failover_problem(redis_group.url))
    assert await failover_problem(redis_group.url) == (
        f"the primary 127.0.0.1:{primary.port} has no replica"
    )
    redis_group.add_replica()
    await eventually(lambda: _is_possible(redis_group.url))
    two_away = redis_group.url.replace("@", "@127.0.0.1:9,[::1]:9,127.0.0.1:10,")
    assert await failover_problem(two_away) == "3 of 6 Sentinels answer, which is no majority"


async def _is_possible(url: str) -> bool:
    return await failover_problem(url) is None
