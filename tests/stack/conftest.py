"""One stack that this folder's tests share, on vendors of their own."""

import copy
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from contracts.backend import QueueStatus
from simulator.backend.seed_bots import SeedBot
from simulator.stack.engines import HOST_ROUTINE
from simulator.stack.nginx import Nginx
from tests.contract.caller import Caller
from tests.contract.laravel import LaravelBackend
from tests.contract.under_test import Campaign, Vendor
from tests.stack.called_sidecar import CalledSidecar, called_sidecar
from tests.stack.cloud_api import CloudApi, cloud_api
from tests.stack.hosts import another_application
from tests.stack.packages import require_stack, wanted

#: Where the stack cannot be started, test_packages.py alone says so.
collect_ignore = (
    []
    if wanted()
    else [
        file.name
        for file in Path(__file__).parent.glob("test_*.py")
        if file.stem != "test_packages"
    ]
)


@pytest.fixture(scope="session")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LaravelBackend]:
    require_stack()
    with LaravelBackend(tmp_path_factory.mktemp("laravel")) as running:
        yield running
        assert running.refused_statements() == []


@pytest.fixture
async def caller(backend: LaravelBackend) -> AsyncIterator[Caller]:
    async with aiohttp.ClientSession() as session:
        yield Caller(backend, session)


@pytest.fixture
def vendor(backend: LaravelBackend) -> Vendor:
    return backend.seed_vendor()


@pytest.fixture
def campaign(backend: LaravelBackend, vendor: Vendor) -> Campaign:
    return backend.seed_campaign(vendor, 3)


@pytest.fixture
def sidecar() -> Iterator[CalledSidecar]:
    with called_sidecar() as sidecar:
        yield sidecar


@pytest.fixture
def bot(backend: LaravelBackend, vendor: Vendor) -> str:
    (uid,) = backend.seed_bots(vendor, SeedBot("is", "hi", "Hello."))
    return uid


@pytest.fixture(scope="session")
def routine(backend: LaravelBackend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """The application once more, whose own routine handles customers' messages."""
    folder = tmp_path_factory.mktemp("host")
    with another_application(backend, folder, HOST_ROUTINE, workers=4) as nginx:
        yield nginx


@pytest.fixture
async def host(backend: LaravelBackend, routine: Nginx) -> AsyncIterator[Caller]:
    """Calls that application."""
    async with aiohttp.ClientSession() as session:
        behind_it = copy.copy(backend)
        behind_it.base_url = routine.internal_url
        yield Caller(behind_it, session)


@pytest.fixture
def api() -> Iterator[CloudApi]:
    with cloud_api() as api:
        yield api


@pytest.fixture
def nothing_due(backend: LaravelBackend) -> None:
    """The crons take the oldest rows of all: those of other tests would keep them busy."""
    backend.change("whatsapp_message_queue", {"status": QueueStatus.ERROR})
    backend.delete("whatsapp_webhook_queue")
