"""What stops a campaign is taken by whoever is there: PHP, Redis, or both."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from contracts.backend import ErrorCode
from contracts.campaigns import CampaignAction, CampaignState
from sidecar.php.client import Backend, BackendUnavailable, make_backend
from sidecar.php.vendors import make_vendors
from sidecar.redis import keys
from sidecar.redis.client import Redis, RedisUnavailable, connect
from sidecar.sending.campaign_control import CampaignControl, CampaignRefused, PhpNotTold
from sidecar.sending.halts import Halt, Halts
from sidecar.settings import Settings
from simulator.redis_server import RedisServer
from tests.conftest import MakeSettings
from tests.eventually import eventually
from tests.sidecar.answering_php import Call, Php, refusal

VENDOR = "7d9c1a52-4b0e-4c57-9a3e-2f6b8c1d0e11"
UID = "5b1f0c1e-8d4c-4c39-9a55-0a1b2c3d4e5f"

PAUSE, CANCEL = CampaignAction.PAUSE, CampaignAction.CANCEL
STATES = {PAUSE: CampaignState.PAUSED, CANCEL: CampaignState.CANCELLED}
STOPS = pytest.mark.parametrize("stop", [PAUSE, CANCEL])


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis") as server:
        yield server


@pytest.fixture
async def redis(server: RedisServer) -> AsyncIterator[Redis]:
    client = connect(server.url, timeout_s=1.0)
    yield client
    await client.aclose()


@pytest.fixture
async def php() -> AsyncIterator[Php]:
    php = Php()
    php.add_vendor(VENDOR)
    php.add_campaign(UID, VENDOR)
    await php.start()
    yield php
    await php.stop()
    assert php.problems == []


@pytest.fixture
async def backend(make_settings: MakeSettings, php: Php) -> AsyncIterator[Backend]:
    backend = make_backend(make_settings(backend_url=php.url, backend_timeout_s=2))
    yield backend
    await backend.close()


@pytest.fixture
async def control(
    make_settings: MakeSettings, redis: Redis, backend: Backend
) -> AsyncIterator[CampaignControl]:
    settings: Settings = make_settings()
    vendors = make_vendors(settings, backend)
    control = CampaignControl(redis, backend, vendors)
    yield control
    await control.close()
    await vendors.close()


@STOPS
async def test_redis_is_away(
    server: RedisServer, redis: Redis, php: Php, control: CampaignControl, stop: CampaignAction
) -> None:
    server.kill()
    answer = await control.act(UID, stop, "wrong template")
    assert (answer.state, answer.reason) == (STATES[stop], "wrong template")
    assert answer.warning is not None
    assert "workers are told later" in answer.warning
    assert php.campaigns[UID]["state"] == STATES[stop]
    server.start()

    async def halted() -> bool:
        halt = await Halts(redis).find(UID)
        return halt is not None and halt.acknowledged_at is not None

    await eventually(halted)
    assert await Halts(redis).find(UID) is not None


async def test_what_was_resumed_meanwhile_is_not_stopped_when_redis_comes_back(
    server: RedisServer, redis: Redis, php: Php, control: CampaignControl
) -> None:
    server.kill()
    await control.act(UID, PAUSE)
    php.campaigns[UID]["state"] = "running"  # by another process
    server.start()
    await eventually(lambda: not control._late)
    assert await Halts(redis).find(UID) is None


@STOPS
async def test_redis_is_full(
    redis: Redis, php: Php, control: CampaignControl, stop: CampaignAction
) -> None:
    await redis.config_set("maxmemory", 1)
    answer = await control.act(UID, stop)
    assert (answer.state, answer.warning) == (STATES[stop], None)
    assert php.campaigns[UID]["state"] == STATES[stop]
    halt = await Halts(redis).find(UID)
    assert halt is not None
    assert (halt.state, halt.acknowledged_at is not None) == (STATES[stop], True)
    assert halt.by_person


@STOPS
async def test_php_is_away(
    redis: Redis, php: Php, control: CampaignControl, stop: CampaignAction
) -> None:
    await redis.hset(keys.CAMPAIGNS, UID, VENDOR)
    await php.stop()
    with pytest.raises(PhpNotTold):
        await control.act(UID, stop, "lunch")
    halt = await Halts(redis).find(UID)
    assert halt == Halt(STATES[stop], "lunch")
    assert halt.by_person


async def test_php_is_away_and_nobody_sends_the_campaign(
    redis: Redis, php: Php, control: CampaignControl
) -> None:
    await php.stop()
    with pytest.raises(BackendUnavailable) as raised:
        await control.act(UID, PAUSE)
    assert not isinstance(raised.value, PhpNotTold)
    assert await redis.dbsize() == 0


@STOPS
async def test_both_are_away(
    server: RedisServer, php: Php, control: CampaignControl, stop: CampaignAction
) -> None:
    await php.stop()
    server.kill()
    with pytest.raises(BackendUnavailable) as raised:
        await control.act(UID, stop)
    assert not isinstance(raised.value, PhpNotTold)


async def test_php_fails_after_it_has_shown_the_campaign(
    server: RedisServer, php: Php, control: CampaignControl
) -> None:
    """With Redis away, too, nothing is stopped, and that is what is said."""
    server.kill()
    php.override = lambda call: refusal(503, "overloaded") if "release" in call.target else None
    with pytest.raises(BackendUnavailable) as raised:
        await control.act(UID, PAUSE)
    assert not isinstance(raised.value, PhpNotTold)


async def test_a_campaign_that_was_cancelled_is_not_paused_without_php(
    redis: Redis, php: Php, control: CampaignControl
) -> None:
    await redis.hset(keys.CAMPAIGNS, UID, VENDOR)
    await php.stop()
    with pytest.raises(PhpNotTold):
        await control.act(UID, CANCEL)
    with pytest.raises(CampaignRefused) as raised:
        await control.act(UID, PAUSE)
    assert raised.value.code == ErrorCode.CAMPAIGN_CANCELLED
    assert await Halts(redis).find(UID) == Halt(CampaignState.CANCELLED)


async def test_what_was_to_be_stopped_and_is_sent_again_is_not_stopped_later(
    server: RedisServer, redis: Redis, php: Php, control: CampaignControl
) -> None:
    server.kill()
    await control.act(UID, PAUSE)
    server.start()
    answer = await control.act(UID, CampaignAction.RESUME)
    assert answer.state is CampaignState.RUNNING
    await eventually(lambda: not control._late)
    assert await Halts(redis).find(UID) is None


async def test_the_crons_go_on_and_redis_is_gone_before_the_halt_is_lifted(
    server: RedisServer, redis: Redis, php: Php, control: CampaignControl
) -> None:
    """Once it is back, the same again takes the halt away. Until then it stops nobody: PHP sends,
    and if the vendor comes to the sidecar, the reconciler lifts it."""
    await control.act(UID, PAUSE)
    php.campaigns[UID]["on_sidecar"] = False

    def kill(call: Call) -> None:
        if "release" in call.target:
            server.kill()

    php.override = kill
    with pytest.raises(RedisUnavailable):
        await control.act(UID, CampaignAction.RESUME)
    assert php.campaigns[UID]["state"] == "running"
    php.override = None
    server.start()
    assert await Halts(redis).find(UID) is not None
    answer = await control.act(UID, CampaignAction.RESUME)
    assert (answer.state, await Halts(redis).find(UID)) == (CampaignState.RUNNING, None)
