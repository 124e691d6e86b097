"""Claiming: what PHP has claimed for us is known to us in the end, whatever got lost."""

from typing import Any

import pytest

from contracts import backend as contract
from contracts.backend import ErrorCode
from sidecar.php.client import Backend, BackendError, BackendRefused
from sidecar.redis import keys
from sidecar.redis.client import Redis, RedisUnavailable
from sidecar.redis.lease import Lease
from tests.contract.embedded import EmbeddedBackend
from tests.contract.under_test import Campaign
from tests.workers.php import DROP, Answer, Call, Php, answer, refusal
from tests.workers.rows import CAMPAIGN, claimed_row, have_asked, state_of
from workers.sending.claimer import CALLS_PER_LEASE, CampaignStopped, Claimer
from workers.sending.ledger import Ledger

CLAIM = contract.CLAIM_MESSAGES


@pytest.fixture
def claimer(backend: Backend, ledger: Ledger, campaign_lease_held: Lease) -> Claimer:
    return Claimer(
        backend, ledger, campaign_lease_held, vendor_uid="vendor-1", campaign_uid=CAMPAIGN
    )


def giving(php: Php, uids: list[str], due: int = 0) -> None:
    """Have PHP claim these rows, once."""
    left = [[claimed_row(uid).model_dump(mode="json") for uid in uids]]

    def rule(call: Call) -> Answer:
        rows = left.pop() if left and not call.json.get("recover") else []
        return answer({"rows": rows, "due": due})

    php.when(CLAIM, rule)


async def test_rows_are_written_down_before_anybody_gets_them(
    php: Php, claimer: Claimer, ledger: Ledger
) -> None:
    giving(php, ["row-1", "row-2"], due=7)
    rows = await claimer.claim(50, now=5)
    assert [row.uid for row in rows] == ["row-1", "row-2"]
    [call] = php.calls
    assert call.json["limit"] == 50
    assert "recover" not in call.json or call.json["recover"] is False
    assert {row.claim_uid for row in rows} == {call.json["claim_uid"]}
    assert (await state_of(ledger)).claimed == dict.fromkeys(["row-1", "row-2"], rows[0].claim_uid)
    assert await ledger.open_claims() == []
    assert not claimer.exhausted


async def test_rows_that_have_ended_at_the_claim_are_counted(
    php: Php, claimer: Claimer, redis: Redis
) -> None:
    php.when(CLAIM, lambda _call: answer({"rows": [], "expired": 2, "skipped": 3}))
    assert await claimer.claim(50, now=5) == []
    counted = await redis.hgetall(keys.counters("vendor-1"))
    assert counted == {b"expired": b"2", b"skipped": b"3"}


async def test_the_claim_is_written_down_before_php_is_asked(
    php: Php, claimer: Claimer, ledger: Ledger
) -> None:
    seen: list[Any] = []

    async def look(call: Call) -> Answer:
        seen.append((await ledger.open_claims(), call.json["claim_uid"]))
        return answer({"rows": []})

    php.when(CLAIM, look)
    await claimer.claim(10, now=5)
    [(open_claims, claim_uid)] = seen
    assert open_claims == [claim_uid]


async def test_nothing_is_due_any_more(php: Php, claimer: Claimer) -> None:
    giving(php, ["row-1"], due=0)
    await claimer.claim(10, now=5)
    assert claimer.exhausted
    giving(php, ["row-2"], due=3)
    await claimer.claim(10, now=5)
    assert not claimer.exhausted


async def test_it_is_not_exhausted_before_the_last_rows_are_there(
    php: Php, claimer: Claimer, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever sees no rows and no more to claim ends the run."""
    seen: list[bool] = []
    claimed = ledger.claimed

    async def look(lease: Lease, claim_uid: str, row_uids: list[str], **more: Any) -> list[str]:
        reasons = await claimed(lease, claim_uid, row_uids, **more)
        seen.append(claimer.exhausted)
        return reasons

    monkeypatch.setattr(ledger, "claimed", look)
    giving(php, ["row-1"], due=0)
    await claimer.claim(10, now=5)
    assert seen == [False]


async def test_every_call_has_a_higher_fence(php: Php, claimer: Claimer, redis: Redis) -> None:
    for _ in range(3):
        await claimer.claim(10, now=5)
    fences = [call.json["fence"] for call in php.calls]
    token = int(await redis.get(keys.fence(f"campaign:{CAMPAIGN}")) or 0)
    assert fences == [token * CALLS_PER_LEASE + n for n in (1, 2, 3)]
    assert fences[-1] < (token + 1) * CALLS_PER_LEASE < 2**63


@pytest.mark.parametrize("given", [DROP, Answer(500), Answer(200, b"<html>"), Answer(503)])
async def test_what_a_lost_answer_has_brought_is_asked_for(
    php: Php, claimer: Claimer, ledger: Ledger, given: Answer
) -> None:
    php.once(CLAIM, given)
    with pytest.raises(BackendError):
        await claimer.claim(10, now=5)
    [claim_uid] = await ledger.open_claims()
    rows = [claimed_row("row-1").model_dump(mode="json")]
    php.always(CLAIM, answer({"rows": rows, "due": 1}))
    [row] = await claimer.claim(10, now=5)
    assert (row.uid, row.claim_uid) == ("row-1", claim_uid)
    assert [call.json.get("recover", False) for call in php.calls] == [False, True]
    assert await ledger.open_claims() == []
    assert not claimer.exhausted, "what is due now was not asked"


async def test_a_lost_answer_that_has_brought_nothing_is_followed_by_a_claim(
    php: Php, claimer: Claimer, ledger: Ledger
) -> None:
    php.once(CLAIM, DROP)
    with pytest.raises(BackendError):
        await claimer.claim(10, now=5)
    assert await claimer.claim(10, now=5) == []
    assert [call.json.get("recover", False) for call in php.calls] == [False, True, False]
    assert len({call.json["claim_uid"] for call in php.calls}) == 2
    assert await ledger.open_claims() == []


async def test_the_recovery_may_get_lost_too(php: Php, claimer: Claimer) -> None:
    for _ in range(3):
        php.once(CLAIM, DROP)
    for _ in range(3):
        with pytest.raises(BackendError):
            await claimer.claim(10, now=5)
    await claimer.claim(10, now=5)
    assert [call.json.get("recover", False) for call in php.calls] == [
        *[False, True, True],
        *[True, False],
    ]


async def test_php_is_not_asked_while_nothing_can_be_written_down(
    php: Php, claimer: Claimer, redis: Redis
) -> None:
    await redis.set(keys.claims(CAMPAIGN), "not a hash")
    with pytest.raises(Exception, match="WRONGTYPE"):
        await claimer.claim(10, now=5)
    assert not php.calls


async def test_redis_goes_away_when_php_has_claimed(
    php: Php, claimer: Claimer, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    giving(php, ["row-1"])

    async def fail(*_: object, **__: object) -> None:
        raise RedisUnavailable[0]("gone")

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "claimed", fail)
        with pytest.raises(RedisUnavailable):
            await claimer.claim(10, now=5)
    rows = [claimed_row("row-1").model_dump(mode="json")]
    php.always(CLAIM, answer({"rows": rows}))
    [row] = await claimer.claim(10, now=5)
    assert row.uid == "row-1"


# -- refusals --


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (409, ErrorCode.CAMPAIGN_PAUSED),
        (409, ErrorCode.CAMPAIGN_CANCELLED),
        (409, ErrorCode.FENCE_STALE),
        (404, ErrorCode.CAMPAIGN_UNKNOWN),
        (404, ErrorCode.VENDOR_UNKNOWN),
    ],
)
async def test_php_refuses_and_nothing_was_claimed(
    php: Php, claimer: Claimer, ledger: Ledger, status: int, code: ErrorCode
) -> None:
    php.always(CLAIM, refusal(status, code))
    with pytest.raises(CampaignStopped, match=code):
        await claimer.claim(10, now=5)
    assert await ledger.empty()


@pytest.mark.parametrize(("status", "code"), [(401, "key_unknown"), (400, "request_invalid")])
async def test_a_call_that_php_does_not_understand_says_nothing_about_the_campaign(
    php: Php, claimer: Claimer, status: int, code: str
) -> None:
    php.always(CLAIM, refusal(status, code))
    with pytest.raises(BackendRefused):
        await claimer.claim(10, now=5)


# -- an earlier holder's claims --


async def test_an_earlier_holders_claim_is_recovered(
    php: Php, claimer: Claimer, ledger: Ledger
) -> None:
    await have_asked(ledger, "old")
    rows = [claimed_row("row-1").model_dump(mode="json")]
    php.always(CLAIM, answer({"rows": rows}))
    await claimer.recover("old")
    assert (await state_of(ledger)).claimed == {"row-1": "old"}
    assert await ledger.open_claims() == []
    assert php.calls[0].json["limit"] == contract.MAX_CLAIM


async def test_a_claim_that_cannot_be_recovered_now_stays(
    php: Php, claimer: Claimer, ledger: Ledger
) -> None:
    await have_asked(ledger, "old")
    php.always(CLAIM, refusal(409, ErrorCode.FENCE_STALE))
    with pytest.raises(CampaignStopped):
        await claimer.recover("old")
    assert await ledger.open_claims() == ["old"]


@pytest.mark.parametrize("code", [ErrorCode.CAMPAIGN_UNKNOWN, ErrorCode.VENDOR_UNKNOWN])
async def test_the_claims_of_a_campaign_that_was_deleted_are_closed(
    php: Php, claimer: Claimer, ledger: Ledger, code: ErrorCode
) -> None:
    """Otherwise somebody would ask for them once a second, for ever."""
    await have_asked(ledger, "old")
    php.always(CLAIM, refusal(404, code))
    with pytest.raises(CampaignStopped):
        await claimer.recover("old")
    assert await ledger.empty()


# -- with a PHP that has tables --


@pytest.fixture
def campaign(embedded: EmbeddedBackend) -> Campaign:
    return embedded.seed_campaign(embedded.seed_vendor(), 20)


@pytest.fixture
def real_claimer(
    campaign: Campaign, real_backend: Backend, redis: Redis, campaign_lease_held: Lease
) -> Claimer:
    return Claimer(
        real_backend,
        Ledger(redis, campaign.uid, campaign.vendor.uid),
        campaign_lease_held,
        vendor_uid=campaign.vendor.uid,
        campaign_uid=campaign.uid,
    )


async def test_the_same_rows_come_back(
    embedded: EmbeddedBackend, real_php: Php, campaign: Campaign, real_claimer: Claimer
) -> None:
    real_php.do_and_drop(CLAIM)
    with pytest.raises(BackendError):
        await real_claimer.claim(5, now=5)
    rows = await real_claimer.claim(5, now=5)
    assert [row.uid for row in rows] == list(campaign.row_uids[:5])
    queue = embedded.rows("whatsapp_message_queue", campaigns__id=campaign.id)
    assert [row["status"] for row in queue] == [3] * 5 + [1] * 15


async def test_a_claim_that_php_gets_to_late_is_refused(
    embedded: EmbeddedBackend, real_php: Php, campaign: Campaign, real_claimer: Claimer
) -> None:
    """Its caller has given up on it, and has asked what it had brought: nothing."""
    held: list[Call] = []

    def hold(call: Call) -> Answer | None:
        if not held:
            held.append(call)
            return DROP
        return None

    real_php.when(CLAIM, hold)
    with pytest.raises(BackendError):
        await real_claimer.claim(5, now=5)
    rows = await real_claimer.claim(5, now=5)
    assert len(rows) == 5
    late = await real_php._forward(held[0])
    assert late.status == 409
    assert b"fence_stale" in late.content
    queue = embedded.rows("whatsapp_message_queue", campaigns__id=campaign.id)
    assert [row["status"] for row in queue] == [3] * 5 + [1] * 15
