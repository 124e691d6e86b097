"""Moving vendors whom somebody else moves at the same moment: what was waited for must be true when
the next step is taken."""

import asyncio

import pytest

from contracts import backend as contract
from contracts.modes import Mode
from sidecar.effects.outbox import replies_of
from sidecar.migration.cutover import SOMEBODY_ELSE
from sidecar.redis import keys
from sidecar.redis.lease import Leases
from sidecar.sending.campaigns import campaign_lease
from tests.eventually import eventually
from tests.workers.moving import Moving
from tests.workers.php import Answer, Call
from tests.workers.rows import have_asked, have_claimed
from workers.sending.ledger import Ledger

pytestmark = pytest.mark.usefixtures("short_pauses")


def before_a_change(moving: Moving, *changes: dict[str, Mode]) -> None:
    """Have somebody else make changes right before the next one comes to PHP."""
    left = [changes]

    async def rule(call: Call) -> Answer | None:
        if call.path == contract.MODES and call.json.get("changes") and left:
            for change in left.pop():
                await moving.elsewhere(**change)
        return None

    moving.stage.php.rules.append(rule)


async def test_campaigns_that_come_to_the_sidecar_meanwhile_are_held_first(
    moving: Moving,
) -> None:
    """Between shadow and php there was nothing to wait for; now there is."""
    await moving.elsewhere(campaigns=Mode.SHADOW)
    before_a_change(moving, {"campaigns": Mode.SIDECAR})
    modes, waits_for = await moving.move(campaigns=Mode.PHP)
    assert (modes.campaigns, waits_for) == (Mode.PHP, None)
    assert (await moving.path())[-3:] == [Mode.SIDECAR, Mode.HELD, Mode.PHP]


@pytest.mark.parametrize("target", [Mode.PHP, Mode.SIDECAR])
async def test_campaigns_that_are_held_again_meanwhile_are_left_to_others(
    moving: Moving, target: Mode
) -> None:
    """They look as before, but the time that was waited was before they were moved."""
    await moving.elsewhere(campaigns=Mode.HELD)
    before_a_change(moving, {"campaigns": Mode.SIDECAR}, {"campaigns": Mode.HELD})
    modes, waits_for = await moving.move(campaigns=target)
    assert (modes.campaigns, waits_for) == (Mode.HELD, SOMEBODY_ELSE)
    assert (await moving.move(campaigns=target))[0].campaigns is target


async def test_another_vendor_moves_meanwhile(moving: Moving) -> None:
    await moving.elsewhere(campaigns=Mode.HELD)
    other = moving.stage.embedded.seed_vendor()
    done: list[Call] = []

    async def rule(call: Call) -> Answer | None:
        if call.path == contract.MODES and call.json.get("changes") and not done:
            done.append(call)
            await moving.elsewhere(other.uid, bots=Mode.SHADOW)
        return None

    moving.stage.php.rules.append(rule)
    modes, waits_for = await moving.move(campaigns=Mode.PHP)
    assert (modes.campaigns, waits_for) == (Mode.PHP, None)


async def test_a_rollback_and_a_cutover_at_once(moving: Moving) -> None:
    """Whoever comes second says so, or does what was asked for; a row is sent once in any case."""
    stage = moving.stage
    running = asyncio.create_task(moving.run())
    await eventually(lambda: len(stage.accepts()) >= 3)
    moves = [moving.move(campaigns=mode) for mode in (Mode.PHP, Mode.SIDECAR)]
    back, forth = await asyncio.gather(*moves)
    await running
    now = (await moving.modes()).campaigns
    for (modes, waits_for), target in ((back, Mode.PHP), (forth, Mode.SIDECAR)):
        assert modes.campaigns is target or waits_for == SOMEBODY_ELSE
    assert (await moving.move(campaigns=Mode.PHP))[0].campaigns is Mode.PHP, now
    assert await stage.ledger.empty()


# -- what is waited for --


async def test_a_worker_that_has_nothing_does_not_keep_the_vendor(moving: Moving) -> None:
    """It was killed right after it took the campaign, say: its lease stands for a while."""
    stage = moving.stage
    await stage.redis.hset(keys.CAMPAIGNS, stage.campaign.uid, stage.vendor.uid)
    async with Leases(stage.redis, 10_000).hold(campaign_lease(stage.campaign.uid)) as lease:
        assert lease is not None
        modes, waits_for = await moving.move(campaigns=Mode.PHP, timeout_s=0.3)
    assert (modes.campaigns, waits_for) == (Mode.PHP, None)


async def test_a_claim_without_an_answer_does(moving: Moving) -> None:
    """PHP may have given it rows."""
    stage = moving.stage
    await stage.redis.hset(keys.CAMPAIGNS, stage.campaign.uid, stage.vendor.uid)
    await have_asked(stage.ledger, "claim")
    modes, waits_for = await moving.move(campaigns=Mode.PHP, timeout_s=0.3)
    assert modes.campaigns is Mode.HELD
    assert waits_for is not None
    assert "1 claim without an answer; no worker has it" in waits_for
    await moving.run()
    assert (await moving.move(campaigns=Mode.PHP))[0].campaigns is Mode.PHP


async def test_replies_do_not(moving: Moving) -> None:
    """PHP has asked for them, and they are sent in every mode."""
    stage = moving.stage
    replies = Ledger(stage.redis, replies_of(stage.vendor.uid), stage.vendor.uid)
    await have_claimed(replies, "claim", ["reply"])
    modes, waits_for = await moving.move(campaigns=Mode.PHP, timeout_s=0.3)
    assert (modes.campaigns, waits_for) == (Mode.PHP, None)


async def test_a_change_that_nobody_was_told_of_is_told_when_it_is_repeated(
    moving: Moving,
) -> None:
    await moving.elsewhere(campaigns=Mode.PHP, webhooks=Mode.PHP)
    assert moving.ours(), "whoever changed it died, and nobody knows"
    await moving.move(campaigns=Mode.PHP, webhooks=Mode.PHP)
    await eventually(lambda: not moving.ours())


async def test_many_vendors_in_few_calls(moving: Moving) -> None:
    stage = moving.stage
    vendors = [stage.embedded.seed_vendor().uid for _ in range(150)]
    calls = len(stage.php.to(contract.MODES))
    php = {"webhooks": Mode.PHP, "campaigns": Mode.PHP, "bots": Mode.PHP}
    changed = await moving.cutover().move(moving.asked(vendor_uids=[], **php))
    moved = {one.vendor_uid: one for one in changed.vendors}
    assert moved.keys() >= {*vendors, stage.vendor.uid}
    assert {one.modes.campaigns for one in moved.values()} == {Mode.PHP}
    assert not [one for one in moved.values() if one.waits_for]
    assert len(stage.php.to(contract.MODES)) == calls + 3
