"""The console in this process, with a PHP side, and somebody who is signed in."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import httpx
import pytest

from contracts.console import Role
from sidecar.console.users import Users
from sidecar.http.app import create_app
from sidecar.redis.client import Redis
from tests.conftest import MakeSettings
from tests.sidecar.answering_php import Php
from tests.sidecar.console.browser import PASSWORDS, Browser

MakeBrowser = Callable[..., Awaitable[Browser]]


@pytest.fixture
async def make_browser(
    make_settings: MakeSettings, redis_url: str, redis: Redis, php: Php
) -> AsyncIterator[MakeBrowser]:
    """Start an application with these settings, and return a browser of it that is not signed
    in."""
    async with AsyncExitStack() as stack:

        async def make(**overrides: object) -> Browser:
            url = str(overrides.pop("redis_url", redis_url))
            settings = make_settings(**{"backend_url": php.url, "console": True, **overrides})
            app = create_app(settings, url)
            await stack.enter_async_context(app.router.lifespan_context(app))
            client = httpx.AsyncClient(
                transport=httpx.ASGITransport(app), base_url="http://sidecar"
            )
            return Browser(await stack.enter_async_context(client), app)

        for role, password in PASSWORDS.items():
            await Users(redis).put(f"{role}-user", role, password)
        yield make


@pytest.fixture
async def browser(make_browser: MakeBrowser) -> Browser:
    """A browser that is not signed in."""
    return await make_browser()


@pytest.fixture
async def operator(browser: Browser) -> Browser:
    """A browser of somebody who may act."""
    return await browser.sign_in(Role.OPERATE)


@pytest.fixture
async def viewer(browser: Browser) -> Browser:
    """A browser of somebody who may look only."""
    return await browser.sign_in(Role.LOOK)
