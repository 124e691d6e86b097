"""The console in this process, with a PHP side and users."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from contracts.console import Role
from sidecar.http.app import create_app
from sidecar.http.front import Front
from sidecar.redis import keys
from sidecar.redis.client import Redis
from tests.conftest import MakeSettings
from tests.sidecar.answering_php import Php
from tests.sidecar.console.browser import USERS, Browser, browse

MakeBrowser = Callable[..., Awaitable[Browser]]


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
async def make_browser(
    make_settings: MakeSettings, redis_url: str, redis: Redis, php: Php, stack: AsyncExitStack
) -> MakeBrowser:
    """Start an application with these settings, and return a browser of it that is not signed
    in."""
    for user in USERS.values():
        await redis.hset(keys.CONSOLE_USERS, user.name, user.model_dump_json())

    async def make(**overrides: object) -> Browser:
        url = str(overrides.pop("redis_url", redis_url))
        settings = make_settings(**{"backend_url": php.url, "console": True, **overrides})
        app = create_app(settings, url)
        await stack.enter_async_context(app.router.lifespan_context(app))
        return await stack.enter_async_context(browse(app))

    return make


@pytest.fixture
async def browser(make_browser: MakeBrowser) -> Browser:
    """A browser that is not signed in."""
    return await make_browser()


@pytest.fixture
def app(browser: Browser) -> Front:
    """The application that all browsers of a test talk to."""
    return browser.app


@pytest.fixture
async def operator(app: Front, stack: AsyncExitStack) -> Browser:
    """A browser of somebody who may act."""
    return await (await stack.enter_async_context(browse(app))).sign_in(Role.OPERATE)


@pytest.fixture
async def viewer(app: Front, stack: AsyncExitStack) -> Browser:
    """A browser of somebody who may look only."""
    return await (await stack.enter_async_context(browse(app))).sign_in(Role.LOOK)
