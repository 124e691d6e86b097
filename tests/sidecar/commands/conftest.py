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
from tests.contract.embedded import EmbeddedBackend
from tests.contract.under_test import Campaign
from tests.sidecar.answering_php import Php
from tests.sidecar.commands.campaign_rows import TABLE, fail
from tests.sidecar.commands.vendors import OTHER

RunBesidePhp = Callable[..., Coroutine[Any, Any, Result]]
RunCampaigns = Callable[..., Result]


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


class _Backend(EmbeddedBackend):
    keys = {trust.KEY_ID: trust.SIGNING_SECRET.encode()}


@pytest.fixture(scope="module")
def embedded_php(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBackend]:
    """The embedded backend, a process."""
    with _Backend(tmp_path_factory.mktemp("backend")) as running:
        yield running


@pytest.fixture
def campaign(embedded_php: EmbeddedBackend) -> Campaign:
    """Of five rows two have failed, one is of unknown outcome, and two are queued."""
    embedded_php.delete(TABLE)
    campaign = embedded_php.seed_campaign(embedded_php.seed_vendor(), 5)
    for uid, code in zip(campaign.row_uids, (131026, 132015), strict=False):
        fail(embedded_php, uid, str(code))
    embedded_php.change(TABLE, {"status": 6}, _uid=campaign.row_uids[2])
    return campaign


@pytest.fixture
def run_campaigns(embedded_php: EmbeddedBackend, redis_url: str) -> RunCampaigns:
    """Run ``sidecar campaigns`` with these arguments, an answer to its question, and settings."""
    environment = {
        "SIDECAR_BACKEND_URL": embedded_php.base_url,
        "SIDECAR_SIGNING_KEYS": f"{trust.KEY_ID}:{trust.SIGNING_SECRET}",
        "SIDECAR_REDIS_URL": redis_url,
    }

    def run_campaigns(*arguments: str, answer: str | None = None, **more: str) -> Result:
        env = {**environment, **more}
        return CliRunner().invoke(main, ["campaigns", *arguments], env=env, input=answer)

    return run_campaigns
