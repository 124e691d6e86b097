"""The backend that the contract is checked against, and what the tests use to reach it."""

from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest

from tests.contract.caller import Caller
from tests.contract.embedded import EmbeddedBackend
from tests.contract.under_test import BackendUnderTest, Campaign, Vendor


@pytest.fixture(scope="session", params=["embedded"])
def backend(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BackendUnderTest]:
    """A running backend. Tests share it, and keep apart by vendors of their own."""
    assert request.param == "embedded"
    with EmbeddedBackend(tmp_path_factory.mktemp("embedded-backend")) as running:
        yield running


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
