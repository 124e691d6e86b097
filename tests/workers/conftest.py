"""Fixtures of the workers' tests, beside those that all tests share."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest

from contracts.jobs import Lane
from sidecar.inbox.partitions import drain_lease
from sidecar.php.breaker import Breaker
from sidecar.php.client import Backend
from sidecar.redis.client import Redis
from sidecar.redis.lease import Lease, Leases
from sidecar.sending.campaigns import campaign_lease
from tests import trust
from tests.conftest import MakeSettings
from tests.contract.embedded import EmbeddedBackend
from tests.workers import php as php_side
from tests.workers.lane import LaneUnderTest
from tests.workers.moving import Moving, following
from tests.workers.payloads import VENDOR
from tests.workers.php import Php
from tests.workers.rows import CAMPAIGN
from tests.workers.stage import RATE, Stage, cloud_for
from tests.workers.stored_webhooks import TABLE, Stored
from workers.inbox.delivery import Delivery
from workers.sending import holds
from workers.sending.cloud_api import CloudApi
from workers.sending.ledger import Ledger

MakeLane = Callable[..., LaneUnderTest]
MakeStage = Callable[..., Awaitable[Stage]]
MakeApi = Callable[..., CloudApi]


@pytest.fixture
def leases(redis: Redis) -> Leases:
    return Leases(redis, 10_000)


@pytest.fixture
async def drain_lease_held(leases: Leases) -> AsyncIterator[Lease]:
    """The lease of the lane of statuses."""
    async with leases.hold(drain_lease(Lane.STATUSES)) as lease:
        assert lease is not None
        yield lease


@pytest.fixture
async def php() -> AsyncIterator[Php]:
    """A PHP side that says of everything that it is done, until it is told otherwise."""
    async with php_side.running() as running:
        yield running


@pytest.fixture
async def backend(php: Php) -> AsyncIterator[Backend]:
    """The workers' client of :func:`php`."""
    backend = php_side.client(php.url)
    yield backend
    await backend.close()


@pytest.fixture
async def make_lane(
    redis: Redis, leases: Leases, backend: Backend, make_settings: MakeSettings
) -> AsyncIterator[MakeLane]:
    """Make lanes. At the end of the test the accounting of each must balance."""
    lanes: list[LaneUnderTest] = []

    def make(lane: Lane, to: Backend = backend, **settings: Any) -> LaneUnderTest:
        values = {"status_wait_ms": 0, "update_retry_first_ms": 10_000, **settings}
        lanes.append(LaneUnderTest(lane, make_settings(**values), redis, leases, to))
        return lanes[-1]

    yield make
    for lane in lanes:
        await lane.assert_balanced()


@pytest.fixture
def messages(make_lane: MakeLane) -> LaneUnderTest:
    return make_lane(Lane.MESSAGES)


@pytest.fixture
def statuses(make_lane: MakeLane) -> LaneUnderTest:
    return make_lane(Lane.STATUSES)


class RealBackend(EmbeddedBackend):
    keys = {trust.KEY_ID: trust.SIGNING_SECRET.encode()}


@pytest.fixture(scope="session")
def embedded_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBackend]:
    with RealBackend(tmp_path_factory.mktemp("backend")) as running:
        yield running


@pytest.fixture
def embedded(embedded_process: EmbeddedBackend) -> Iterator[EmbeddedBackend]:
    """The embedded backend. Tests share it, and keep apart by vendors of their own; no test
    leaves rows behind that are due."""
    yield embedded_process
    embedded_process.cure()
    embedded_process.delete("whatsapp_message_queue")


@pytest.fixture
async def real_php(embedded: EmbeddedBackend) -> AsyncIterator[Php]:
    """The embedded backend, behind a PHP side that fails on demand."""
    async with php_side.running(embedded.base_url) as running:
        yield running


@pytest.fixture
async def real_backend(real_php: Php) -> AsyncIterator[Backend]:
    """The workers' client of :func:`real_php`."""
    backend = php_side.client(real_php.url)
    yield backend
    await backend.close()


@pytest.fixture
async def campaign_lease_held(leases: Leases) -> AsyncIterator[Lease]:
    """The lease of the campaign of :mod:`tests.workers.rows`."""
    async with leases.hold(campaign_lease(CAMPAIGN)) as lease:
        assert lease is not None
        yield lease


@pytest.fixture
def ledger(redis: Redis) -> Ledger:
    return Ledger(redis, CAMPAIGN, VENDOR)


@pytest.fixture
async def make_stage(
    embedded: EmbeddedBackend,
    real_php: Php,
    real_backend: Backend,
    redis: Redis,
    make_settings: MakeSettings,
) -> AsyncIterator[MakeStage]:
    """Make campaigns to send. At the end of the test no message may have been sent twice, and the
    accounting must balance."""
    async with AsyncExitStack() as stack:

        async def make(
            messages: int = 12,
            *,
            rate: float = RATE,
            numbers: int = 1,
            cloud: dict[str, Any] | None = None,
            from_phone_number_id: str | None = None,
            **settings: Any,
        ) -> Stage:
            vendor = embedded.seed_vendor(numbers=numbers, messages_per_second=rate)
            campaign = embedded.seed_campaign(
                vendor, messages, from_phone_number_id=from_phone_number_id
            )
            stage = Stage(
                embedded,
                real_php,
                real_backend,
                redis,
                await stack.enter_async_context(cloud_for(vendor, **(cloud or {}))),
                vendor,
                campaign,
                make_settings(**{"result_wait_ms": 10, "backend_timeout_s": 10, **settings}),
                rate,
            )
            stack.push_async_callback(stage.cloud_api.close)
            stack.callback(stage.assert_nothing_sent_twice)
            stack.push_async_callback(stage.assert_balanced)
            return stage

        yield make


@pytest.fixture
async def stage(make_stage: MakeStage) -> Stage:
    """A campaign of twelve messages, at a rate that needs no patience."""
    return await make_stage()


@pytest.fixture
async def moving(make_stage: MakeStage) -> AsyncIterator[Moving]:
    """A campaign of a second, whose vendor may be moved."""
    async with following(await make_stage(40, rate=40, claim_s=0.5)) as moving:
        yield moving


@pytest.fixture
def delivery(backend: Backend) -> Delivery:
    return Delivery(backend, Breaker("php.failing"))


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A campaign's pauses, which are held to their lengths elsewhere."""
    monkeypatch.setitem(holds.PAUSES, 130429, replace(holds.THROTTLED, first_s=0.03))
    unreachable = replace(holds.UNREACHABLE, first_s=0.05, longest_s=0.05)
    monkeypatch.setattr("workers.sending.error_policy.UNREACHABLE", unreachable)
    monkeypatch.setattr("workers.sending.campaign.NOTHING_CLAIMED_PAUSE_S", 0.01)


@pytest.fixture
async def make_api() -> AsyncIterator[MakeApi]:
    """Make clients of the Cloud API."""
    made: list[CloudApi] = []

    def make(url: str, timeout_s: float = 5.0) -> CloudApi:
        made.append(CloudApi(url, "v26.0", timeout_s=timeout_s))
        return made[-1]

    yield make
    for api in made:
        await api.close()


@pytest.fixture
async def stored(
    embedded: EmbeddedBackend, real_php: Php, real_backend: Backend, redis: Redis
) -> AsyncIterator[Stored]:
    """Webhooks that PHP has stored, none yet. At the end the accounting must balance."""
    embedded.delete(TABLE)
    yield (stored := Stored(embedded, real_php, real_backend, redis))
    embedded.delete(TABLE)
    await stored.assert_balanced()


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stored webhooks are taken over three at a time."""
    monkeypatch.setattr("workers.inbox.php_backlog.PAGE", 3)
