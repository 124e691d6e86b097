"""Sentinels and the servers behind them, as they should be and as they should not."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import pytest

from sidecar.commands.checks.line import Level, Line
from sidecar.commands.checks.sentinels import (
    WHAT,
    Server,
    check_sentinels,
    judge_quorum,
    judge_sentinels,
    judge_server,
)
from sidecar.redis.sentinel import Sighting
from sidecar.url import next_database
from simulator.redis_group import RedisGroup

SEEN = [
    Sighting(f"10.0.0.{number}:26379", "10.0.0.1:6379", 1, False, 2, 3, ("10.0.0.2:6379",))
    for number in (1, 2, 3)
]
GOOD: dict[str, str | None] = {
    "appendonly": "yes",
    "appendfsync": "always",
    "maxmemory-policy": "noeviction",
    "min-replicas-to-write": "1",
    "min-replicas-max-lag": "10",
}


def all_with(**changes: Any) -> list[Sighting]:
    return [replace(one, **changes) for one in SEEN]


@pytest.mark.parametrize(
    ("seen", "silent", "level", "what"),
    [
        (SEEN, (), Level.OK, "3 of 3 answer; 10.0.0.1:6379 is the primary, replicas: 1"),
        (SEEN[:2], ("10.0.0.3:26379",), Level.WARN, "2 of 3 answer; "),
        (SEEN[:1], ("a", "b"), Level.FAIL, "1 of 3 Sentinels answer, which is no majority; a: "),
        ([], ("a", "b", "c"), Level.FAIL, "0 of 3 Sentinels answer, "),
        (all_with(replicas=()), (), Level.FAIL, "the primary 10.0.0.1:6379 has no replica"),
        ([*SEEN[1:], replace(SEEN[0], primary="b:1")], (), Level.WARN, "3 of 3 answer; 10.0.0.1"),
    ],
)
def test_sentinels(seen: list[Sighting], silent: tuple[str, ...], level: Level, what: str) -> None:
    line = judge_sentinels(seen, dict.fromkeys(silent, "refused"))
    assert line.level is level
    assert line.detail.startswith(what)
    assert (line.do is None) is (level is Level.OK)
    assert all(f"{one}: refused" in line.detail for one in silent)


@pytest.mark.parametrize(
    ("sentinels", "quorum", "level"),
    [
        (3, 2, Level.OK),
        (5, 3, Level.OK),
        (5, 2, Level.OK),
        (2, 2, Level.WARN),
        (1, 1, Level.WARN),
        (3, 1, Level.WARN),
        (3, 3, Level.WARN),
    ],
)
def test_the_quorum(sentinels: int, quorum: int, level: Level) -> None:
    [line] = judge_quorum(all_with(sentinels=sentinels, quorum=quorum))
    assert line.level is level


@pytest.mark.parametrize(
    ("settings", "level", "what"),
    [
        ({}, Level.OK, "durable"),
        ({"appendonly": "no"}, Level.FAIL, "appendonly is no: "),
        ({"appendfsync": "everysec"}, Level.FAIL, "appendfsync is everysec: "),
        ({"maxmemory-policy": "allkeys-lru"}, Level.FAIL, "maxmemory-policy is allkeys-lru: "),
        ({"min-replicas-to-write": "0"}, Level.WARN, "as a primary that is cut off"),
        ({"min-replicas-to-write": None}, Level.WARN, "as a primary that is cut off"),
        ({"min-replicas-max-lag": "0"}, Level.WARN, "as a primary that is cut off"),
        ({"min-replicas-max-lag": "60"}, Level.WARN, "as a primary that is cut off"),
    ],
)
def test_a_server(settings: dict[str, str | None], level: Level, what: str) -> None:
    server = Server("10.0.0.2:6379", GOOD | settings)
    line = judge_server(server, in_sync=False)
    assert line.level is level
    in_sync = judge_server(server, in_sync=True)
    assert in_sync.level is (Level.OK if level is Level.WARN else level), "it refuses by itself"
    assert line.what == "redis 10.0.0.2:6379"
    assert line.detail.startswith(what)


async def lines_of(*urls: str, deep: bool = True) -> dict[str, Line]:
    found = [line async for line in check_sentinels(urls, deep=deep)]
    by_name = {line.what: line for line in found}
    assert len(by_name) == len(found)
    return by_name


@contextmanager
def configured(group: RedisGroup, **settings: Any) -> Iterator[None]:
    """Set settings of all servers that are up for a block."""
    named = {name.replace("_", "-"): value for name, value in settings.items()}
    with ExitStack() as stack:
        for server in (one for one in group.servers.values() if one.running):
            client = stack.enter_context(group.client(server))
            for name, value in named.items():
                before: Any = client.config_get(name)
                stack.callback(client.config_set, name, before[name])
                client.config_set(name, value)
        yield


async def test_a_group(redis_group: RedisGroup) -> None:
    urls = (redis_group.url, next_database(redis_group.url))
    primary = redis_group.primary.port
    [replica] = [s.port for s in redis_group.servers.values() if s.running and s.port != primary]
    assert set(await lines_of(*urls, deep=False)) == {WHAT}
    with configured(redis_group, min_replicas_to_write=1):
        lines = await lines_of(*urls)
    assert {name: line.level.value for name, line in lines.items()} == dict.fromkeys(
        [WHAT, "sentinel quorum", f"redis 127.0.0.1:{primary}", f"redis 127.0.0.1:{replica}"], "OK"
    )
    assert lines[WHAT].detail.endswith(f"127.0.0.1:{primary} is the primary, replicas: 1")
    with configured(redis_group, appendfsync="everysec"):
        lines = await lines_of(*urls)
    assert lines[f"redis 127.0.0.1:{replica}"].level is Level.FAIL


async def test_sentinels_that_do_not_answer(redis_group: RedisGroup) -> None:
    """And what they say is out of reach."""
    url = redis_group.url.replace("@127.0.0.1:", "@127.0.0.1:9,127.0.0.1:", 1)
    assert (await lines_of(url, deep=False))[WHAT].level is Level.WARN
    [line] = (await lines_of("sentinel://127.0.0.1:9/mymaster")).values()
    assert line.level is Level.FAIL
    wrong = redis_group.url.replace("sentinel://:", "sentinel://:not-")
    lines = await lines_of(wrong)
    port = redis_group.primary.port
    assert "invalid username-password" in lines[f"redis 127.0.0.1:{port}"].detail


async def test_an_ordinary_address(redis_url: str) -> None:
    assert await lines_of(redis_url, "unix:///run/valkey.sock") == {}
