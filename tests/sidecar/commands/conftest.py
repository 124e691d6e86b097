"""Running commands beside a PHP side that knows vendors."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
import structlog
from click.testing import CliRunner, Result

from sidecar import logs
from sidecar.commands.main import main
from tests import trust
from tests.sidecar.answering_php import Php
from tests.sidecar.commands.vendors import OTHER

RunBesidePhp = Callable[..., Coroutine[Any, Any, Result]]


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """How logging was set up; it is not, because that would be for good."""
    calls: list[tuple[str, ...]] = []
    monkeypatch.setattr(logs, "configure", lambda *arguments: calls.append(arguments))
    return calls


@pytest.fixture
def run_beside_php(
    redis_url: str, php: Php, own_environment: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RunBesidePhp]:
    """Run a command, which has an event loop of its own. Logging is as the commands set it up, but
    not for good."""
    monkeypatch.setattr(logs, "configure", lambda *arguments: None)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    php.add_vendor(OTHER)
    environment = {
        "SIDECAR_BACKEND_URL": php.url,
        "SIDECAR_SIGNING_KEYS": f"{trust.KEY_ID}:{trust.SIGNING_SECRET}",
        "SIDECAR_REDIS_URL": redis_url,
        "SIDECAR_CRON_SETTLE_S": "0",
    }

    async def run(*arguments: str, **more: str) -> Result:
        env = {**environment, **more}
        return await asyncio.to_thread(CliRunner().invoke, main, list(arguments), env=env)

    yield run
    structlog.reset_defaults()
