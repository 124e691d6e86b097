"""Moving a vendor's work while it is being done: nothing is sent twice, and nothing is left."""

import asyncio

import pytest

from contracts import backend as contract
from contracts.backend import QueueStatus
from contracts.campaigns import CampaignState
from contracts.jobs import Lane
from contracts.modes import Mode
from sidecar.inbox.store import Inbox
from sidecar.migration.cutover import SOMEBODY_ELSE, VendorUnknown
from sidecar.php.client import BackendRefused
from sidecar.redis import keys
from sidecar.sending.halts import Halt, Halts
from sidecar.tasks import cancel
from tests.eventually import eventually
from tests.workers.moving import Moving
from tests.workers.php import Answer, Call, refusal
from tests.workers.rows import have_claimed

pytestmark = pytest.mark.usefixtures("short_pauses")


async def test_a_campaign_that_is_sent_goes_back_to_php(moving: Moving) -> None:
    stage = moving.stage
    running = asyncio.create_task(moving.run())
    await eventually(lambda: len(stage.accepts()) >= 5)
    modes, waits_for = await moving.move(campaigns=Mode.PHP)
    assert (modes.campaigns, waits_for) == (Mode.PHP, None)
    assert await running is False
    assert not await stage.listed(), "nobody is woken for it any more"
    assert await stage.ledger.empty()
    statuses = stage.statuses()
    assert set(statuses) == {QueueStatus.QUEUED, QueueStatus.AWAITING_STATUS}
    assert statuses[QueueStatus.AWAITING_STATUS] == len(stage.accepts())
    sent = len(stage.accepts())
    await moving.run()
    assert len(stage.accepts()) == sent, "PHP refuses, whoever asks"


async def test_and_comes_again(moving: Moving) -> None:
    stage = moving.stage
    running = asyncio.create_task(moving.run())
    await eventually(lambda: len(stage.accepts()) >= 5)
    await moving.move(campaigns=Mode.PHP)
    await running
    modes, waits_for = await moving.move(campaigns=Mode.SIDECAR)
    assert (modes.campaigns, waits_for) == (Mode.SIDECAR, None)
    await eventually(moving.ours)
    await stage.redis.hset(keys.CAMPAIGNS, stage.campaign.uid, stage.vendor.uid)
    await moving.run()
    assert stage.all_accepted()


async def test_what_nobody_settles_keeps_the_vendor_held(moving: Moving) -> None:
    """The worker was killed, and none runs: its rows may be sent, or not."""
    stage = moving.stage
    await stage.redis.hset(keys.CAMPAIGNS, stage.campaign.uid, stage.vendor.uid)
    await have_claimed(stage.ledger, "claim", list(stage.campaign.row_uids[:2]))
    modes, waits_for = await moving.move(campaigns=Mode.PHP, timeout_s=0.3)
    assert modes.campaigns is Mode.HELD
    assert waits_for is not None
    assert "2 rows to be settled; no worker has it" in waits_for
    await moving.run()  # a worker is back
    modes, waits_for = await moving.move(campaigns=Mode.PHP)
    assert (modes.campaigns, waits_for) == (Mode.PHP, None)


async def test_a_pause_is_with_php_before_its_crons_send(moving: Moving) -> None:
    """PHP was away when a person paused it, and comes back with a rollback at its heels."""
    stage = moving.stage
    halt = Halt(CampaignState.PAUSED, "wrong prices", by_person=True)
    assert await Halts(stage.redis).put(stage.campaign.uid, stage.vendor.uid, halt)
    modes, waits_for = await moving.move(campaigns=Mode.PHP, timeout_s=0.3)
    assert modes.campaigns is Mode.HELD
    assert waits_for is not None
    assert "PHP does not know yet that it was stopped" in waits_for
    await moving.run()  # a worker tells it
    modes, waits_for = await moving.move(campaigns=Mode.PHP)
    assert (modes.campaigns, waits_for) == (Mode.PHP, None)
    [row] = stage.embedded.rows("campaigns", _uid=stage.campaign.uid)
    assert row["__data"]["sidecar"]["state"] == "paused"
    assert set(stage.statuses()) == {QueueStatus.QUEUED}


async def test_the_crons_have_time_to_end(moving: Moving) -> None:
    await moving.move(campaigns=Mode.PHP)
    moving.settings = moving.settings.model_copy(update={"cron_settle_s": 0.5})
    move = asyncio.create_task(moving.move(campaigns=Mode.SIDECAR))

    await eventually(moving.held)
    assert not move.done()
    assert (await move)[0].campaigns is Mode.SIDECAR


@pytest.mark.parametrize("target", [Mode.PHP, Mode.SIDECAR])
async def test_a_move_that_was_broken_off_is_finished_by_another(
    moving: Moving, target: Mode
) -> None:
    start = Mode.SIDECAR if target is Mode.PHP else Mode.PHP
    await moving.move(campaigns=start)
    await have_claimed(moving.stage.ledger, "claim", [moving.stage.campaign.row_uids[0]])
    await moving.stage.redis.hset(keys.LEDGERS, moving.stage.campaign.uid, moving.stage.vendor.uid)
    moving.settings = moving.settings.model_copy(update={"cron_settle_s": 30.0})
    move = asyncio.create_task(moving.move(campaigns=target, timeout_s=30))

    await eventually(moving.held)
    await cancel([move])
    await moving.stage.ledger.released("claim", [moving.stage.campaign.row_uids[0]])
    moving.settings = moving.settings.model_copy(update={"cron_settle_s": 0.0})
    assert (await moving.move(campaigns=target))[0].campaigns is target


async def test_somebody_else_changes_modes_at_the_same_moment(moving: Moving) -> None:
    """Another vendor's, which makes the version another one; then this one's."""
    stage = moving.stage
    other = stage.embedded.seed_vendor()
    meanwhile = 0

    async def rule(call: Call) -> Answer | None:
        nonlocal meanwhile
        if call.path == contract.MODES and call.json.get("changes") and not meanwhile:
            meanwhile += 1
            await moving.elsewhere(other.uid, bots=Mode.SIDECAR)
        return None

    stage.php.rules.append(rule)
    assert (await moving.move(webhooks=Mode.SHADOW))[0].webhooks is Mode.SHADOW
    assert meanwhile == 1


async def test_somebody_moves_the_vendor_while_it_is_held(moving: Moving) -> None:
    moving.settings = moving.settings.model_copy(update={"cron_settle_s": 0.5})
    await moving.move(campaigns=Mode.PHP)
    move = asyncio.create_task(moving.move(campaigns=Mode.SIDECAR))

    await eventually(moving.held)
    await Moving(moving.stage).move(campaigns=Mode.PHP)
    modes, waits_for = await move
    assert (modes.campaigns, waits_for) == (Mode.PHP, SOMEBODY_ELSE)


async def test_a_php_that_always_says_that_it_is_too_late(moving: Moving) -> None:
    def rule(call: Call) -> Answer | None:
        changes = call.path == contract.MODES and call.json.get("changes")
        return refusal(409, "fence_stale") if changes else None

    moving.stage.php.rules.append(rule)
    with pytest.raises(BackendRefused):
        await moving.move(bots=Mode.SIDECAR)


async def test_nothing_to_move_changes_nothing(moving: Moving) -> None:
    before = await moving.cutover().read()
    await moving.move(webhooks=Mode.SIDECAR, campaigns=Mode.SIDECAR)
    assert (await moving.cutover().read()).version == before.version


async def test_a_vendor_that_there_is_not(moving: Moving) -> None:
    with pytest.raises(VendorUnknown, match="nobody"):
        await moving.move(vendor_uids=["nobody"], bots=Mode.PHP)


async def test_what_the_inbox_holds_is_told(moving: Moving) -> None:
    stage = moving.stage
    inbox = Inbox(stage.redis, timeout_s=5, pending_limit_bytes=10**8, wake=lambda _lane: None)
    for _ in range(3):
        await inbox.put(Lane.MESSAGES, stage.vendor.uid, b"", b"{}")
    await inbox.close()
    modes, waits_for = await moving.move(webhooks=Mode.PHP, timeout_s=0.2)
    assert modes.webhooks is Mode.PHP, "new ones go to PHP at once"
    assert waits_for == "3 webhooks; the workers go on handing them to PHP"
