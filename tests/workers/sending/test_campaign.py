"""Sending a campaign: what becomes of its rows, and when it ends."""

import asyncio
from typing import cast

import orjson
import pytest

from contracts import backend as contract
from sidecar.redis import keys
from simulator.cloud_api.fault import FaultKind
from tests.eventually import eventually
from tests.workers.conftest import MakeStage
from tests.workers.stage import Stage
from workers.sending import campaign as module

pytestmark = pytest.mark.usefixtures("short_pauses")


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


def hide(stage: Stage, *users: str) -> None:
    """Have the first recipients be known by these user ids only."""
    for uid, user in zip(stage.campaign.row_uids, users, strict=False):
        [row] = stage.embedded.rows("whatsapp_message_queue", _uid=uid)
        stage.embedded.change("whatsapp_message_queue", {"phone_with_country_code": ""}, _uid=uid)
        hidden = {"wa_id": None, "__data": f'{{"user_id": "{user}"}}'}
        stage.embedded.change("contacts", hidden, _id=row["contacts__id"])


async def test_people_who_hide_their_number_are_reached_by_user_id(stage: Stage) -> None:
    users = [f"GB.134912086553027419{place}" for place in range(3)]
    hide(stage, *users)
    await stage.run()
    assert stage.all_accepted()
    stage.assert_settled()
    sent = {message.callback_data: message.to for message in stage.cloud.engine.ledger.messages}
    assert [sent[uid] for uid in stage.campaign.row_uids[:3]] == users
    assert all(sent[uid].startswith("+") for uid in stage.campaign.row_uids[3:])


async def test_a_row_with_nobody_to_send_to_holds_nothing_up(stage: Stage) -> None:
    uid = stage.campaign.row_uids[0]
    stage.embedded.change("whatsapp_message_queue", {"phone_with_country_code": ""}, _uid=uid)
    assert await stage.run() is False
    assert stage.statuses() == {2: 1, 4: 11}
    assert "no phone number" in stage.process_response(uid)["error_message"]
    assert not await stage.listed()


async def test_a_suppressed_user_id_gets_nothing(stage: Stage) -> None:
    hide(stage, "GB.1", "GB.2")
    value = orjson.dumps({"code": 131026, "message": "undeliverable", "at": 0})
    await stage.redis.set(keys.suppressed(stage.vendor.uid, "GB.1"), value)
    await stage.run()
    assert [stage.status_of(uid) for uid in stage.campaign.row_uids[:3]] == [2, 4, 4]
    assert stage.process_response(stage.campaign.row_uids[0])["error_status"] == "131026"


async def test_limits_know_a_person_by_the_user_id(stage: Stage) -> None:
    hide(stage, "GB.1")
    await stage.run()
    pairs = cast("list[bytes]", await stage.redis.keys(keys.pair("*", "GB.1")))
    assert len(pairs) == 1


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
    monkeypatch.setattr(module, "MAX_RUN_S", 0.15)
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
    pair = keys.pair(stage.vendor.phone_number_ids[0], to)
    assert await stage.redis.delete(pair), "other campaigns leave it alone as well"
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
    assert stage.process_response(uid)["error_status"] == "131026"
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
    state = stage.campaign_data()
    assert state["state"] == "paused"
    assert str(code) in state["reason"]
    assert not await stage.listed()
    assert await stage.ledger.empty()
    stage.no_faults()
    before = stage.statuses()
    assert await stage.run() is False, "until a person acts"
    assert stage.statuses() == before


@pytest.mark.parametrize("code", [132001, 132015, 132016])
async def test_a_template_is_stopped_in_the_middle(make_stage: MakeStage, code: int) -> None:
    """Nothing fails: the row that is refused and those under way go back, and are sent when a
    person has mended it and resumed the campaign."""
    stage = await make_stage(60, rate=400, claim_s=0.1)
    run = asyncio.create_task(stage.run())
    await eventually(lambda: len(stage.accepts()) >= 10)
    stage.fault(FaultKind.ERROR, code=code)
    await run
    statuses = stage.statuses()
    assert statuses == {4: len(stage.accepts()), 1: 60 - len(stage.accepts())}
    assert all(row["retries"] == 0 for row in stage.queue())
    assert stage.campaign_data()["state"] == "paused"
    assert stage.campaign_data()["reason"].startswith(str(code))
    assert await stage.ledger.empty()


async def test_errors_over_and_over_pause_the_campaign(make_stage: MakeStage) -> None:
    stage = await make_stage(60, rate=200, claim_s=0.1, campaign_error_streak=5)
    stage.fault(FaultKind.ERROR, code=131009)
    await stage.run()
    statuses = stage.statuses()
    assert statuses[2] <= 4, "those under way when it stops go back"
    assert statuses[1] == 60 - statuses[2]
    assert "5 errors in a row, the last one: 131009" in stage.campaign_data()["reason"]
    assert all(row["retries"] == 0 for row in stage.queue() if row["status"] == 1)


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
    # As much of it as the column holds.
    assert {row["status"] for row in logs} == {"held_for_q"}
