"""What the tests of the sidecar and of the workers share: a real Valkey, and settings."""

import os
import random
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import dramatiq.brokers.redis
import hypothesis
import pytest
import redis as blocking_redis

from sidecar.redis.client import Redis, connect
from sidecar.settings import ENV_PREFIX, Settings
from simulator import warm
from simulator.redis_group import RedisGroup
from simulator.redis_server import RedisServer
from tests import trust
from tests.eventually import eventually as _eventually

# How long an example takes, or is drawn for, tells how busy the machine is.
hypothesis.settings.register_profile(
    "thorough", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
# For `make test`, which has twenty minutes. Other examples come with each run, so none is left out
# for good; ARGS="--hypothesis-profile thorough" takes twice as many.
hypothesis.settings.register_profile(
    "suite", hypothesis.settings.get_profile("thorough"), max_examples=50
)
# For `make test-fast`: the machine is not asked for the rare ones.
hypothesis.settings.register_profile(
    "fast", hypothesis.settings.get_profile("suite"), max_examples=20
)
hypothesis.settings.load_profile("suite")

# Hundreds of parts are started: each would load its libraries anew, for a second and more.
os.environ.setdefault(warm.SWITCH, "1")

MakeSettings = Callable[..., Settings]

#: Files that take minutes. They come first, so that no worker is left with one in the end.
LONG = (
    "tests/chaos/test_chaos.py",
    "tests/adversary/test_adversary.py",
    "tests/migration/test_rehearsal.py",
    "tests/system/",
    "tests/upgrade/",
)

#: What starts servers other than Valkey, as any test does that asks for OTHER_SERVERS.
SERVERS = (
    "tests/bench/test_short.py",
    "tests/adversary/",
    "tests/chaos/",
    "tests/contract/",
    "tests/deploy/",
    "tests/migration/",
    "tests/nginx/",
    "tests/parity/",
    "tests/sidecar/commands/test_check.py::test_as_a_process",
    "tests/sidecar/commands/test_init.py::test_at_a_terminal_it_asks_and_shows_no_secret",
    "tests/sidecar/http/test_serve.py",
    "tests/sidecar/redis/test_sentinel_tls.py",
    "tests/simulator/",
    "tests/stack/",
    "tests/system/",
    "tests/upgrade/",
    "tests/workers/inbox/test_deaths.py",
    "tests/workers/sending/test_limiter.py::test_processes_share_a_number",
    "tests/workers/sending/test_limiter_failover.py",
    "tests/workers/test_cutover_processes.py",
    "tests/workers/test_main.py",
)
OTHER_SERVERS = {"embedded_process", "embedded_php", "redis_group"}

#: What takes seconds for its size, which is the point of it.
SLOW = (
    "tests/contracts/test_arrows.py",
    "tests/sidecar/http/test_connection.py",
    "tests/workers/inbox/test_fairness.py::test_a_drain_that_dies_at_every_batch",
    "tests/workers/sending/test_limiter_adapting.py::test_a_storm_ends",
    "tests/workers/sending/test_limiter_adapting.py::test_it_finds_what_the_api_allows",
    "tests/workers/sending/test_limiter_fairness.py",
    "tests/workers/test_memory.py",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.startswith(LONG))
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        if item.nodeid.startswith(SERVERS) or OTHER_SERVERS.intersection(fixtures):
            item.add_marker("servers")
        if item.nodeid.startswith(SLOW):
            item.add_marker("slow")


@pytest.fixture(scope="session", autouse=True)
def random_numbers_of_dramatiqs_own() -> Iterator[None]:
    """Its brokers draw one for each command, in threads. When that fell into a strategy of
    Hypothesis, it was taken for the strategy's doing, which is an error."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dramatiq.brokers.redis, "random", random.Random())
        yield


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Valkey that all tests share, as durable as the embedded one. Whoever changes its
    configuration, pauses or kills it starts one of their own."""
    with RedisServer(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture(scope="session")
def redis_group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisGroup]:
    """A primary and a replica, watched by Sentinels, that all tests share. Who takes the primary
    away leaves another one with a replica."""
    with RedisGroup(tmp_path_factory.mktemp("group")) as group:
        yield group


@pytest.fixture
def redis_url(valkey: RedisServer) -> str:
    """The address of database 0. All databases are empty."""
    with blocking_redis.Redis.from_url(valkey.url) as client:
        client.flushall()
    return valkey.url


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """A client of :func:`redis_url`, as the sidecar and the workers use it."""
    client = connect(redis_url, timeout_s=5.0)
    try:
        yield client
    finally:
        await client.aclose()


@pytest.fixture
def own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No ``SIDECAR_*`` variable, and a working directory without ``sidecar.toml``."""
    for variable in [name for name in os.environ if name.startswith(ENV_PREFIX)]:
        monkeypatch.delenv(variable)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def make_settings(own_environment: None, tmp_path: Path) -> MakeSettings:
    """Make settings that are valid and know nothing of this machine; give any of them by name.
    ``redis_url`` is not set."""

    def make(**overrides: Any) -> Settings:
        values: dict[str, Any] = {
            "backend_url": "http://127.0.0.1:9",
            "cloud_api_url": "http://127.0.0.1:9",
            "signing_keys": {trust.KEY_ID: trust.SIGNING_SECRET},
            "app_secrets": [trust.APP_SECRET],
            "data_dir": tmp_path / "var",
            # A busy machine may take so long, and nothing is refused or left out for it.
            "inbox_write_timeout_ms": 5000,
            "bots_wait_ms": 2000,
        }
        return Settings.load(**{**values, **overrides})

    return make


@pytest.fixture
def eventually() -> Callable[..., Any]:
    """:func:`tests.eventually.eventually`, for those who prefer not to import it."""
    return _eventually
