"""A campaign whose marks must be on a replica, which comes and goes."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from sidecar.redis.client import Redis, connect
from sidecar.redis.replicas import Replicas, with_replicas
from simulator.redis_pair import RedisPair
from tests.conftest import MakeSettings
from tests.eventually import eventually
from tests.workers.conftest import MakeStage
from tests.workers.stage import Stage

pytestmark = pytest.mark.usefixtures("short_pauses")


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[RedisPair]:
    with RedisPair(tmp_path / "pair") as pair:
        yield pair


@pytest.fixture
async def writer(
    pair: RedisPair, make_settings: MakeSettings
) -> AsyncIterator[tuple[Redis, Replicas]]:
    settings = make_settings(
        redis_url=pair.primary.url, redis_replicas_in_sync=1, redis_replicas_timeout_ms=200
    )
    async with aclosing(connect(pair.primary.url, timeout_s=5.0)) as redis:
        replicas = with_replicas(redis, settings)
        assert replicas is not None
        yield redis, replicas
        await replicas.close()


@pytest.fixture
def redis(writer: tuple[Redis, Replicas]) -> Redis:
    return writer[0]


@pytest.fixture
def replicas(writer: tuple[Redis, Replicas]) -> Replicas:
    return writer[1]


async def test_a_campaign_with_a_replica(stage: Stage) -> None:
    assert await stage.run() is False
    assert stage.all_accepted()
    stage.assert_settled()


async def test_nothing_is_claimed_without_it(
    stage: Stage, pair: RedisPair, replicas: Replicas
) -> None:
    pair.replica.suspend()
    sending = asyncio.create_task(stage.run_to_the_end())
    await eventually(lambda: replicas.missing)
    assert stage.accepts() == {}
    assert stage.statuses() == {1: len(stage.campaign.row_uids)}
    pair.replica.resume()
    await sending
    assert stage.all_accepted()
    stage.assert_settled()


async def test_nothing_more_is_sent_when_it_goes(
    make_stage: MakeStage, pair: RedisPair, replicas: Replicas
) -> None:
    stage = await make_stage(60, rate=60.0)
    sending = asyncio.create_task(stage.run_to_the_end())
    await eventually(lambda: len(stage.accepts()) >= 10)
    pair.replica.suspend()
    await eventually(lambda: replicas.missing)
    await asyncio.sleep(0.3)  # what was marked before has its slot
    sent = len(stage.accepts())
    await asyncio.sleep(0.7)
    assert len(stage.accepts()) == sent < 60
    pair.replica.resume()
    await sending
    assert stage.all_accepted()
    stage.assert_settled()


async def test_what_was_marked_and_not_sent_goes_back(
    make_stage: MakeStage, pair: RedisPair
) -> None:
    """The worker ends meanwhile: no row is left as being sent, nor claimed."""
    stage = await make_stage(60, rate=60.0)
    async with stage.held() as lease:
        sending = asyncio.create_task(stage.make_run(lease).run())
        await eventually(lambda: len(stage.accepts()) >= 10)
        pair.replica.suspend()
        await asyncio.sleep(0.5)
        stage.stopping = True
        await sending
    sent = len(stage.accepts())
    assert stage.statuses() == {1: 60 - sent, 4: sent}
    assert await stage.ledger.empty()
    pair.replica.resume()
    stage.stopping = False
    await stage.run_to_the_end()
    assert stage.all_accepted()
    stage.assert_settled()
