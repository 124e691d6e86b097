"""Replicas that must have a write: those that have, and those that have not."""

from collections.abc import Iterator
from contextlib import aclosing

import pytest

from sidecar.commands.checks.line import Line
from sidecar.commands.checks.replicas import check_replicas
from sidecar.redis.client import connect
from simulator.redis_pair import RedisPair, client
from tests.conftest import MakeSettings


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisPair]:
    with RedisPair(tmp_path_factory.mktemp("pair")) as pair:
        yield pair


async def lines(pair: RedisPair, make_settings: MakeSettings, count: int = 1) -> list[Line]:
    settings = make_settings(
        redis_url=pair.primary.url, redis_replicas_in_sync=count, redis_replicas_timeout_ms=100
    )
    async with aclosing(connect(pair.primary.url, timeout_s=2.0)) as redis:
        return [line async for line in check_replicas(redis, settings)]


async def test_nothing_is_said_where_none_must(
    pair: RedisPair, make_settings: MakeSettings
) -> None:
    assert await lines(pair, make_settings, 0) == []


async def test_they_have_it_on_disk(pair: RedisPair, make_settings: MakeSettings) -> None:
    [line] = await lines(pair, make_settings)
    assert line.level == "OK"
    assert "1 had a write on disk within" in line.detail


async def test_there_are_too_few(pair: RedisPair, make_settings: MakeSettings) -> None:
    [line] = await lines(pair, make_settings, 2)
    assert line.level == "FAIL"
    assert line.detail == "1 of 2 replicas had a write within 100 ms"


async def test_one_stands_still(pair: RedisPair, make_settings: MakeSettings) -> None:
    pair.replica.suspend()
    try:
        [line] = await lines(pair, make_settings)
    finally:
        pair.replica.resume()
    assert (line.level, line.detail) == ("FAIL", "0 of 1 replicas had a write within 100 ms")


async def test_a_primary_without_a_disk(pair: RedisPair, make_settings: MakeSettings) -> None:
    with client(pair.primary) as primary:
        primary.config_set("appendonly", "no")
        try:
            [line] = await lines(pair, make_settings)
        finally:
            primary.config_set("appendonly", "yes")
    assert line.level == "WARN"
    assert "in memory" in line.detail


async def test_it_is_away(make_settings: MakeSettings) -> None:
    settings = make_settings(redis_url="redis://127.0.0.1:9/0", redis_replicas_in_sync=1)
    async with aclosing(connect("redis://127.0.0.1:9/0", timeout_s=1.0)) as redis:
        [line] = [line async for line in check_replicas(redis, settings)]
    assert line.level == "FAIL"
