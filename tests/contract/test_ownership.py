"""What a vendor's modes let the sidecar do. PHP itself refuses who acts by yesterday's modes."""

import asyncio
from collections.abc import Iterator

import orjson
import pytest

from contracts import backend as contract
from contracts.backend import QueueStatus
from contracts.cloud_api.webhook import SIGNATURE_HEADER, sign
from tests.contract.caller import Caller, claim_request
from tests.contract.payloads import accepted, now_ms, result
from tests.contract.switching import switch
from tests.contract.under_test import BackendUnderTest, Campaign, Vendor

LONG_AGO = "2001-01-01 00:00:00"
WEBHOOKS = "whatsapp_webhook_queue"
REFUSED = (409, contract.ErrorCode.VENDOR_NOT_ON_SIDECAR)

not_ours = pytest.mark.parametrize("mode", ["php", "shadow", "held"])


@pytest.fixture
def no_webhooks(backend: BackendUnderTest) -> Iterator[None]:
    """What other tests have stored would be handed over too."""
    backend.delete(WEBHOOKS)
    yield
    backend.delete(WEBHOOKS)


def _statuses(caller: Caller, campaign: Campaign) -> list[int]:
    rows = caller.backend.rows("whatsapp_message_queue", campaigns__id=campaign.id)
    return [row["status"] for row in rows]


@not_ours
async def test_campaigns_that_are_not_the_sidecars(
    caller: Caller, vendor: Vendor, campaign: Campaign, mode: str
) -> None:
    await switch(caller, vendor, campaigns=mode)
    assert await caller.refusal(contract.CLAIM_MESSAGES, claim_request(campaign)) == REFUSED
    assert _statuses(caller, campaign) == [1, 1, 1]
    assert (await caller.due(campaign)).campaigns[0].on_sidecar is False
    due = await caller.due(limit=1000)
    assert campaign.uid not in [one.campaign_uid for one in due.campaigns]
    await switch(caller, vendor, campaigns="sidecar", webhooks="php")
    assert (await caller.due(campaign)).campaigns[0].on_sidecar is True
    due = await caller.due(limit=1000)
    assert campaign.uid in [one.campaign_uid for one in due.campaigns]
    assert len((await caller.claim(campaign)).rows) == 3


@not_ours
async def test_what_was_claimed_before_is_ended(caller: Caller, vendor: Vendor, mode: str) -> None:
    """Returned, reported, or found again by who lost the answer."""
    campaign = caller.backend.seed_campaign(vendor, 5)
    claim = await caller.claim(campaign, 4, claim_uid="mine")
    await switch(caller, vendor, campaigns=mode)
    first, second, third, fourth = (row.uid for row in claim.rows)
    again = await caller.claim(campaign, claim_uid="mine", recover=True)
    assert again.rows == claim.rows
    await caller.report(
        accepted(campaign, first, claim_uid="mine"),
        result(campaign, second, "requeue", claim_uid="mine", due_at=now_ms()),
        result(campaign, third, "unknown", claim_uid="mine"),
    )
    assert await caller.release(campaign, [fourth], claim_uid="mine") == 1
    assert _statuses(caller, campaign) == [4, 1, 6, 1, 1]


@not_ours
async def test_rows_that_stand_in_3_are_the_crons(
    caller: Caller, vendor: Vendor, campaign: Campaign, mode: str
) -> None:
    await caller.claim(campaign, 1)
    values = {"updated_at": LONG_AGO}
    caller.backend.change("whatsapp_message_queue", values, campaigns__id=campaign.id)
    await switch(caller, vendor, campaigns=mode)
    await caller.due()
    assert _statuses(caller, campaign) == [QueueStatus.PROCESSING, 1, 1]
    await switch(caller, vendor, campaigns="sidecar", webhooks="php", bots="shadow")
    await caller.due()
    assert _statuses(caller, campaign) == [QueueStatus.UNKNOWN, 1, 1]


@not_ours
async def test_a_pause_outlives_a_change_of_sides(
    caller: Caller, vendor: Vendor, campaign: Campaign, mode: str
) -> None:
    """There and back, and whoever sends can be told to stop and to go on."""
    await caller.release(campaign, campaign_state="paused", reason="wrong prices")
    await switch(caller, vendor, campaigns=mode)
    [found] = (await caller.due(campaign)).campaigns
    assert (found.state, found.reason, found.on_sidecar) == ("paused", "wrong prices", False)
    await switch(caller, vendor, campaigns="sidecar")
    paused = (409, contract.ErrorCode.CAMPAIGN_PAUSED)
    assert await caller.refusal(contract.CLAIM_MESSAGES, claim_request(campaign)) == paused
    await switch(caller, vendor, campaigns=mode)
    await caller.release(campaign, campaign_state="running")
    await switch(caller, vendor, campaigns="sidecar")
    assert len((await caller.claim(campaign)).rows) == 3


async def _post(caller: Caller, vendor: Vendor) -> None:
    body = b"{}"
    signed = {SIGNATURE_HEADER: sign(vendor.app_secret.encode(), body)}
    answer = await caller.raw(f"/whatsapp-webhook/{vendor.uid}", body, signed)
    assert answer.status == 200


@pytest.mark.parametrize("mode", ["php", "shadow"])
@pytest.mark.usefixtures("no_webhooks")
async def test_stored_webhooks_that_are_not_the_sidecars(
    caller: Caller, vendor: Vendor, mode: str
) -> None:
    """PHP's route stores them whoever works them off."""
    await switch(caller, vendor, webhooks=mode)
    await _post(caller, vendor)
    answer = await caller.call(contract.PENDING_WEBHOOKS, {})
    assert (answer["webhooks"], answer["pending"]) == ([], 0)
    assert (await caller.due()).pending_webhooks == 0
    taken = [row["_uid"] for row in caller.backend.rows(WEBHOOKS)]
    assert (await caller.call(contract.PENDING_WEBHOOKS, {"taken": taken}))["deleted"] == 0
    await switch(caller, vendor, webhooks="sidecar", campaigns="php")
    assert (await caller.due()).pending_webhooks == 1
    answer = await caller.call(contract.PENDING_WEBHOOKS, {})
    assert [one["uid"] for one in answer["webhooks"]] == taken
    assert (await caller.call(contract.PENDING_WEBHOOKS, {"taken": taken}))["deleted"] == 1


async def test_nothing_is_claimed_once_a_change_is_answered(caller: Caller) -> None:
    """Whoever is told that the campaigns are held knows all the rows that are still under way."""
    for _ in range(5):
        vendor = caller.backend.seed_vendor()
        campaigns = [caller.backend.seed_campaign(vendor, 40) for _ in range(4)]
        begun = asyncio.Event()

        async def claim(campaign: Campaign, begun: asyncio.Event = begun) -> None:
            for number in range(20):
                request = claim_request(campaign, 2, claim_uid=f"c{number}")
                answer = await caller.signed(contract.CLAIM_MESSAGES, orjson.dumps(request))
                if answer.status != 200:
                    assert (answer.status, answer.code) == REFUSED
                    return
                begun.set()

        claims = [asyncio.create_task(claim(campaign)) for campaign in campaigns]
        await begun.wait()
        await switch(caller, vendor, campaigns="held")
        held = [_statuses(caller, campaign) for campaign in campaigns]
        await asyncio.gather(*claims)
        assert [_statuses(caller, campaign) for campaign in campaigns] == held
        assert any(3 in statuses and 1 in statuses for statuses in held)
