"""A PHP side, and the application in front of it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from click.testing import CliRunner, Result

from sidecar import logs
from sidecar.commands.main import main
from tests import trust
from tests.conftest import MakeSettings
from tests.sidecar.answering_php import Php
from tests.sidecar.service import VENDOR, Service, running

MakeService = Callable[..., Awaitable[Service]]
RunCommand = Callable[..., Result]


@pytest.fixture
async def php() -> AsyncIterator[Php]:
    """A PHP side that knows one vendor, who has no app secret of its own."""
    php = Php()
    php.add_vendor(VENDOR)
    await php.start()
    yield php
    await php.stop()
    assert php.problems == []


@pytest.fixture
async def make_service(
    make_settings: MakeSettings, redis_url: str, php: Php
) -> AsyncIterator[MakeService]:
    """Start the application, in front of ``php``, with these settings."""
    async with AsyncExitStack() as stack:

        async def make(**overrides: object) -> Service:
            url = str(overrides.pop("redis_url", redis_url))
            settings = make_settings(**{"backend_url": php.url, **overrides})
            return await stack.enter_async_context(running(settings, url))

        yield make


@pytest.fixture
async def service(make_service: MakeService) -> Service:
    """The application with the settings of the tests."""
    return await make_service()


@pytest.fixture
def run_command(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> RunCommand:
    """Run a command of ``sidecar`` that looks into Redis, with a PHP that is not there. Logging
    stays as it is."""
    monkeypatch.setattr(logs, "configure", lambda *arguments: None)
    environment = {
        "SIDECAR_BACKEND_URL": "http://127.0.0.1:9",
        "SIDECAR_SIGNING_KEYS": f"{trust.KEY_ID}:{trust.SIGNING_SECRET}",
        "SIDECAR_REDIS_URL": redis_url,
    }
    return lambda *arguments: CliRunner().invoke(main, list(arguments), env=environment)
