"""Whether a stranger who reaches Redis is let in."""

from collections.abc import AsyncIterator

import pytest

from sidecar.commands.checks.line import Level
from sidecar.commands.checks.redis_access import Access, judge_access, read_access
from sidecar.redis.client import Redis

OUTSIDE = {"bind": "* -::*", "port": "6379", "tls-port": "0", "protected-mode": "no"}


@pytest.mark.parametrize(
    ("settings", "is_open", "level", "words"),
    [
        ({}, True, Level.WARN, "needs no password at *, ::*"),
        ({"bind": ""}, True, Level.WARN, "at *:"),
        ({"bind": "127.0.0.1 192.0.2.7"}, True, Level.WARN, "at 192.0.2.7:"),
        ({"port": "0", "tls-port": "6380"}, True, Level.WARN, "needs no password"),
        ({"bind": "127.0.0.1 -::1"}, True, Level.OK, "this machine only"),
        ({"bind": "localhost"}, True, Level.OK, "this machine only"),
        ({"port": "0"}, True, Level.OK, "this machine only"),
        ({"protected-mode": "yes"}, True, Level.OK, "refuses other machines"),
        ({}, False, Level.OK, "needs a password"),
    ],
)
def test_what_is_said(settings: dict[str, str], is_open: bool, level: Level, words: str) -> None:
    line = judge_access(Access({**OUTSIDE, **settings}, is_open))
    assert line.level is level
    assert words in line.detail
    assert (line.do is not None) is (level is Level.WARN)


def test_a_redis_that_does_not_tell() -> None:
    line = judge_access(None)
    assert (line.level, "refuses CONFIG" in line.detail) == (Level.WARN, True)


# -- a real Redis --------------------------------------------------------------------------------


@pytest.fixture
async def server(redis: Redis) -> AsyncIterator[Redis]:
    """One whose settings the test may change."""
    yield redis
    await redis.config_set("requirepass", "")
    await redis.acl_setuser("default", enabled=True, nopass=True, categories=["+@all"])


async def test_as_it_is_found(server: Redis) -> None:
    access = await read_access(server)
    assert access is not None
    assert access.is_open
    assert {"bind", "port", "protected-mode"} <= access.settings.keys()


async def test_one_with_a_password(server: Redis) -> None:
    await server.config_set("requirepass", "a-password")
    access = await read_access(server)
    assert access is not None
    assert not access.is_open


async def test_one_that_refuses_config(server: Redis) -> None:
    await server.acl_setuser("managed", enabled=True, nopass=True, keys=["*"], commands=["+ping"])
    await server.execute_command("AUTH", "managed", "")  # type: ignore[no-untyped-call]
    try:
        assert await read_access(server) is None
    finally:
        await server.execute_command("AUTH", "default", "")  # type: ignore[no-untyped-call]
        await server.acl_deluser("managed")
