"""Giving back rows that were not sent."""

import pytest

from contracts import backend as contract
from contracts.backend import MAX_CLAIM, CampaignState, ErrorCode
from sidecar.php.client import Backend, BackendError
from tests.workers.php import DROP, Answer, Php, refusal
from tests.workers.rows import CAMPAIGN, have_claimed, queued, state_of
from workers.sending.ledger import Ledger
from workers.sending.release import Release

RELEASE = contract.RELEASE_MESSAGES


@pytest.fixture
def release(backend: Backend, ledger: Ledger) -> Release:
    return Release(backend, ledger, vendor_uid="vendor-1", campaign_uid=CAMPAIGN)


async def test_rows_go_back_under_the_claim_that_brought_them(
    php: Php, release: Release, ledger: Ledger
) -> None:
    await have_claimed(ledger, "a", ["row-1", "row-3"])
    await have_claimed(ledger, "b", ["row-2"])
    release.add_rows([queued("row-1", "a"), queued("row-2", "b")])
    release.add("row-3", "a")
    await release.commit()
    assert [(call.json["claim_uid"], call.json["row_uids"]) for call in php.calls] == [
        ("a", ["row-1", "row-3"]),
        ("b", ["row-2"]),
    ]
    assert await ledger.empty()


async def test_nothing_is_no_call(php: Php, release: Release) -> None:
    await release.commit()
    assert not php.calls


async def test_what_was_given_back_is_not_given_back_again(php: Php, release: Release) -> None:
    release.add("row-1", "a")
    await release.commit()
    await release.commit()
    assert len(php.calls) == 1


async def test_more_than_one_call_takes(php: Php, release: Release, ledger: Ledger) -> None:
    uids = [f"row-{number}" for number in range(MAX_CLAIM + 1)]
    await have_claimed(ledger, "a", uids)
    for uid in uids:
        release.add(uid, "a")
    await release.commit()
    assert [len(call.json["row_uids"]) for call in php.calls] == [MAX_CLAIM, 1]
    assert await ledger.empty()


@pytest.mark.parametrize("given", [Answer(500), Answer(503), DROP, refusal(401, "key_unknown")])
async def test_what_php_does_not_take_stays_in_the_ledger(
    php: Php, release: Release, ledger: Ledger, given: Answer
) -> None:
    await have_claimed(ledger, "a", ["row-1"])
    await have_claimed(ledger, "b", ["row-2"])
    release.add("row-1", "a")
    release.add("row-2", "b")
    php.when(RELEASE, lambda call: given if call.json["claim_uid"] == "b" else None)
    with pytest.raises(BackendError):
        await release.commit()
    assert (await state_of(ledger)).claimed == {"row-2": "b"}


@pytest.mark.parametrize("code", [ErrorCode.CAMPAIGN_UNKNOWN, ErrorCode.VENDOR_UNKNOWN])
async def test_rows_of_a_campaign_that_was_deleted_need_not_go_back(
    php: Php, release: Release, ledger: Ledger, code: ErrorCode
) -> None:
    await have_claimed(ledger, "a", ["row-1"])
    release.add("row-1", "a")
    php.always(RELEASE, refusal(404, code))
    await release.commit()
    assert await ledger.empty()


async def test_somebody_elses_ledger_is_left_alone(
    php: Php, release: Release, ledger: Ledger
) -> None:
    await have_claimed(ledger, "b", ["row-1"])
    release.add("row-1", "a")
    await release.commit(forget=False)
    assert len(php.calls) == 1
    assert (await state_of(ledger)).claimed == {"row-1": "b"}


async def test_the_campaign_is_paused_with_the_reason(php: Php, release: Release) -> None:
    await release.keep_state(CampaignState.PAUSED, "131042 payment problem")
    [call] = php.calls
    assert call.json["campaign_state"] == CampaignState.PAUSED
    assert call.json["reason"] == "131042 payment problem"
    assert not call.json.get("row_uids")
