"""Whether Redis's replicas have what is written, as processes and Redis say."""

from dataclasses import replace
from pathlib import Path

import pytest

from sidecar.ops.problem import Code
from sidecar.ops.processes import Process
from sidecar.ops.replicas import lacking, replicas
from sidecar.ops.snapshot import Observer, Overview
from sidecar.redis.client import Redis, connect
from simulator.redis_pair import RedisPair
from tests.conftest import MakeSettings
from tests.eventually import eventually


@pytest.fixture
async def overview(redis: Redis) -> Overview:
    return await Observer(redis).read()


def seen(overview: Overview, there: int, *said: str | None, age_s: float = 0.0) -> Overview:
    processes = [
        Process(str(number), "serve", "h", 1, 0, heartbeat_age_s=age_s, replicas=one)
        for number, one in enumerate(said)
    ]
    return replace(overview, redis=replace(overview.redis, replicas=there), processes=processes)


@pytest.mark.parametrize(
    ("wanted", "there", "said", "reason"),
    [
        (0, 0, [], None),
        (0, 0, ["of before it was switched off"], None),
        (1, 1, [None], None),
        (1, 2, [], None),
        (1, 0, [], "0 of 1 keep up"),
        (2, 1, [None], "1 of 2 keep up"),
        (1, 1, [None, "its disk is slow"], "its disk is slow"),
        (1, 0, ["its disk is slow"], "its disk is slow"),
    ],
)
async def test_why_too_few_have_it(
    overview: Overview,
    make_settings: MakeSettings,
    wanted: int,
    there: int,
    said: list[str | None],
    reason: str | None,
) -> None:
    settings = make_settings(redis_url="redis://r", redis_replicas_in_sync=wanted)
    assert lacking(seen(overview, there, *said), settings) == reason
    assert len(list(replicas(seen(overview, there, *said), settings))) == (reason is not None)


async def test_a_dead_process_says_nothing(overview: Overview, make_settings: MakeSettings) -> None:
    settings = make_settings(redis_url="redis://r", redis_replicas_in_sync=1)
    assert lacking(seen(overview, 1, "its disk is slow", age_s=60), settings) is None


@pytest.mark.parametrize(
    ("missing", "says"), [("refuse", "nothing is sent"), ("go_on", "may be lost")]
)
async def test_what_a_person_is_told(
    overview: Overview, make_settings: MakeSettings, missing: str, says: str
) -> None:
    settings = make_settings(
        redis_url="redis://r", redis_replicas_in_sync=1, redis_replicas_missing=missing
    )
    [problem] = replicas(seen(overview, 0), settings)
    assert problem.code is Code.REDIS_REPLICAS_MISSING
    assert "0 of 1 keep up" in problem.what
    assert says in problem.what


async def test_how_many_keep_up(tmp_path: Path) -> None:
    with RedisPair(tmp_path) as pair:
        async with connect(pair.primary.url, timeout_s=5.0) as redis:

            async def keep_up() -> int:
                return (await Observer(redis).read()).redis.replicas

            async def lacks() -> bool:
                return await keep_up() == 0

            assert await keep_up() == 1
            pair.replica.suspend()
            await eventually(lacks)
            pair.replica.resume()
            await eventually(keep_up)
            pair.replica.kill()
            await eventually(lacks)
