"""What is looked at before each step of a migration. tests/system checks a whole installation."""

from collections.abc import AsyncIterator

import pytest

from sidecar.commands.checks import deep
from sidecar.commands.checks.deep import Public, check_deep
from sidecar.commands.checks.line import Level, Line, ok
from sidecar.php.client import Backend, make_backend
from sidecar.redis.client import Redis, connect
from sidecar.settings import Settings
from tests.conftest import MakeSettings
from tests.sidecar.answering_php import Php, refusal


@pytest.fixture
def settings(make_settings: MakeSettings, php: Php) -> Settings:
    return make_settings(backend_url=php.url)


@pytest.fixture
async def backend(settings: Settings) -> AsyncIterator[Backend]:
    backend = make_backend(settings)
    yield backend
    await backend.close()


async def run(
    settings: Settings,
    redis: Redis | None = None,
    backend: Backend | None = None,
    public: Public | None = None,
) -> dict[str, Line]:
    lines = [line async for line in check_deep(settings, redis, backend, public)]
    found = {line.what: line for line in lines}
    assert len(found) == len(lines), "a thing stands there twice"
    return found


async def test_what_is_known_not_to_answer_is_not_asked(settings: Settings, php: Php) -> None:
    assert set(await run(settings)) == {"open files of this command"}
    assert php.calls == []


async def test_redis_its_clock_its_disk_and_who_runs(settings: Settings, redis: Redis) -> None:
    lines = await run(settings, redis)
    assert lines["clock of Redis"].level is Level.OK
    assert "redis disk" in lines
    assert lines["sidecar serve"].level is Level.FAIL, "it does not run"
    tokens = await redis.keys("check:*")
    assert len(tokens) == 1
    assert 0 < await redis.ttl(tokens[0]) < 600, "it goes by itself"


async def test_redis_goes_away_meanwhile(settings: Settings, backend: Backend) -> None:
    away = connect("redis://127.0.0.1:9/0", timeout_s=1.0)
    lines = await run(settings, away)
    assert lines["redis"].level is Level.FAIL
    assert "open files of this command" in lines, "the rest is looked at"
    await away.aclose()


async def test_a_php_that_is_too_old(settings: Settings, backend: Backend, php: Php) -> None:
    php.override = lambda call: refusal(404, "not_found")
    line = (await run(settings, backend=backend))["php's side"]
    assert line.level is Level.FAIL
    assert line.do is not None
    assert "update the Laravel package" in line.do


async def test_where_meta_posts(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str | None]] = []

    async def check_public(url: str, vendor_uid: str | None) -> AsyncIterator[Line]:
        asked.append((url, vendor_uid))
        yield ok("public", "answers")

    monkeypatch.setattr(deep, "check_public", check_public)
    lines = await run(settings, public=Public("https://example.org", "v-1"))
    assert lines["public"].level is Level.OK
    assert asked == [("https://example.org", "v-1")]
