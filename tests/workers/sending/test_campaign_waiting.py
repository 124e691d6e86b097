"""Rows that may not be sent for long wait in PHP's queue, and not in status 3."""

import asyncio
from typing import cast

import pytest
from structlog.testing import capture_logs

from contracts import backend as contract
from sidecar.redis import keys
from simulator.cloud_api.fault import FaultKind
from tests.eventually import eventually
from tests.workers.conftest import MakeStage
from tests.workers.stage import Stage
from workers.sending.campaign import LONGEST_WAIT_S
from workers.sending.limiter import Limiter

pytestmark = pytest.mark.usefixtures("short_pauses")


async def waits_for(stage: Stage) -> str | None:
    """Return why the campaign waits."""
    reason = cast("bytes | None", await stage.redis.get(keys.wait(stage.campaign.uid)))
    return reason.decode() if reason else None


async def test_a_portfolio_without_recipients_left(stage: Stage) -> None:
    stage.more_config = {"daily_recipients": 5}
    with capture_logs() as logs:
        assert await stage.run() is False
    assert stage.statuses() == {4: 5, 1: 7}
    assert {row["retries"] for row in stage.queue()} == {0}
    reason = "5 recipients of the portfolio in 24 hours are used up"
    assert await waits_for(stage) == reason
    [line] = [log for log in logs if log["event"] == "campaign.waiting"]
    assert line["reason"] == reason
    wait_ms = await stage.redis.pttl(keys.wait(stage.campaign.uid))
    assert 0 < wait_ms <= LONGEST_WAIT_S * 1000, "the limit may be raised meanwhile"
    assert await stage.listed()
    assert await stage.ledger.empty()


async def test_while_it_waits_php_is_not_asked_for_rows(stage: Stage) -> None:
    stage.more_config = {"daily_recipients": 5}
    await stage.run()
    claims = len(stage.php.to(contract.CLAIM_MESSAGES))
    assert await stage.run() is False
    assert len(stage.php.to(contract.CLAIM_MESSAGES)) == claims
    assert await stage.listed()


async def test_it_goes_on_when_there_is_room_again(stage: Stage) -> None:
    stage.more_config = {"daily_recipients": 5}
    await stage.run()
    stage.more_config = {"daily_recipients": 12}
    await stage.redis.delete(keys.wait(stage.campaign.uid))
    await stage.run_to_the_end()
    assert stage.all_accepted()


async def test_a_campaign_that_is_halted_does_not_wait(stage: Stage) -> None:
    stage.more_config = {"daily_recipients": 5}
    await stage.run()
    await stage.halt("cancelled")
    await stage.run()
    assert not await stage.listed()


@pytest.mark.parametrize("code", [80007, 4])
async def test_a_limit_of_calls_lasts_for_minutes(stage: Stage, code: int) -> None:
    stage.fault(FaultKind.ERROR, code=code, times=12)
    assert await stage.run() is False
    assert stage.statuses() == {1: 12}
    assert str(code) in (await waits_for(stage) or "")
    assert await stage.listed()
    stage.no_faults()
    await stage.redis.delete(keys.wait(stage.campaign.uid))
    async for key in stage.redis.scan_iter("hold:*"):
        await stage.redis.delete(key)
    await stage.run_to_the_end()
    assert stage.all_accepted()


async def test_a_number_that_is_held_does_not_stop_the_others(make_stage: MakeStage) -> None:
    stage = await make_stage(numbers=2)
    held, other = stage.vendor.phone_number_ids
    for uid in stage.campaign.row_uids[::2]:
        stage.embedded.change(
            "whatsapp_message_queue", {"__data.campaign_data.fromPhoneNumberId": other}, _uid=uid
        )
    stage.fault(FaultKind.ERROR, code=131057, phone_number_id=held)
    run = asyncio.create_task(stage.run())
    await eventually(lambda: stage.statuses()[4] == 6)
    stage.stopping = True
    await run
    sent = {m.number.phone_number_id for m in stage.cloud.engine.ledger.messages}
    assert sent == {other}
    assert stage.statuses() == {4: 6, 1: 6}


async def test_a_recipient_that_has_had_too_much_comes_later_and_counts_no_retry(
    stage: Stage,
) -> None:
    uid, to = stage.campaign.row_uids[3], stage.campaign.recipients[3]
    number = stage.vendor.phone_number_ids[0]
    await Limiter(stage.redis).hold_pair(number, to, 120)
    await stage.run()
    assert stage.statuses() == {4: 11, 1: 1}
    [row] = stage.embedded.rows("whatsapp_message_queue", _uid=uid)
    assert row["retries"] == 0
    await stage.run()
    assert stage.statuses() == {4: 11, 1: 1}, "it is not due"
    assert not await stage.listed()
    await stage.redis.delete(keys.pair(number, to))
    stage.embedded.change(
        "whatsapp_message_queue", {"scheduled_at": "2020-01-01 00:00:00"}, _uid=uid
    )
    await stage.run()
    assert stage.all_accepted()
