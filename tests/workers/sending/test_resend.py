"""A message of unknown outcome that a person has sent again goes out once more; one that was given
up does not."""

from contracts.backend import ResolveAction
from contracts.jobs import Job, send_campaign
from sidecar.redis.lease import Leases
from sidecar.sending.unknown_messages import Choice, UnknownMessages
from simulator.cloud_api.fault import FaultKind
from tests.workers.stage import Stage
from workers.reconciler import Reconciler


async def test_a_message_is_sent_again_when_a_person_says_so(stage: Stage) -> None:
    stage.fault(FaultKind.RESET_BEFORE_READ, times=2)
    await stage.run_to_the_end()
    assert stage.statuses() == {4: 10, 6: 2}
    messages = UnknownMessages(stage.backend)
    choice = Choice(vendor_uid=stage.vendor.uid)
    listed = [message.uid async for message in messages.all(choice)]
    assert sorted(listed) == sorted(set(stage.campaign.row_uids) - set(stage.accepts()))

    again, given_up = listed
    for uid, action in ((again, ResolveAction.RESEND), (given_up, ResolveAction.GIVE_UP)):
        [result] = await messages.resolve([uid], action)
        assert result.result == "done"

    rung: list[Job] = []
    leases = Leases(stage.redis, 10_000)
    reconciler = Reconciler(stage.settings, stage.redis, stage.backend, leases, rung.append)
    assert not await stage.listed()
    await reconciler.find_due_campaigns()
    assert rung == [send_campaign(stage.vendor.uid, stage.campaign.uid)]
    await stage.run_to_the_end()
    assert stage.statuses() == {4: 11, 2: 1}
    assert set(stage.accepts()) == set(stage.campaign.row_uids) - {given_up}
