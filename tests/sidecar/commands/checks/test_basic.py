"""What is always checked: settings, Redis, PHP and the signature."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import ResponseError

from sidecar.commands.checks import basic
from sidecar.commands.checks.basic import (
    DRAMATIQ,
    NOBODY,
    check_backend,
    check_redis,
    check_settings,
    read_config,
)
from sidecar.commands.checks.line import Level, Line
from sidecar.php.client import make_backend
from sidecar.redis.client import Redis, connect
from sidecar.settings import Settings
from simulator.redis_server import RedisServer
from tests.conftest import MakeSettings
from tests.sidecar.answering_php import Php, json_answer, refusal


async def by_name(lines: AsyncIterator[Line]) -> dict[str, Line]:
    return {line.what: line async for line in lines}


# -- settings --


@pytest.mark.parametrize(
    ("app_secrets", "levels"), [(["secret"], [Level.OK]), ([], [Level.OK, Level.WARN])]
)
def test_without_app_secrets_each_vendor_needs_one(
    make_settings: MakeSettings, app_secrets: list[str], levels: list[Level]
) -> None:
    settings = make_settings(app_secrets=app_secrets)
    assert [line.level for line in check_settings(settings)] == levels


# -- Redis --


async def test_a_redis_as_it_should_be(redis: Redis) -> None:
    lines = await by_name(check_redis(redis, redis))
    for name in ("redis", "dramatiq's database", "redis appendonly", "redis appendfsync"):
        assert lines[name].level is Level.OK, name
    assert "a write took" in lines["redis"].detail


async def test_one_that_may_lose_what_it_has_acknowledged(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {"appendonly": "no", "appendfsync": "everysec", "maxmemory-policy": "allkeys-lru"}

    async def read(_redis: Redis, name: str) -> str | None:
        return found.get(name)

    monkeypatch.setattr(basic, "read_config", read)
    lines = await by_name(check_redis(redis, redis))
    for name, value in found.items():
        line = lines[f"redis {name}"]
        assert line.level is Level.FAIL
        assert line.detail.startswith(f"is {value}: ")
        assert line.do is not None


async def test_one_that_refuses_config(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(_redis: Redis, _name: str) -> str | None:
        raise ResponseError("unknown command 'CONFIG'")

    monkeypatch.setattr(basic, "read_config", refuse)
    lines = await by_name(check_redis(redis, redis))
    assert lines["redis"].level is Level.OK
    assert lines["redis appendonly"].level is Level.WARN


async def test_nobody_answers(redis: Redis) -> None:
    away = connect("redis://127.0.0.1:9/0", timeout_s=1.0)
    lines = await by_name(check_redis(away, redis))
    assert {name: line.level for name, line in lines.items()} == {
        "redis": Level.FAIL,
        DRAMATIQ: Level.OK,
    }
    lines = await by_name(check_redis(redis, away))
    assert (lines["redis"].level, lines[DRAMATIQ].level) == (Level.OK, Level.FAIL)
    assert "dramatiq_redis_url" in (lines[DRAMATIQ].do or "")
    await away.aclose()


async def test_a_full_one(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        client = connect(server.url, timeout_s=5.0)
        await client.config_set("maxmemory", "1")
        lines = await by_name(check_redis(client, client))
        await client.aclose()
    for what in ("redis", DRAMATIQ):
        assert lines[what].level is Level.FAIL
        assert lines[what].detail.startswith("is full: ")
        assert "maxmemory" in (lines[what].do or "")


async def test_a_setting_of_rediss_own(redis: Redis) -> None:
    assert await read_config(redis, "appendonly") == "yes"
    assert await read_config(redis, "no-such-thing") is None


# -- PHP --


@pytest.fixture
def settings(make_settings: MakeSettings, php: Php) -> Settings:
    return make_settings(backend_url=php.url)


async def check_php(settings: Settings) -> dict[str, Line]:
    backend = make_backend(settings)
    try:
        return await by_name(check_backend(backend, settings))
    finally:
        await backend.close()


async def test_php_accepts_a_call_that_concerns_nobody(settings: Settings, php: Php) -> None:
    lines = await check_php(settings)
    assert {name: line.level for name, line in lines.items()} == {
        "backend": Level.OK,
        "signature": Level.OK,
    }
    [call] = php.calls
    assert call.json == {"vendor_uids": [NOBODY]}


@pytest.mark.parametrize(
    ("status", "code", "what"),
    [(401, "signature_invalid", "signature"), (503, "overloaded", "backend")],
)
async def test_php_refuses_or_fails(
    settings: Settings, php: Php, status: int, code: str, what: str
) -> None:
    php.override = lambda call: refusal(status, code)
    lines = await check_php(settings)
    assert {name: line.level for name, line in lines.items()} == {what: Level.FAIL}


async def test_php_is_in_maintenance(settings: Settings, php: Php) -> None:
    php.override = lambda call: refusal(503, "maintenance")
    line = (await check_php(settings))["backend"]
    assert "the application is in maintenance" in line.detail
    assert "php artisan up" in (line.do or "")


async def test_php_is_away(settings: Settings, php: Php) -> None:
    await php.stop()
    lines = await check_php(settings)
    assert lines["backend"].level is Level.FAIL
    assert lines["backend"].do is not None


async def test_what_answers_does_not_know_who_exists(settings: Settings, php: Php) -> None:
    empty: dict[str, Any] = {"vendors": [], "unknown": []}
    php.override = lambda call: json_answer(empty)
    assert (await check_php(settings))["contract"].level is Level.WARN
