"""A campaign whose contacts have opted out since, were blocked or deleted; what failed, retried."""

import pytest

from contracts import backend as contract
from sidecar.ops.accounting import Counters
from tests.workers.stage import Stage

pytestmark = pytest.mark.usefixtures("short_pauses")


def _contacts(stage: Stage) -> list[int]:
    rows = stage.embedded.rows("whatsapp_message_queue", campaigns__id=stage.campaign.id)
    return [row["contacts__id"] for row in rows]


async def test_who_has_opted_out_holds_nothing_up(stage: Stage) -> None:
    opted_out, blocked, deleted, *_ = _contacts(stage)
    stage.embedded.change("contacts", {"whatsapp_opt_out": 1}, _id=opted_out)
    stage.embedded.change("contacts", {"wa_blocked_at": "2025-01-01 00:00:00"}, _id=blocked)
    stage.embedded.delete("contacts", _id=deleted)
    assert await stage.run() is False
    assert stage.statuses() == {2: 3, 4: 9}
    assert sorted(stage.accepts()) == sorted(stage.campaign.row_uids[3:])
    assert not await stage.listed()
    [accounting] = await Counters(stage.redis).read()
    assert (accounting.skipped, accounting.sends.total, accounting.balanced) == (3, 9, True)


async def test_where_all_have_opted_out_it_ends(stage: Stage) -> None:
    for contact in _contacts(stage):
        stage.embedded.change("contacts", {"whatsapp_opt_out": 1}, _id=contact)
    assert await stage.run() is False
    assert stage.statuses() == {2: 12}
    assert stage.accepts() == {}
    assert not await stage.listed()
    assert await stage.ledger.empty()


async def test_what_has_failed_is_sent_when_it_is_retried(stage: Stage) -> None:
    uids = list(stage.campaign.row_uids)
    number = stage.campaign.recipients[0]
    stage.embedded.change("whatsapp_message_queue", {"phone_with_country_code": ""}, _uid=uids[0])
    await stage.run()
    stage.embedded.change(
        "whatsapp_message_queue", {"phone_with_country_code": number}, _uid=uids[0]
    )
    request = contract.RetryMessagesRequest(
        vendor_uid=stage.vendor.uid, campaign_uid=stage.campaign.uid
    )
    answer = await stage.backend.call(
        contract.RETRY_MESSAGES, request, contract.RetryMessagesAnswer
    )
    assert answer.retried == 1
    await stage.run()
    assert stage.all_accepted()
    assert sorted(stage.accepts()) == sorted(uids)
    stage.assert_settled()
