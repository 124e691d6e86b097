"""The backend that the contract is checked against, and what the tests use to reach it."""

from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest

from tests.contract.caller import Caller
from tests.contract.embedded import EmbeddedBackend
from tests.contract.laravel import LaravelBackend
from tests.contract.under_test import BackendUnderTest, Campaign, Vendor
from tests.stack.packages import require_stack, wanted

#: Laravel is not collected where it cannot be started.
BACKENDS = ["embedded", "laravel"] if wanted() else ["embedded"]


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BackendUnderTest]:
    with EmbeddedBackend(tmp_path_factory.mktemp("embedded-backend")) as running:
        yield running


@pytest.fixture(scope="session")
def laravel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BackendUnderTest]:
    require_stack()
    with LaravelBackend(tmp_path_factory.mktemp("laravel")) as running:
        yield running
        assert running.refused_statements() == []


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> BackendUnderTest:
    """A running backend. Tests share it, and keep apart by vendors of their own."""
    running: BackendUnderTest = request.getfixturevalue(request.param)
    return running


@pytest.fixture
async def caller(backend: BackendUnderTest) -> AsyncIterator[Caller]:
    async with aiohttp.ClientSession() as session:
        yield Caller(backend, session)


@pytest.fixture
def vendor(backend: BackendUnderTest) -> Vendor:
    return backend.seed_vendor()


@pytest.fixture
def campaign(backend: BackendUnderTest, vendor: Vendor) -> Campaign:
    """A campaign with three rows that are due."""
    return backend.seed_campaign(vendor, 3)
