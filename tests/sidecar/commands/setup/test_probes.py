"""What is at the addresses: a PHP side, a Redis, a sidecar."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis as blocking_redis
from pytest_httpserver import HTTPServer

from contracts import backend as contract
from sidecar.commands.setup import probes
from sidecar.commands.setup.probes import Php, probe_php, probe_redis, serves
from sidecar.url import next_database
from simulator.ports import free_ports
from simulator.redis_server import RedisServer

REFUSED = '{"error": {"code": "signature_missing", "message": "sign it"}}'


@pytest.fixture(scope="module")
def running() -> Iterator[HTTPServer]:
    with HTTPServer() as server:
        yield server


@pytest.fixture
def web(running: HTTPServer) -> HTTPServer:
    running.clear()
    return running


@pytest.mark.parametrize(
    ("status", "body", "expected", "level"),
    [
        (401, REFUSED, Php.PACKAGE, "OK"),
        (401, "Unauthorized", Php.OTHER, "WARN"),
        (404, REFUSED, Php.OTHER, "WARN"),
        (503, '{"error": {"code": "maintenance"}}', Php.OTHER, "WARN"),
        (503, "busy", Php.OTHER, "WARN"),
        (200, "<html>", Php.OTHER, "WARN"),
    ],
)
async def test_php(web: HTTPServer, status: int, body: str, expected: Php, level: str) -> None:
    web.expect_request(contract.VENDOR_CONFIG, method="POST").respond_with_data(body, status)
    found, line = await probe_php(web.url_for("").rstrip("/"))
    assert (found, line.level) == (expected, level)
    assert level == "OK" or line.do
    assert ("maintenance" in line.detail) is ("maintenance" in body)


async def test_no_php() -> None:
    [port] = free_ports(1)
    found, line = await probe_php(f"http://127.0.0.1:{port}")
    assert (found, line.level) == (Php.NOTHING, "WARN")
    assert "does not answer yet" in line.detail


async def lines(url: str) -> dict[str, tuple[str, str]]:
    return {line.what: (line.level, line.text) async for line in probe_redis(url)}


async def test_a_redis_that_does(redis_url: str) -> None:
    found = await lines(redis_url)
    assert {level for level, _ in found.values()} == {"OK"}
    assert {"redis", "redis version", "redis appendfsync", "redis maxmemory-policy"} <= set(found)


async def test_a_redis_that_does_not(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        with blocking_redis.Redis.from_url(server.url) as client:
            client.config_set("appendfsync", "everysec")
            client.config_set("maxmemory-policy", "allkeys-lru")
            client.config_set("requirepass", "hush")
        found = await lines(server.url)
        assert "Authentication required" in found["redis"][1]
        assert "redis version" not in found
        found = await lines(server.url.replace("redis://", "redis://:hush@"))
    failed = {what: text for what, (level, text) in found.items() if level == "FAIL"}
    assert set(failed) == {"redis appendfsync", "redis maxmemory-policy"}
    assert "set it to always" in failed["redis appendfsync"]


async def put(url: str, *names: str) -> None:
    with blocking_redis.Redis.from_url(url) as client:
        for name in names:
            client.set(name, 1)


@pytest.mark.parametrize(
    ("inbox", "dramatiq", "level"),
    [
        ((), (), "OK"),
        (("laravel_database_laravel_cache:x",), (), "WARN"),
        (("nonces:since", "count:v"), ("dramatiq:default",), "OK"),
        (("processes",), ("laravel_cache:x", "dramatiq:default"), "WARN"),
    ],
)
async def test_a_database_of_its_own(
    redis_url: str, inbox: tuple[str, ...], dramatiq: tuple[str, ...], level: str
) -> None:
    await put(redis_url, *inbox)
    await put(next_database(redis_url), *dramatiq)
    found, text = (await lines(redis_url))["redis database"]
    assert found == level
    assert ("php artisan cache:clear" in text) is (level == "WARN")


async def test_no_redis() -> None:
    found = await lines("redis://127.0.0.1:9/0")
    assert found["redis"][0] == "FAIL"
    assert "redis_url" in found["redis"][1]


async def test_a_redis_that_goes_away_meanwhile(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(client: object) -> None:
        raise blocking_redis.ConnectionError("gone")

    monkeypatch.setattr(probes, "read_redis", fail)
    assert (await lines(redis_url))["redis"] == (
        "FAIL",
        "FAIL  redis: gone; check that it runs, and that redis_url is right",
    )


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [(200, '{"status": "ok"}', True), (503, '{"status": "ok"}', False), (200, "hello", False)],
)
def test_whether_a_sidecar_runs(web: HTTPServer, status: int, body: str, expected: bool) -> None:
    web.expect_request("/healthz").respond_with_data(body, status)
    assert serves(web.port) is expected


def test_nobody_serves() -> None:
    [port] = free_ports(1)
    assert serves(port) is False
