"""A campaign goes through an outage of the Cloud API, and costs a few rows at most."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from sidecar.redis import keys
from simulator.cloud_api.outage import Call, OutageShape, OutageSpec
from tests.eventually import eventually
from tests.workers.conftest import MakeStage
from tests.workers.stage import Stage
from workers.sending import limiter
from workers.sending.line_health import Tuning

pytestmark = pytest.mark.usefixtures("short_pauses", "quick")

ROWS = 80
#: Those in the window, and those of the probes that cost a row.
FEW = 16

#: Of these nobody can tell whether the message was sent.
UNKNOWN = [OutageShape.HTML_502, OutageShape.RESET_AFTER_READ, OutageShape.BLACK_HOLE]

During = Callable[[Stage], Awaitable[None]]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    tuning = Tuning(
        silence_s=0.5, first_s=0.1, longest_free_s=0.3, longest_paid_s=0.5, trial_s=0.5, ask_s=0.5
    )
    monkeypatch.setattr(limiter, "Tuning", lambda: tuning)
    monkeypatch.setattr("workers.sending.sender.SPARED_S", 0.2)


async def is_down(stage: Stage) -> bool:
    line = stage.vendor.phone_number_ids[0]
    return bool(await stage.redis.hexists(keys.outage(line), "since"))


async def run_until_settled(stage: Stage) -> None:
    """Run as often as the reconciler would, also for rows that fall due later."""

    async def settled() -> bool:
        await stage.run()
        return set(stage.statuses()) <= {4, 6}

    await eventually(settled)


async def sent_through(stage: Stage, spec: OutageSpec, during: During | None = None) -> None:
    """Send it through an outage that ends when it was noticed, and some probes have failed."""
    sending = asyncio.create_task(run_until_settled(stage))
    await eventually(lambda: len(stage.accepts()) >= 20)
    outages = stage.cloud.engine.outages
    outages.begin(spec)
    await eventually(lambda: is_down(stage))
    if during is not None:
        await during(stage)
    line = keys.outage(stage.vendor.phone_number_ids[0])

    async def probed() -> bool:
        return int(await stage.redis.hget(line, "failed") or 0) >= 2

    await eventually(probed)
    outages.end(None)
    await sending
    assert not await is_down(stage)


@pytest.mark.parametrize("shape", UNKNOWN)
async def test_few_rows_are_of_unknown_outcome(make_stage: MakeStage, shape: OutageShape) -> None:
    stage = await make_stage(ROWS, rate=200.0, send_timeout_s=1.5)
    await sent_through(stage, OutageSpec(shape=shape))
    statuses = stage.statuses()
    assert set(statuses) <= {4, 6}
    assert 0 < statuses[6] <= FEW


@pytest.mark.parametrize(
    ("shape", "of"),
    [
        (OutageShape.ERROR_131000, None),
        (OutageShape.ERROR_131000, [Call.MESSAGES]),
        (OutageShape.HTTP_503, None),
    ],
)
async def test_rows_that_certainly_did_not_go_out_are_sent(
    make_stage: MakeStage, shape: OutageShape, of: list[Call] | None
) -> None:
    """And nothing counts as a retry, whether or not the API answers what costs no row."""
    stage = await make_stage(ROWS, rate=200.0)
    await sent_through(stage, OutageSpec(shape=shape, of=of))
    assert stage.all_accepted()
    assert {row["retries"] for row in stage.queue()} == {0}


async def test_the_campaign_says_why_it_waits(make_stage: MakeStage) -> None:
    async def says(stage: Stage) -> None:
        blocked = await eventually(lambda: stage.redis.get(keys.blocked(stage.campaign.uid)))
        assert blocked.startswith(b"the Cloud API is down: ")

    stage = await make_stage(ROWS, rate=200.0)
    await sent_through(stage, OutageSpec(shape=OutageShape.HTTP_503), says)


async def test_a_slow_api_is_no_outage_for_ever(make_stage: MakeStage) -> None:
    """Its silence is taken for one at first, and its first answer ends that."""
    stage = await make_stage(20, rate=200.0)
    stage.cloud.engine.outages.begin(OutageSpec(shape=OutageShape.SLOW, answer_after_s=0.8))
    await stage.run_to_the_end()
    assert stage.all_accepted()
