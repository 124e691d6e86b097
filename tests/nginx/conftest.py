"""What the tests of nginx share."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from simulator.stack.nginx import Nginx, find_nginx
from tests.nginx.installation import Meta, Site, running_site
from tests.nginx.outage import Complete, make_complete
from tests.nginx.packages import require
from tests.nginx.stub import Stub


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Without nginx all tests here are skipped, and pytest tells it in one line."""
    require("nginx", find_nginx(), "nginx-light")


@pytest.fixture
async def sidecar() -> AsyncIterator[Stub]:
    """Something in the sidecar's place, which answers as it is told."""
    async with Stub() as stub:
        yield stub


@pytest.fixture
async def php() -> AsyncIterator[Stub]:
    """Something in PHP's place, which answers as it is told."""
    async with Stub() as stub:
        yield stub


@pytest.fixture
def nginx(tmp_path: Path, sidecar: Stub, php: Stub) -> Iterator[Nginx]:
    """nginx in front of the two stubs."""
    with Nginx(tmp_path / "nginx", sidecar=sidecar.address, php=php.address) as server:
        yield server


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def nginx_behind_balancer(tmp_path: Path, sidecar: Stub, php: Stub) -> Iterator[Nginx]:
    """As :func:`nginx`, with a load balancer in front that is this machine."""
    files = {
        "site.conf": {"#include sidecar/real-ip.conf": "include sidecar/real-ip.conf"},
        "sidecar/real-ip.conf": {"192.0.2.0/24": "127.0.0.1"},
    }
    folder = tmp_path / "nginx"
    with Nginx(folder, sidecar=sidecar.address, php=php.address, files=files) as server:
        yield server


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The installation, which the tests of outages share; each leaves everything running."""
    with running_site(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture
def meta(site: Site, client: aiohttp.ClientSession) -> Meta:
    return Meta(site.webhook_url, client)


@pytest.fixture
async def complete(site: Site, meta: Meta) -> Complete:
    """See :func:`tests.nginx.outage.make_complete`."""
    return await make_complete(site, meta)
