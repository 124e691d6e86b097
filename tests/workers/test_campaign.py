"""Sending a campaign: what becomes of its rows, and when it ends."""

import asyncio
import time
from typing import Any

import pytest

from contracts import backend as contract
from contracts.backend import ErrorCode, SendError, SendOutcome, SendResult
from simulator.cloud_api.fault import FaultKind
from tests.eventually import eventually
from tests.workers.conftest import MakeStage
from tests.workers.php import Answer, refusal
from tests.workers.rows import claimed_row
from tests.workers.stage import Stage
from workers import campaign as module
from workers import outcomes
from workers.clock import now_ms
from workers.rows import QueuedRow


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pauses are held to their lengths elsewhere."""
    monkeypatch.setattr(outcomes, "THROTTLED_FIRST_S", 0.05)
    monkeypatch.setattr(outcomes, "UNREACHABLE_PAUSE_S", 0.05)
    monkeypatch.setattr(module, "NOTHING_CLAIMED_PAUSE_S", 0.01)


def process_response(stage: Stage, row_uid: str) -> dict[str, Any]:
    [row] = stage.embedded.rows("whatsapp_message_queue", _uid=row_uid)
    found: dict[str, Any] = row["__data"]["process_response"]
    return found


def campaign_data(stage: Stage) -> dict[str, Any]:
    [row] = stage.embedded.rows("campaigns", _uid=stage.campaign.uid)
    found: dict[str, Any] = row["__data"]["sidecar"]
    return found


# -- the plain way --


async def test_every_row_is_sent_once_and_recorded(stage: Stage) -> None:
    assert await stage.run() is False
    assert stage.all_accepted()
    stage.assert_settled()
    assert sorted(stage.accepts()) == sorted(stage.campaign.row_uids)
    assert await stage.ledger.empty()
    assert not await stage.listed()


async def test_rows_are_sent_as_they_were_frozen(stage: Stage) -> None:
    await stage.run()
    sent = {message.callback_data: message.to for message in stage.cloud.engine.ledger.messages}
    wanted = zip(stage.campaign.row_uids, stage.campaign.recipients, strict=True)
    assert sent == {uid: f"+{to}" for uid, to in wanted}


async def test_a_campaign_larger_than_a_claim(make_stage: MakeStage) -> None:
    stage = await make_stage(70, rate=200, claim_s=0.1)
    await stage.run()
    assert stage.all_accepted()
    assert len(stage.php.to(contract.CLAIM_MESSAGES)) >= 4


async def test_nothing_is_due(stage: Stage) -> None:
    stage.embedded.change(
        "whatsapp_message_queue",
        {"scheduled_at": "2999-01-01 00:00:00"},
        campaigns__id=stage.campaign.id,
    )
    assert await stage.run() is False
    assert stage.statuses() == {1: 12}
    assert not await stage.listed()


async def test_rows_go_out_from_the_numbers_that_they_name(make_stage: MakeStage) -> None:
    stage = await make_stage(numbers=2)
    other = stage.vendor.phone_number_ids[1]
    for uid in stage.campaign.row_uids[::3]:
        stage.embedded.change(
            "whatsapp_message_queue", {"__data.campaign_data.fromPhoneNumberId": other}, _uid=uid
        )
    await stage.run_to_the_end()
    assert stage.all_accepted()
    used = {
        message.callback_data: message.number.phone_number_id
        for message in stage.cloud.engine.ledger.messages
    }
    assert {uid for uid, number in used.items() if number == other} == set(
        stage.campaign.row_uids[::3]
    )


async def test_the_rate_is_kept(make_stage: MakeStage) -> None:
    stage = await make_stage(60, rate=100, rate_share=0.99, cloud={"messages_per_s": 100})
    await stage.run()
    assert stage.all_accepted()
    [number] = stage.cloud.engine.numbers
    assert number.throttled == 0
    assert number.throughput.count == 60


async def test_two_campaigns_share_the_rate_of_a_number(make_stage: MakeStage) -> None:
    stage = await make_stage(30, rate=100, cloud={"messages_per_s": 100})
    second = stage.embedded.seed_campaign(stage.vendor, 30)
    other = Stage(
        *(stage.embedded, stage.php, stage.backend, stage.redis, stage.cloud, stage.vendor),
        *(second, stage.settings, 100.0),
    )
    await asyncio.gather(stage.run(), other.run())
    await other.cloud_api.close()
    assert stage.all_accepted()
    assert other.all_accepted()
    [number] = stage.cloud.engine.numbers
    assert number.throttled == 0


async def test_it_makes_room_for_other_campaigns_after_a_while(
    make_stage: MakeStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "QUANTUM_S", 0.15)
    stage = await make_stage(100, rate=100, claim_s=0.1)
    assert await stage.run() is True, "somebody is to be woken for the rest"
    assert 0 < stage.statuses()[1] < 100
    assert stage.statuses()[3] == 0
    assert await stage.listed()


# -- error classes --


async def test_a_storm_of_throttling_slows_it_and_loses_nothing(make_stage: MakeStage) -> None:
    stage = await make_stage(40, rate=300, claim_s=0.1)
    stage.fault(FaultKind.THROTTLE, times=25)
    await stage.run_to_the_end()
    assert stage.all_accepted()
    assert stage.cloud.engine.ledger.refused[130429] == 25
    assert {row["retries"] for row in stage.queue()} == {0}, "the number's fault, not the row's"


async def test_a_number_that_is_slower_than_was_said(make_stage: MakeStage) -> None:
    stage = await make_stage(60, rate=300, cloud={"messages_per_s": 100, "burst_s": 0.05})
    await stage.run_to_the_end()
    assert stage.all_accepted()


async def test_one_recipient_too_often_waits_alone(stage: Stage) -> None:
    uid, to = stage.campaign.row_uids[3], stage.campaign.recipients[3]
    stage.fault(FaultKind.ERROR, code=131056, to=to)
    await stage.run()
    assert stage.statuses() == {4: 11, 1: 1}
    [row] = stage.embedded.rows("whatsapp_message_queue", _uid=uid)
    assert (row["status"], row["retries"]) == (1, 1)
    stage.no_faults()
    stage.embedded.change(
        "whatsapp_message_queue", {"scheduled_at": "2020-01-01 00:00:00"}, _uid=uid
    )
    await stage.run()
    assert stage.all_accepted()


async def test_a_message_that_fails_fails_alone(stage: Stage) -> None:
    uid, to = stage.campaign.row_uids[3], stage.campaign.recipients[3]
    stage.fault(FaultKind.ERROR, code=131026, to=to)
    await stage.run()
    assert stage.statuses() == {4: 11, 2: 1}
    assert process_response(stage, uid)["error_status"] == "131026"
    stage.assert_settled()


async def test_a_service_that_fails_for_a_while_is_tried_again_later(stage: Stage) -> None:
    stage.fault(FaultKind.ERROR, code=131016, times=4)
    await stage.run()
    assert stage.statuses() == {4: 8, 1: 4}
    later = [row["scheduled_at"] for row in stage.queue() if row["status"] == 1]
    assert all(at > stage.queue()[0]["created_at"] for at in later)


@pytest.mark.parametrize("code", [132015, 131042, 190])
async def test_what_concerns_all_messages_pauses_the_campaign(
    make_stage: MakeStage, code: int
) -> None:
    stage = await make_stage(40, rate=100, claim_s=0.2)
    stage.fault(FaultKind.ERROR, code=code)
    assert await stage.run() is False
    statuses = stage.statuses()
    assert statuses[4] == statuses[3] == statuses[6] == 0
    assert statuses[1] >= 20
    if code != 132015:
        assert statuses == {1: 40}, "it is not the messages' fault"
    state = campaign_data(stage)
    assert state["state"] == "paused"
    assert str(code) in state["reason"]
    assert not await stage.listed()
    assert await stage.ledger.empty()
    stage.no_faults()
    before = stage.statuses()
    assert await stage.run() is False, "until a person acts"
    assert stage.statuses() == before


async def test_the_same_error_over_and_over_pauses_the_campaign(make_stage: MakeStage) -> None:
    stage = await make_stage(60, rate=200, claim_s=0.1, stop_after_like_errors=5)
    stage.fault(FaultKind.ERROR, code=131009)
    await stage.run()
    statuses = stage.statuses()
    assert 5 <= statuses[2] < 60
    assert statuses[1] == 60 - statuses[2]
    assert "5 times in a row: 131009" in campaign_data(stage)["reason"]


async def test_a_cloud_api_that_cannot_be_reached_costs_time_only(
    make_stage: MakeStage,
) -> None:
    stage = await make_stage()
    api = stage.cloud_api
    url, api._root = api._root, "http://127.0.0.1:9/v26.0"

    async def come_back() -> None:
        await asyncio.sleep(0.3)
        api._root = url

    await asyncio.gather(stage.run(), come_back())
    assert stage.all_accepted()


@pytest.mark.parametrize(
    "kind", [FaultKind.RESET_AFTER_ACCEPT, FaultKind.RESET_BEFORE_READ, FaultKind.HTML_500]
)
async def test_what_may_have_been_sent_is_not_sent_again(stage: Stage, kind: FaultKind) -> None:
    stage.fault(kind, times=4)
    await stage.run()
    assert stage.statuses() == {4: 8, 6: 4}
    stage.assert_settled()
    assert len(stage.accepts()) == (12 if kind is FaultKind.RESET_AFTER_ACCEPT else 8)
    stage.no_faults()
    await stage.run()
    assert stage.statuses() == {4: 8, 6: 4}


async def test_no_answer_in_time_is_unknown(make_stage: MakeStage) -> None:
    stage = await make_stage(send_timeout_s=0.3)
    stage.fault(FaultKind.TIMEOUT_AFTER_ACCEPT, times=3)
    await stage.run()
    assert stage.statuses() == {4: 9, 6: 3}
    assert len(stage.accepts()) == 12


async def test_messages_that_are_held_for_a_look_at_their_quality_are_accepted(
    make_stage: MakeStage,
) -> None:
    stage = await make_stage(cloud={"held_share": 1})
    await stage.run()
    assert stage.all_accepted()
    logs = stage.embedded.rows("whatsapp_message_logs", campaigns__id=stage.campaign.id)
    assert {row["status"] for row in logs} == {"held_for_quality_assessment"}


# -- being stopped --


@pytest.mark.parametrize("state", ["paused", "cancelled"])
async def test_a_halt_takes_effect_at_once(make_stage: MakeStage, state: str) -> None:
    stage = await make_stage(200, rate=80)
    run = asyncio.create_task(stage.run())
    await eventually(lambda: len(stage.accepts()) > 10)
    await stage.halt(state)
    halted_at = time.monotonic()
    sent = len(stage.accepts())
    assert await run is False
    assert len(stage.accepts()) - sent <= 80 * (time.monotonic() - halted_at) + 1
    statuses = stage.statuses()
    assert statuses[3] == statuses[6] == 0
    assert statuses[4] == len(stage.accepts())
    assert statuses[1] == 200 - statuses[4]
    assert await stage.ledger.empty()
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
    stage = await make_stage(200, rate=80)
    run = asyncio.create_task(stage.run())
    await eventually(lambda: len(stage.accepts()) > 5)
    stage.stopping = True
    assert await run is False
    statuses = stage.statuses()
    assert statuses == {4: len(stage.accepts()), 1: 200 - len(stage.accepts())}
    assert await stage.ledger.empty()
    assert await stage.listed(), "somebody else is to go on with it"


async def test_a_send_under_way_is_waited_for(make_stage: MakeStage) -> None:
    stage = await make_stage(1)
    stage.fault(FaultKind.SLOW, seconds=0.4)
    run = asyncio.create_task(stage.run())
    await eventually(lambda: len(stage.accepts()) == 1)
    stage.stopping = True
    await run
    assert stage.all_accepted()


# -- PHP --


async def test_php_is_away_at_the_beginning(stage: Stage) -> None:
    """There is something to settle first, so nothing new is begun."""
    await stage.ledger.claimed("old", [stage.campaign.row_uids[0]])
    gone = stage.php.always(contract.RELEASE_MESSAGES, Answer(503))
    with pytest.raises(Exception, match="503"):
        await stage.run()
    assert not stage.accepts()
    stage.php.forget(gone)
    await stage.run_to_the_end()
    assert stage.all_accepted()


async def test_php_does_not_answer_claims_for_a_while(stage: Stage) -> None:
    left = [Answer(500), Answer(200, b"<html>"), Answer(503)]
    stage.php.when(contract.CLAIM_MESSAGES, lambda _call: left.pop() if left else None)
    await stage.run_to_the_end()
    assert stage.all_accepted()


async def test_answers_of_claims_are_lost(make_stage: MakeStage) -> None:
    stage = await make_stage(40, rate=300, claim_s=0.05)
    stage.php.do_and_drop(contract.CLAIM_MESSAGES, times=2)
    await stage.run_to_the_end()
    assert stage.all_accepted()


async def test_php_takes_no_results_for_a_while(stage: Stage) -> None:
    illness = stage.php.always(contract.UPDATE_MESSAGE_STATUSES, Answer(503))
    run = asyncio.create_task(stage.run())
    await eventually(lambda: len(stage.accepts()) == 12)
    assert stage.statuses() == {3: 12}
    stage.php.forget(illness)
    await run
    assert stage.all_accepted()


async def test_php_takes_no_results_at_all(make_stage: MakeStage) -> None:
    """The ledger keeps them; the next run reports them, and sends nothing again."""
    stage = await make_stage(backend_timeout_s=0.3)
    illness = stage.php.always(contract.UPDATE_MESSAGE_STATUSES, Answer(503))
    await stage.run()
    assert stage.statuses() == {3: 12}
    assert len((await stage.ledger.load()).known) == 12
    assert await stage.listed()
    stage.php.forget(illness)
    await stage.run()
    assert stage.all_accepted()
    assert not await stage.listed()


async def test_php_is_away_when_rows_are_to_be_given_back(make_stage: MakeStage) -> None:
    """They were certainly not sent, and are so found by the next run."""
    stage = await make_stage(60, rate=60)
    run = asyncio.create_task(stage.run())
    await eventually(lambda: len(stage.accepts()) > 3)
    gone = stage.php.always(contract.RELEASE_MESSAGES, Answer(503))
    stage.stopping = True
    await run
    assert stage.statuses()[3] > 0
    state = await stage.ledger.load()
    assert not state.sending
    assert len(state.claimed) == stage.statuses()[3]
    stage.php.forget(gone)
    stage.stopping = False
    stage.rate = 1000
    await stage.run_to_the_end()
    assert stage.all_accepted()


async def test_php_is_told_why_it_was_paused_also_when_it_was_away(
    make_stage: MakeStage,
) -> None:
    """Otherwise PHP would show it as running, and nobody would send it."""
    stage = await make_stage()
    stage.fault(FaultKind.ERROR, code=131042)

    def away(call: Any) -> Answer | None:
        return Answer(503) if call.json.get("campaign_state") else None

    gone = stage.php.when(contract.RELEASE_MESSAGES, away)
    await stage.run()
    assert "state" not in campaign_data(stage)
    assert await stage.listed(), "so that somebody comes back to it"
    stage.php.forget(gone)
    await stage.run()
    assert campaign_data(stage)["state"] == "paused"
    assert "131042" in campaign_data(stage)["reason"]
    assert not await stage.listed()
    assert stage.statuses() == {1: 12}


async def test_php_gives_no_rows_though_some_are_due(stage: Stage) -> None:
    """It is not asked as fast as it answers."""
    stage.php.always(contract.CLAIM_MESSAGES, Answer(200, b'{"rows": [], "due": 5}'))
    run = asyncio.create_task(stage.run())
    await asyncio.sleep(0.1)
    stage.stopping = True
    await run
    assert len(stage.php.to(contract.CLAIM_MESSAGES)) < 20


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
    await stage.ledger.claimed("old", [*claimed, *sending])
    number = stage.vendor.phone_number_ids[0]
    async with stage.held() as lease:
        rows = [QueuedRow(claimed_row(uid), "old") for uid in sending]
        await stage.ledger.begin(lease, [(row, number) for row in rows])
    await stage.ledger.known([unknown(stage, uid, SendOutcome.FAILED) for uid in known])
    await stage.ledger.about_to_claim("open", 1)
    await stage.run_to_the_end()
    assert [stage.status_of(uid) for uid in sending] == [6, 6]
    assert [stage.status_of(uid) for uid in known] == [2, 2]
    assert [stage.status_of(uid) for uid in [*claimed, *opened]] == [4] * 4
    assert set(stage.accepts()) == set(stage.campaign.row_uids) - set(sending) - set(known)
    assert await stage.ledger.empty()
    stage.assert_settled()


async def test_leftovers_are_settled_also_when_the_campaign_is_halted(stage: Stage) -> None:
    first = stage.campaign.row_uids[0]
    await claim(stage, [first])
    await stage.ledger.claimed("old", [first])
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
    await stage.ledger.known([unknown(stage, first, SendOutcome.UNKNOWN)])
    await stage.run()
    assert stage.status_of(first) == 3
