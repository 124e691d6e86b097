"""Settings change while a campaign is sent: what is right now is in force at once."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from contracts import backend as contract
from contracts.backend import QueueStatus
from sidecar.redis import keys
from sidecar.sending.pauses import Pauses
from simulator.backend.vendors import ACCESS_TOKEN, CURRENT_PHONE_NUMBER_ID, PHONE_NUMBERS
from simulator.cloud_api.message import Message
from tests.eventually import eventually
from tests.workers.conftest import MakeStage
from tests.workers.moving import Moving, following
from tests.workers.php import Answer
from workers.sending import pipeline, recheck

pytestmark = pytest.mark.usefixtures("short_pauses")

MakeMoving = Callable[..., Awaitable[Moving]]


@pytest.fixture
async def make_moving(make_stage: MakeStage) -> AsyncIterator[MakeMoving]:
    async with AsyncExitStack() as stack:

        async def make(messages: int = 60, **stage: Any) -> Moving:
            made = await make_stage(messages, **{"rate": 100, "claim_s": 0.2, **stage})
            return await stack.enter_async_context(following(made))

        yield make


def rotate(moving: Moving, old_valid_s: float = 0) -> None:
    """Have Meta take a new token from now on, and the old one for so long."""
    cloud = moving.stage.cloud.engine
    cloud.access.rotate(list(cloud.numbers), "new-token", old_valid_s, 463)


def sent(moving: Moving) -> list[Message]:
    return list(moving.stage.cloud.engine.ledger.messages)


async def under_way(moving: Moving, messages: int = 10) -> asyncio.Task[bool]:
    running = asyncio.create_task(moving.run())
    await eventually(lambda: len(moving.stage.accepts()) >= messages)
    return running


async def assert_nothing_happened(moving: Moving) -> None:
    """Everything was sent, and nothing was paused on the way."""
    assert moving.stage.all_accepted(), moving.stage.statuses()
    assert not any(row["retries"] for row in moving.stage.queue())
    assert not await Pauses(moving.stage.redis).all()
    assert moving.stage.campaign_data().get("state") != "paused"


# -- the access token --


@pytest.mark.parametrize("announce", [True, False], ids=["announced", "not announced"])
async def test_the_token_is_replaced(make_moving: MakeMoving, announce: bool) -> None:
    """Rows under way with the old one, which get 190, go again."""
    moving = await make_moving()
    running = await under_way(moving)
    await moving.set(ACCESS_TOKEN, "new-token", announce=announce)
    rotate(moving)
    await running
    await assert_nothing_happened(moving)


async def test_the_token_is_replaced_before_the_old_one_ends(make_moving: MakeMoving) -> None:
    """Not one message is refused."""
    moving = await make_moving(100)
    running = await under_way(moving)
    rotate(moving, old_valid_s=60)
    await moving.set(ACCESS_TOKEN, "new-token")
    await eventually(lambda: token_of(moving) == "new-token", 1.0)
    # What is being sent at this moment ends.
    await eventually(lambda: len(moving.stage.accepts()) >= 60)
    rotate(moving)
    with capture_logs() as logs:
        await running
    await assert_nothing_happened(moving)
    assert not [log for log in logs if log["event"] == "messages.not_sent"]


async def test_php_has_no_other_token(make_moving: MakeMoving) -> None:
    moving = await make_moving()
    running = await under_way(moving)
    asked = len(moving.stage.php.to(contract.VENDOR_CONFIG))
    rotate(moving)
    await running
    assert "190" in moving.stage.campaign_data()["reason"]
    assert [paused.scope for paused in await Pauses(moving.stage.redis).all()] == ["token"]
    # One question for all calls that are refused until it is answered; on a busy machine a call may
    # be refused after that.
    assert 1 <= len(moving.stage.php.to(contract.VENDOR_CONFIG)) - asked <= 2
    assert set(moving.stage.statuses()) == {QueueStatus.QUEUED, QueueStatus.AWAITING_STATUS}


async def test_php_does_not_say_whether_it_has_another_token(
    make_moving: MakeMoving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is paused, and nothing is sent meanwhile, but for a try now and then."""
    monkeypatch.setattr(recheck, "SILENT_S", 0.2)
    monkeypatch.setattr("sidecar.php.cache.RETRY_S", 0.05)
    moving = await make_moving()
    running = await under_way(moving)
    silent = moving.stage.php.always(contract.VENDOR_CONFIG, Answer(503))
    await moving.set(ACCESS_TOKEN, "new-token", announce=False)
    asked = len(moving.stage.php.to(contract.VENDOR_CONFIG))
    rotate(moving)
    await eventually(lambda: len(moving.stage.php.to(contract.VENDOR_CONFIG)) >= asked + 2)
    moving.stage.php.forget(silent)
    await running
    await assert_nothing_happened(moving)


async def test_a_token_is_entered_while_the_campaign_begins(make_moving: MakeMoving) -> None:
    """Nobody has announced it."""
    moving = await make_moving(10)
    right = moving.stage.vendor.access_token
    await moving.set(ACCESS_TOKEN, "")
    await eventually(lambda: not token_of(moving))
    await moving.set(ACCESS_TOKEN, right, announce=False)
    await moving.run()
    await assert_nothing_happened(moving)


def token_of(moving: Moving) -> str | None:
    _, config = moving.vendors.peek(moving.stage.vendor.uid)
    return config.access_token if config else None


# -- the current number --


@pytest.mark.parametrize("announce", [True, False], ids=["announced", "not announced"])
async def test_the_number_is_gone_and_another_one_is_current(
    make_moving: MakeMoving, announce: bool
) -> None:
    moving = await make_moving(numbers=2)
    old, new = moving.stage.vendor.phone_number_ids
    running = await under_way(moving)
    await moving.set(CURRENT_PHONE_NUMBER_ID, new, announce=announce)
    moving.stage.cloud.engine.access.remove(old)
    await running
    await assert_nothing_happened(moving)
    numbers = Counter(message.number.phone_number_id for message in sent(moving))
    assert set(numbers) == {old, new}


async def test_another_number_becomes_current(make_moving: MakeMoving) -> None:
    """Rows that wait for slots of the old one, or have them, go from the new one."""
    moving = await make_moving(100, numbers=2, claim_s=5)
    old, new = moving.stage.vendor.phone_number_ids
    running = await under_way(moving)
    await moving.set(CURRENT_PHONE_NUMBER_ID, new)
    await running
    await assert_nothing_happened(moving)
    numbers = [message.number.phone_number_id for message in sent(moving)]
    assert numbers == sorted(numbers, key=[old, new].index), "from the old one, and then the new"
    assert len(set(numbers)) == 2


async def test_an_announcement_is_lost(make_moving: MakeMoving) -> None:
    """Then it is in force when the copy of the configuration is old."""
    moving = await make_moving(150, numbers=2)
    moving.vendors._ttl_s = 0.2
    old, new = moving.stage.vendor.phone_number_ids
    moving.vendors.forget([moving.stage.vendor.uid])  # what is known is fresh for longer
    running = await under_way(moving)
    await moving.set(CURRENT_PHONE_NUMBER_ID, new, announce=False)
    await running
    await assert_nothing_happened(moving)
    numbers = [message.number.phone_number_id for message in sent(moving)]
    assert set(numbers) == {old, new}


async def test_rows_with_a_number_of_their_own_stay_with_it(make_moving: MakeMoving) -> None:
    moving = await make_moving(60, numbers=2)
    old, new = moving.stage.vendor.phone_number_ids
    own = moving.stage.campaign.row_uids[-5:]
    for uid in own:
        [row] = moving.stage.embedded.rows("whatsapp_message_queue", _uid=uid)
        data = {**row["__data"]["campaign_data"], "fromPhoneNumberId": old}
        values = {"__data.campaign_data": data}
        moving.stage.embedded.change("whatsapp_message_queue", values, _uid=uid)
    running = await under_way(moving)
    await moving.set(CURRENT_PHONE_NUMBER_ID, new)
    await running
    await assert_nothing_happened(moving)
    by_row = {message.callback_data: message.number.phone_number_id for message in sent(moving)}
    assert {by_row[uid] for uid in own} == {old}
    assert new in by_row.values()


async def test_a_campaign_does_not_stop_for_a_number_that_it_has_left(
    make_moving: MakeMoving,
) -> None:
    """The old one was paused, and nobody has announced that there is another one."""
    moving = await make_moving(20, numbers=2)
    old, new = moving.stage.vendor.phone_number_ids
    await moving.set(CURRENT_PHONE_NUMBER_ID, new, announce=False)
    paused = {"scope": "number", "id": old, "vendor_uid": "v", "code": 33, "reason": "x", "at": 1}
    await moving.stage.redis.hset(
        keys.PAUSES, f"number:{moving.stage.vendor.uid}/{old}", orjson.dumps(paused)
    )
    await moving.run()
    assert moving.stage.all_accepted()
    assert {message.number.phone_number_id for message in sent(moving)} == {new}


# -- rates --


async def test_the_rate_is_halved(make_moving: MakeMoving) -> None:
    moving = await make_moving(120, rate=100)
    number = moving.stage.vendor.phone_number_ids[0]
    running = await under_way(moving)
    listed = orjson.dumps([{"id": number, "messages_per_second": 50}]).decode()
    await moving.set(PHONE_NUMBERS, listed)

    async def in_force() -> bool:
        line = keys.number(f"{moving.stage.vendor.uid}/{number}")
        rate = float(await moving.stage.redis.hget(line, "rate") or 0)
        return rate == pytest.approx(50 * moving.stage.settings.rate_share)

    await eventually(in_force, 1.0)
    began = len(sent(moving)) + 100 // 4  # slots are given out a quarter of a second ahead
    await running
    await assert_nothing_happened(moving)
    late = [message.accepted_at for message in sent(moving)[began:]]
    assert (len(late) - 1) / (late[-1] - late[0]) < 55


# -- a vendor that is deactivated --


async def test_the_vendor_is_deactivated_and_comes_back(
    make_moving: MakeMoving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The campaign waits, and goes on by itself."""
    monkeypatch.setattr(pipeline, "INACTIVE_PAUSE_S", 0.05)
    moving = await make_moving()
    stage = moving.stage
    running = await under_way(moving)
    stage.embedded.change("vendors", {"status": 2}, _id=stage.vendor.id)
    await moving.announce()
    assert await running is False
    statuses = stage.statuses()
    assert statuses[QueueStatus.QUEUED] > 0
    assert statuses[QueueStatus.PROCESSING] == 0
    assert await stage.ledger.empty()
    assert await stage.listed(), "somebody looks after it"
    before = len(stage.accepts())
    await moving.run()
    assert len(stage.accepts()) == before
    assert await stage.listed()
    stage.embedded.change("vendors", {"status": 1}, _id=stage.vendor.id)
    await moving.announce()

    async def goes_on() -> bool:
        await moving.run()
        return stage.all_accepted()

    await eventually(goes_on)
    await assert_nothing_happened(moving)


async def test_a_campaign_of_a_vendor_that_is_not_active_says_why_it_waits(
    make_moving: MakeMoving,
) -> None:
    moving = await make_moving(5)
    moving.stage.embedded.change("vendors", {"status": 2}, _id=moving.stage.vendor.id)
    await moving.announce()
    await eventually(lambda: not is_active(moving))
    await moving.run()
    assert moving.stage.statuses() == {1: 5}
    assert not moving.stage.php.to(contract.CLAIM_MESSAGES)
    reason = await moving.stage.redis.get(keys.wait(moving.stage.campaign.uid))
    assert reason == b"the vendor is not active"


def is_active(moving: Moving) -> bool:
    _, config = moving.vendors.peek(moving.stage.vendor.uid)
    return config is not None and config.active
