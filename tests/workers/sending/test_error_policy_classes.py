"""What an error does to the rest of the work, end to end, for each class: told by an answer, and by
a status while the campaign goes on."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any, cast

import orjson
import pytest

from contracts.jobs import Lane
from sidecar.php.client import Backend
from sidecar.redis import keys
from sidecar.sending.halts import Halts
from sidecar.sending.pauses import Pauses
from simulator.cloud_api.fault import FaultKind
from simulator.cloud_api.message import Message
from simulator.cloud_api.request import SendRequest
from tests.eventually import eventually
from tests.workers.conftest import MakeLane, MakeStage
from tests.workers.lane import LaneUnderTest
from tests.workers.payloads import account, change, envelope, status
from tests.workers.stage import Stage

pytestmark = pytest.mark.usefixtures("short_pauses")

MakeOther = Callable[[Stage], Awaitable[Stage]]


@pytest.fixture
async def stage(make_stage: MakeStage) -> Stage:
    """A campaign that takes some seconds."""
    return await make_stage(150, rate=50, campaign_error_streak=3)


@pytest.fixture
def statuses(make_lane: MakeLane, real_backend: Backend, stage: Stage) -> LaneUnderTest:
    """The lane of statuses, in front of the same PHP."""
    lane = make_lane(Lane.STATUSES, real_backend, campaign_error_streak=3)
    lane.configs[stage.vendor.uid] = stage.config
    return lane


@pytest.fixture
async def make_other() -> AsyncIterator[MakeOther]:
    """Make further campaigns of a vendor."""
    made: list[Stage] = []

    async def make(stage: Stage) -> Stage:
        campaign = stage.embedded.seed_campaign(stage.vendor, 5)
        made.append(replace(stage, campaign=campaign))
        return made[-1]

    yield make
    for one in made:
        await one.cloud_api.close()


def webhook_of(stage: Stage, message: Message, code: int) -> bytes:
    """Return the webhook that says that a message has failed."""
    update = status(
        message.wamid,
        "failed",
        message.callback_data,
        recipient_id=message.to.removeprefix("+"),
        timestamp=str(int(time.time())),
        errors=[{"code": code, "title": f"error {code}"}],
    )
    metadata = {"phone_number_id": stage.vendor.phone_number_ids[0]}
    value = {"messaging_product": "whatsapp", "metadata": metadata, "statuses": [update]}
    id_ = stage.vendor.business_account_id
    return orjson.dumps(envelope(account(change(value), id_=id_)))


async def tell(stage: Stage, statuses: LaneUnderTest, *codes: int) -> None:
    """Have the first messages that were sent fail with these codes."""
    messages = stage.cloud.engine.ledger.messages
    bodies = [webhook_of(stage, messages[n], code) for n, code in enumerate(codes)]
    await statuses.receive(*bodies, vendor=stage.vendor.uid)
    await statuses.drain_when_it_may()


async def while_it_runs(stage: Stage, statuses: LaneUnderTest, *codes: int) -> None:
    """Send, have messages fail meanwhile, and wait for the end of the run."""
    run = asyncio.create_task(stage.run())
    await eventually(lambda: len(stage.accepts()) >= 5)
    await tell(stage, statuses, *codes)
    await run
    assert len(stage.accepts()) < 150, "it went on as if nothing had happened"
    assert not stage.statuses()[3]


def reason(stage: Stage) -> str:
    """Return why PHP shows the campaign as paused."""
    assert stage.campaign_data()["state"] == "paused"
    found: str = stage.campaign_data()["reason"]
    return found


async def try_again(stage: Stage) -> None:
    """Do what the call to resume a campaign does to Redis, and have PHP know."""
    await Pauses(stage.redis).lift(await Pauses(stage.redis).all())
    await stage.redis.delete(keys.halt(stage.campaign.uid))
    stage.embedded.change("campaigns", {"__data.sidecar.state": "running"}, _uid=stage.campaign.uid)


# -- pause the number, or the account --


@pytest.mark.parametrize(("code", "scope"), [(131048, "number"), (131031, "account")])
async def test_the_vendors_other_campaigns_send_nothing_either(
    stage: Stage, make_other: MakeOther, code: int, scope: str
) -> None:
    stage.fault(FaultKind.ERROR, code=code, times=1)
    await stage.run()
    assert reason(stage).startswith(str(code))
    sent = len(stage.accepts())
    other = await make_other(stage)
    await other.run()
    assert len(stage.accepts()) == sent
    assert other.statuses() == {1: 5}
    by = f"is paused for all its vendors, by a message of {stage.vendor.uid}: {code}"
    assert reason(other).startswith(f"{scope} ")
    assert by in reason(other)
    await try_again(other)
    await other.run_to_the_end()
    assert other.all_accepted()


async def test_if_the_fault_stands_all_is_paused_again(stage: Stage, make_other: MakeOther) -> None:
    stage.fault(FaultKind.ERROR, code=131042)
    await stage.run()
    await try_again(stage)
    assert not await Pauses(stage.redis).all()
    await stage.run()
    [paused] = await Pauses(stage.redis).all()
    assert (paused.scope, paused.code) == ("account", 131042)
    assert reason(stage).startswith("131042")
    assert stage.statuses() == {1: 150}
    assert {row["retries"] for row in stage.queue()} == {0}


async def test_another_account_goes_on(stage: Stage, make_other: MakeOther) -> None:
    stage.fault(FaultKind.ERROR, code=131042, times=1)
    await stage.run()
    other = await make_other(stage)
    other.other_account = "another"
    await other.run()
    assert other.all_accepted()


@pytest.mark.parametrize("code", [131048, 131042])
async def test_a_status_pauses_what_is_being_sent(
    stage: Stage, statuses: LaneUnderTest, code: int
) -> None:
    await while_it_runs(stage, statuses, code)
    assert str(code) in reason(stage)
    assert len(await Pauses(stage.redis).all()) == 1


# -- stop the campaign --


@pytest.mark.parametrize("codes", [(132015,), (131053, 131053, 131053)])
async def test_a_status_stops_the_campaign(
    stage: Stage, statuses: LaneUnderTest, make_other: MakeOther, codes: tuple[int, ...]
) -> None:
    await while_it_runs(stage, statuses, *codes)
    assert str(codes[0]) in reason(stage)
    assert not await Pauses(stage.redis).all()
    other = await make_other(stage)
    await other.run()
    assert other.all_accepted()


async def test_a_campaign_that_is_not_being_sent_is_stopped_too(
    stage: Stage, statuses: LaneUnderTest
) -> None:
    stage.stopping = True
    stage.rate = 1000
    await _some_accepted(stage, 5)
    await tell(stage, statuses, 132015)
    assert await stage.listed()
    stage.stopping = False
    await stage.run()
    assert reason(stage) == "132015 error 132015"
    assert not await stage.listed()


async def _some_accepted(stage: Stage, count: int, *, refused: int = 0) -> None:
    stage.stopping = False
    run = asyncio.create_task(stage.run())
    await eventually(lambda: len(stage.accepts()) >= count)
    # A busy machine sends the first rows last, if they were too late for their slots.
    await eventually(lambda: stage.cloud.engine.faults.hits.get("error", 0) >= refused)
    stage.stopping = True
    await run


async def test_answers_in_a_row_are_counted_over_several_runs(make_stage: MakeStage) -> None:
    stage = await make_stage(2, campaign_error_streak=3)
    stage.fault(FaultKind.ERROR, code=131009)
    await stage.run()
    assert stage.campaign_data().get("state") != "paused"
    row = stage.embedded.rows("whatsapp_message_queue", campaigns__id=stage.campaign.id)[0]
    stage.embedded.change("whatsapp_message_queue", {"status": 1}, _uid=row["_uid"])
    await stage.run()
    assert reason(stage).startswith("3 errors in a row, the last one: 131009")


async def test_a_failure_that_the_answer_has_told_counts_once(
    stage: Stage, statuses: LaneUnderTest
) -> None:
    stage.fault(FaultKind.ERROR, code=131009, times=2)
    await _some_accepted(stage, 5, refused=2)
    failed = [row for row in stage.queue() if row["status"] == 2]
    assert len(failed) == 2
    [sent, *_] = stage.cloud.engine.ledger.messages
    for n, row in enumerate(failed * 3):
        request = SendRequest(sent.to, sent.wa_id, None)
        request.callback_data = row["_uid"]
        told = Message(f"wamid.never.{n}", sent.number, request)
        await statuses.receive(webhook_of(stage, told, 131009), vendor=stage.vendor.uid)
    await statuses.drain()
    assert not await stage.redis.exists(keys.errors(stage.campaign.uid, "status"))
    assert await Halts(stage.redis).find(stage.campaign.uid) is None


# -- suppress a recipient --


async def send_to(stage: Stage, recipient: str) -> dict[str, Any]:
    """Send a campaign that has this recipient too; return what PHP has of its row."""
    await stage.run()
    assert stage.statuses() == {4: 4, 2: 1}
    uid = stage.campaign.row_uids[stage.campaign.recipients.index(recipient)]
    assert stage.status_of(uid) == 2
    return stage.process_response(uid)


@pytest.mark.parametrize("code", [131050, 131026, 130403])
async def test_a_recipient_that_was_refused_is_not_tried_again(
    stage: Stage, make_other: MakeOther, code: int
) -> None:
    to = stage.campaign.recipients[0]
    stage.fault(FaultKind.ERROR, code=code, to=to)
    await _some_accepted(stage, 5, refused=1)
    calls = stage.cloud.engine.faults.hits["error"]
    stage.stopping = False
    other = await make_other(stage)
    response = await send_to(other, to)
    assert stage.cloud.engine.faults.hits["error"] == calls, "it was not asked again"
    assert response["error_status"] == str(code)
    assert response["error_message"].startswith("not sent: the recipient had this error on ")


async def test_a_recipient_of_which_a_status_tells(
    stage: Stage, statuses: LaneUnderTest, make_other: MakeOther
) -> None:
    await _some_accepted(stage, 5)
    await tell(stage, statuses, 131050)
    to = stage.cloud.engine.ledger.messages[0].to.removeprefix("+")
    stage.stopping = False
    response = await send_to(await make_other(stage), to)
    assert response["error_status"] == "131050"


async def test_nobody_is_suppressed_where_that_is_off(make_stage: MakeStage) -> None:
    stage = await make_stage(3, suppress_s=0)
    stage.fault(FaultKind.ERROR, code=131050, times=1)
    await stage.run()
    assert not await stage.redis.keys("suppressed:*")


async def test_everybody_of_a_campaign_is_suppressed(make_stage: MakeStage) -> None:
    stage = await make_stage(6)
    for to in stage.campaign.recipients:
        value = orjson.dumps({"code": 131026, "message": "undeliverable", "at": 0})
        await stage.redis.set(keys.suppressed(stage.vendor.uid, to), value)
    await stage.run_to_the_end()
    assert stage.statuses() == {2: 6}
    assert not stage.accepts()


# -- a campaign that rests --


@pytest.mark.parametrize(("code", "seconds"), [(134101, 600), (132069, 3600)])
async def test_a_campaign_rests_as_a_whole(stage: Stage, code: int, seconds: int) -> None:
    stage.fault(FaultKind.ERROR, code=code, times=1)
    assert await stage.run() is False
    sent = len(stage.accepts())
    assert sent < 150
    assert stage.statuses() == {**({4: sent} if sent else {}), 1: 150 - sent}
    assert {row["retries"] for row in stage.queue()} == {0}
    wait_ms = await stage.redis.pttl(keys.wait(stage.campaign.uid))
    assert 0 < seconds * 1000 - wait_ms < 10_000
    assert await stage.listed()
    assert stage.campaign_data().get("state") != "paused"
    await stage.run()
    assert len(stage.accepts()) == sent, "it rests"
    await stage.redis.delete(keys.wait(stage.campaign.uid))
    stage.rate = 1000
    await stage.run_to_the_end()
    assert stage.all_accepted()


async def test_a_status_has_the_campaign_rest(stage: Stage, statuses: LaneUnderTest) -> None:
    await while_it_runs(stage, statuses, 134101)
    waits = await stage.redis.get(keys.wait(stage.campaign.uid))
    assert isinstance(waits, bytes)
    assert waits.startswith(b"134101 error 134101; a template that is new")
    assert await stage.listed()


# -- slow the number, hold a recipient --


async def test_a_status_slows_the_number(stage: Stage, statuses: LaneUnderTest) -> None:
    await _some_accepted(stage, 5)
    await tell(stage, statuses, 130429)
    number = keys.number(stage.vendor.phone_number_ids[0])
    assert await stage.redis.hget(number, "reason") == b"130429 error 130429"
    assert await stage.redis.hexists(number, "ceiling")


async def test_a_status_holds_a_recipient(stage: Stage, statuses: LaneUnderTest) -> None:
    await _some_accepted(stage, 5)
    to = stage.cloud.engine.ledger.messages[0].to.removeprefix("+")
    pair = keys.pair(stage.vendor.phone_number_ids[0], to)
    await stage.redis.delete(pair)
    await tell(stage, statuses, 131056)
    held = cast("bytes | None", await stage.redis.get(pair))
    assert held is not None
    assert held.startswith(b"0."), "no burst counts"
