"""When a campaign ends, and what its successor does about what was left."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from contracts import backend as contract
from contracts.backend import ErrorCode, SendError, SendOutcome, SendResult
from sidecar.clock import now_ms
from sidecar.redis import keys
from sidecar.sending.campaigns import campaign_lease
from simulator.cloud_api.fault import FaultKind
from tests.eventually import eventually
from tests.workers.conftest import MakeStage
from tests.workers.php import refusal
from tests.workers.rows import claimed_row, have_asked, have_claimed, state_of
from tests.workers.stage import Stage
from workers.sending.halt import CampaignHalt
from workers.sending.ledger import Ledger
from workers.sending.send_queue import ClaimedSend

pytestmark = pytest.mark.usefixtures("short_pauses")


# -- being stopped --


@pytest.mark.parametrize("state", ["paused", "cancelled"])
async def test_a_halt_takes_effect_at_once(make_stage: MakeStage, state: str) -> None:
    stage = await make_stage(200, rate=80)
    run = asyncio.create_task(stage.run())
    await eventually(lambda: len(stage.accepts()) > 10)
    await stage.halt(state)
    in_flight = set((await state_of(stage.ledger)).sending)
    sent = set(stage.accepts())
    assert await run is False
    assert set(stage.accepts()) <= sent | in_flight, "nothing more was begun"
    statuses = stage.statuses()
    assert statuses[3] == statuses[6] == 0
    assert statuses[4] == len(stage.accepts())
    assert statuses[1] == 200 - statuses[4]
    assert await stage.ledger.empty()
    assert not await stage.listed()


async def test_php_is_told_of_a_halt_that_the_sidecar_could_not_tell_it_of(
    make_stage: MakeStage,
) -> None:
    stage = await make_stage(200, rate=80)
    run = asyncio.create_task(stage.run())
    await eventually(lambda: len(stage.accepts()) > 10)
    await stage.halt(php_knows=False)
    assert await run is False
    told = [call.json for call in stage.php.to(contract.RELEASE_MESSAGES)]
    states = [(call["campaign_state"], call["reason"]) for call in told if "campaign_state" in call]
    assert states == [("paused", "by hand")]
    assert not await stage.listed()


async def test_a_halted_campaign_is_not_begun(stage: Stage) -> None:
    await stage.halt()
    assert await stage.run() is False
    assert stage.statuses() == {1: 12}
    assert not stage.php.to(contract.CLAIM_MESSAGES)
    assert not await stage.listed()


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (409, ErrorCode.CAMPAIGN_PAUSED),
        (409, ErrorCode.CAMPAIGN_CANCELLED),
        (404, ErrorCode.CAMPAIGN_UNKNOWN),
    ],
)
async def test_php_says_that_it_is_not_to_be_sent(
    stage: Stage, status: int, code: ErrorCode
) -> None:
    stage.php.always(contract.CLAIM_MESSAGES, refusal(status, code))
    assert await stage.run() is False
    assert not await stage.listed()
    assert stage.statuses() == {1: 12}


async def test_somebody_newer_has_it_and_it_stays_on_the_list(stage: Stage) -> None:
    """The list is the newer holder's: without it, nobody would come after it if it died."""
    refused = refusal(409, ErrorCode.FENCE_STALE)
    stage.php.always(contract.CLAIM_MESSAGES, refused)
    await stage.run()
    assert await stage.listed()


async def test_a_campaign_that_is_deleted_in_the_middle_is_forgotten(
    make_stage: MakeStage,
) -> None:
    stage = await make_stage(200, rate=80)
    run = asyncio.create_task(stage.run())
    await eventually(lambda: len(stage.accepts()) > 10)
    stage.embedded.delete("whatsapp_message_queue", campaigns__id=stage.campaign.id)
    stage.embedded.delete("campaigns", _id=stage.campaign.id)
    await run
    await stage.run_to_the_end()
    assert await stage.ledger.empty()


async def test_the_process_wants_to_end(make_stage: MakeStage) -> None:
    stage = await make_stage(200, rate=20)
    run = asyncio.create_task(stage.run())
    await eventually(lambda: len(stage.accepts()) > 5)
    stage.stopping = True
    assert await run is False
    statuses = stage.statuses()
    assert statuses == {4: len(stage.accepts()), 1: 200 - len(stage.accepts())}
    assert await stage.ledger.empty()
    assert await stage.listed(), "somebody else is to go on with it"


async def test_the_process_wants_to_end_when_everything_is_claimed(make_stage: MakeStage) -> None:
    """What goes back is due again, so the campaign is not finished."""
    stage = await make_stage(60, rate=5, claim_s=20)
    run = asyncio.create_task(stage.run())
    await eventually(lambda: len(stage.accepts()) > 2)
    stage.stopping = True
    await run
    assert stage.statuses()[1] > 0
    assert await stage.listed()


async def test_a_send_under_way_is_waited_for(make_stage: MakeStage) -> None:
    stage = await make_stage(1)
    stage.fault(FaultKind.SLOW, seconds=0.4)
    run = asyncio.create_task(stage.run())
    await eventually(lambda: len(stage.accepts()) == 1)
    stage.stopping = True
    await run
    assert stage.all_accepted()


async def test_rows_go_back_while_a_send_is_waited_for(
    make_stage: MakeStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = asyncio.Event()
    monkeypatch.setattr("simulator.cloud_api.send.is_still_there", lambda *_: answer.wait())
    stage = await make_stage(100, rate=10, claim_s=10)
    stage.fault(FaultKind.SLOW)
    run = asyncio.create_task(stage.run())
    await eventually(lambda: len(stage.accepts()) > 0)
    stage.stopping = True
    await eventually(lambda: stage.statuses()[1] >= 80)
    assert not run.done()
    assert stage.statuses()[3] > 0
    answer.set()
    await run
    assert stage.statuses()[3] == 0


async def test_a_holder_that_has_lost_the_campaign_leaves_the_new_ones_ledger_alone(
    make_stage: MakeStage,
) -> None:
    """Its rows it gives back all the same: if Redis was wiped, nobody else knows of them."""
    stage = await make_stage(60, rate=5, claim_s=20)  # all in one claim: none comes in between
    async with stage.held() as lease:
        run = asyncio.create_task(stage.make_run(lease).run())
        await eventually(lambda: len(stage.accepts()) > 2)
        await stage.redis.set(lease.key, lease.token + 1)
        theirs: dict[Any, Any] = dict.fromkeys(
            (await state_of(stage.ledger)).claimed, "s:theirs:110"
        )
        await stage.redis.hset(keys.ledger(stage.campaign.uid), mapping=theirs)
        await run
    state = await state_of(stage.ledger)
    assert set(theirs) <= set(state.sending)
    assert not state.claimed
    assert stage.statuses()[3] == 0
    await stage.redis.flushall()  # the rows of the other one never were


# -- what an earlier holder has left --


def unknown(stage: Stage, uid: str, outcome: SendOutcome) -> SendResult:
    return SendResult(
        uid=uid,
        vendor_uid=stage.vendor.uid,
        campaign_uid=stage.campaign.uid,
        claim_uid="old",
        outcome=outcome,
        at=now_ms(),
        phone_number_id=stage.vendor.phone_number_ids[0],
        error=SendError(code=None, message="a test"),
    )


async def claim(stage: Stage, uids: list[str], claim_uid: str = "old") -> None:
    """Have rows in status 3 under a claim."""
    for uid in uids:
        stage.embedded.change(
            "whatsapp_message_queue",
            {"status": 3, "__data.sidecar": {"claim": {"uid": claim_uid, "fence": 1, "at": 1}}},
            _uid=uid,
        )


async def test_leftovers_are_settled_each_as_it_stands(stage: Stage) -> None:
    claimed, sending, known, opened = (
        list(stage.campaign.row_uids[n : n + 2]) for n in range(0, 8, 2)
    )
    await claim(stage, [*claimed, *sending, *known])
    await claim(stage, opened, "open")
    await have_claimed(stage.ledger, "old", [*claimed, *sending, *known])
    number = stage.vendor.phone_number_ids[0]
    async with stage.held() as lease:
        rows = [ClaimedSend(claimed_row(uid), "old") for uid in sending]
        await stage.ledger.begin(lease, [(row, number) for row in rows])
    await stage.ledger.known([unknown(stage, uid, SendOutcome.FAILED) for uid in known])
    await have_asked(stage.ledger, "open")
    await stage.run_to_the_end()
    assert [stage.status_of(uid) for uid in sending] == [6, 6]
    assert [stage.status_of(uid) for uid in known] == [2, 2]
    assert [stage.status_of(uid) for uid in [*claimed, *opened]] == [4] * 4
    assert set(stage.accepts()) == set(stage.campaign.row_uids) - set(sending) - set(known)
    assert await stage.ledger.empty()
    stage.assert_settled()


@pytest.fixture
def taken_over(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Callable[[type, str], None]:
    """Have somebody else take the campaign when a method has returned."""

    def take(of: type, name: str) -> None:
        method = getattr(of, name)

        async def call(*args: Any, **more: Any) -> Any:
            answer = await method(*args, **more)
            await stage.redis.set(keys.lease(campaign_lease(stage.campaign.uid)), 0)
            return answer

        monkeypatch.setattr(of, name, call)

    return take


async def test_whoever_was_late_does_not_take_the_campaign_off_the_list(
    stage: Stage, taken_over: Callable[[type, str], None]
) -> None:
    taken_over(Ledger, "empty")
    await stage.run()
    assert stage.all_accepted()
    assert await stage.listed()


async def test_whoever_was_late_does_not_have_the_campaign_wait(
    stage: Stage, taken_over: Callable[[type, str], None]
) -> None:
    stage.more_config["active"] = False
    taken_over(CampaignHalt, "stands")
    await stage.run()
    assert not await stage.redis.exists(keys.wait(stage.campaign.uid))


async def test_whoever_was_late_settles_nothing(
    stage: Stage, taken_over: Callable[[type, str], None]
) -> None:
    await have_asked(stage.ledger, "open")
    taken_over(Ledger, "open_claims")
    assert not await stage.run()
    assert stage.statuses() == {1: 12}
    assert await stage.ledger.open_claims() == ["open"]


async def test_leftovers_are_settled_also_when_the_campaign_is_halted(stage: Stage) -> None:
    first = stage.campaign.row_uids[0]
    await claim(stage, [first])
    await have_claimed(stage.ledger, "old", [first])
    await stage.halt()
    await stage.run()
    assert stage.statuses() == {1: 12}
    assert await stage.ledger.empty()


async def test_an_unknown_outcome_of_an_old_claim_does_not_touch_a_new_one(
    stage: Stage,
) -> None:
    """The row was given back and claimed by somebody else meanwhile."""
    first = stage.campaign.row_uids[0]
    await claim(stage, [first], "new")
    await have_claimed(stage.ledger, "old", [first])
    await stage.ledger.known([unknown(stage, first, SendOutcome.UNKNOWN)])
    await stage.run()
    assert stage.status_of(first) == 3
