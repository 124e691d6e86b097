"""A campaign's table of states (``contracts/campaigns.py``), every entry of it: what PHP keeps and
refuses, and what becomes of what people do, by the sidecar and PHP together."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import nullcontext
from typing import Any

import orjson
import pytest

from contracts import backend as contract
from contracts.backend import ErrorCode
from contracts.campaigns import TRANSITIONS, CampaignAction, CampaignState, allows_write
from sidecar.php.client import Backend, make_backend
from sidecar.php.vendors import make_vendors
from sidecar.redis.client import Redis
from sidecar.sending.campaign_control import CampaignControl, CampaignRefused
from tests.conftest import MakeSettings
from tests.contract.caller import Answer, Caller, claim_request
from tests.contract.under_test import BackendUnderTest, Campaign

RUNNING, PAUSED, CANCELLED = CampaignState

#: What a claim is refused with.
STOPPED = {PAUSED: ErrorCode.CAMPAIGN_PAUSED, CANCELLED: ErrorCode.CAMPAIGN_CANCELLED}

STATES = pytest.mark.parametrize("before", list(CampaignState))
ACTIONS = pytest.mark.parametrize("action", list(CampaignAction))


async def _put(caller: Caller, campaign: Campaign, state: CampaignState, reason: str) -> None:
    """Have PHP keep a state, whatever it was."""
    if state is not RUNNING:
        await caller.release(campaign, campaign_state="running", restart=True)
    await caller.release(campaign, campaign_state=state, restart=True, reason=reason)


async def _kept(caller: Caller, campaign: Campaign) -> tuple[CampaignState, str | None]:
    [described] = (await caller.due(campaign)).campaigns
    return described.state, described.reason


async def _write(caller: Caller, campaign: Campaign, state: CampaignState, **fields: Any) -> Answer:
    request = {
        "vendor_uid": campaign.vendor.uid,
        "campaign_uid": campaign.uid,
        "campaign_state": state,
        **fields,
    }
    return await caller.signed(contract.RELEASE_MESSAGES, orjson.dumps(request))


# -- PHP --


async def test_a_new_campaign_is_as_the_table_says(caller: Caller, campaign: Campaign) -> None:
    [created] = [one.after for one in TRANSITIONS if one.before is None]
    assert await _kept(caller, campaign) == (created, None)


@STATES
async def test_php_takes_the_writes_of_the_table_and_no_other(
    caller: Caller, campaign: Campaign, before: CampaignState
) -> None:
    for after, restart in itertools.product(CampaignState, (False, True)):
        await _put(caller, campaign, before, "why")
        answer = await _write(caller, campaign, after, restart=restart, reason="why not")
        if allows_write(before, after, restart=restart):
            assert answer.status == 200, (after, restart)
            assert await _kept(caller, campaign) == (after, "why not")
        else:
            assert (answer.status, answer.code) == (409, ErrorCode.CAMPAIGN_CANCELLED)
            assert "is cancelled: why" in answer.json["error"]["message"]
            assert await _kept(caller, campaign) == (before, "why")


@STATES
async def test_what_can_be_done_in_each_state(
    caller: Caller, campaign: Campaign, before: CampaignState
) -> None:
    """Rows are claimed while it runs, given back always, and retried unless it is cancelled."""
    await caller.claim(campaign, 1, claim_uid="first")
    await _put(caller, campaign, before, "why")
    claim = await caller.signed(
        contract.CLAIM_MESSAGES, orjson.dumps(claim_request(campaign, 1, claim_uid="second"))
    )
    uids = {"vendor_uid": campaign.vendor.uid, "campaign_uid": campaign.uid}
    retry = await caller.signed(contract.RETRY_MESSAGES, orjson.dumps(uids))
    assert (claim.status, retry.status) == {
        RUNNING: (200, 200),
        PAUSED: (409, 200),
        CANCELLED: (409, 409),
    }[before]
    if before in STOPPED:
        assert claim.code == STOPPED[before]
        assert claim.json["error"]["message"].endswith(f"is {before}: why")
    recovered = await caller.claim(campaign, 1, claim_uid="first", recover=True)
    assert [row.uid for row in recovered.rows] == [campaign.row_uids[0]]
    assert await caller.release(campaign, campaign.row_uids[:1], claim_uid="first") == 1
    assert await _kept(caller, campaign) == (before, "why")


@pytest.mark.parametrize("kept", [None, 7, "stopped", "", ["paused"], {}])
async def test_a_state_that_there_is_not_counts_as_running(
    caller: Caller, campaign: Campaign, kept: object
) -> None:
    caller.backend.change("campaigns", {"__data.sidecar": {"state": kept}}, _uid=campaign.uid)
    assert await _kept(caller, campaign) == (RUNNING, None)
    assert len((await caller.claim(campaign)).rows) == 3


@STATES
async def test_writes_at_the_same_time_are_as_one_after_the_other(
    caller: Caller, campaign: Campaign, before: CampaignState
) -> None:
    for first, second in itertools.product(CampaignState, repeat=2):
        await _put(caller, campaign, before, "why")
        answers = await asyncio.gather(
            *(_write(caller, campaign, state, reason="now") for state in (first, second))
        )
        found = ((await _kept(caller, campaign))[0], *(answer.status for answer in answers))
        state, second_status, first_status = _one_after_the_other(before, second, first)
        assert found in {
            _one_after_the_other(before, first, second),
            (state, first_status, second_status),
        }


def _one_after_the_other(
    state: CampaignState, first: CampaignState, second: CampaignState
) -> tuple[CampaignState, int, int]:
    answers = []
    for after in (first, second):
        allowed = allows_write(state, after, restart=False)
        answers.append(200 if allowed else 409)
        state = after if allowed else state
    return state, answers[0], answers[1]


# -- the sidecar and PHP --


@pytest.fixture
async def php(make_settings: MakeSettings, backend: BackendUnderTest) -> AsyncIterator[Backend]:
    key_id, secret = next(iter(backend.keys.items()))
    settings = make_settings(backend_url=backend.base_url, signing_keys={key_id: secret.decode()})
    client = make_backend(settings)
    yield client
    await client.close()


@pytest.fixture
async def control(
    make_settings: MakeSettings, php: Backend, redis: Redis
) -> AsyncIterator[CampaignControl]:
    vendors = make_vendors(make_settings(), php)
    control = CampaignControl(redis, php, vendors)
    yield control
    await control.close()
    await vendors.close()


@ACTIONS
@STATES
async def test_what_people_do(
    caller: Caller,
    campaign: Campaign,
    control: CampaignControl,
    before: CampaignState,
    action: CampaignAction,
) -> None:
    await _put(caller, campaign, before, "why")
    after = TRANSITIONS.after(before, action)
    if after is None:
        with pytest.raises(CampaignRefused, match="was cancelled") as refused:
            await control.act(campaign.uid, action, "why not")
        assert (refused.value.status, refused.value.code) == (409, ErrorCode.CAMPAIGN_CANCELLED)
        assert await _kept(caller, campaign) == (before, "why")
    else:
        answer = await control.act(campaign.uid, action, "why not")
        assert answer.state == after
        assert (await _kept(caller, campaign))[0] == after


@ACTIONS
@pytest.mark.parametrize("before", [RUNNING, PAUSED])
async def test_a_cancel_between_look_and_write_wins(
    caller: Caller,
    campaign: Campaign,
    php: Backend,
    control: CampaignControl,
    monkeypatch: pytest.MonkeyPatch,
    before: CampaignState,
    action: CampaignAction,
) -> None:
    """Whoever acts has seen it running or paused; by the time of the write it is cancelled."""
    await _put(caller, campaign, before, "why")
    after = TRANSITIONS.after(before, action)
    writes = after is not RUNNING or before is not RUNNING
    call = php.call

    async def cancelled_first(path: str, *arguments: Any) -> Any:
        if path == contract.RELEASE_MESSAGES:
            await caller.release(campaign, campaign_state="cancelled", reason="stop it")
        return await call(path, *arguments)

    monkeypatch.setattr(php, "call", cancelled_first)
    refused = writes and after is not CANCELLED
    with pytest.raises(CampaignRefused, match="was cancelled") if refused else nullcontext():
        await control.act(campaign.uid, action)
    assert (await _kept(caller, campaign))[0] == (CANCELLED if writes else before)
