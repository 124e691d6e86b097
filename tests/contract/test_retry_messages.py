"""``retry-messages``: failed rows that certainly were not sent go back into the queue."""

import asyncio
from typing import Any

import orjson
import pytest

from contracts import backend as contract
from contracts.backend import ErrorCode, LeftRows, QueueStatus, RetryMessagesAnswer
from tests.contract.caller import Caller
from tests.contract.payloads import (
    RATE_ERROR,
    accepted,
    failed,
    message,
    now_ms,
    result,
    status,
    status_object,
    wamid_of,
)
from tests.contract.under_test import BackendUnderTest, Campaign, Row, Vendor

PAUSED_TEMPLATE = 132015


def _rows(backend: BackendUnderTest, campaign: Campaign) -> list[Row]:
    return backend.rows("whatsapp_message_queue", campaigns__id=campaign.id)


def _statuses(backend: BackendUnderTest, campaign: Campaign) -> list[int]:
    return [row["status"] for row in _rows(backend, campaign)]


def _left(answer: RetryMessagesAnswer) -> list[tuple[str, str | None, int]]:
    return [(one.reason, one.error_status, one.count) for one in answer.left]


@pytest.fixture
async def stopped(caller: Caller, vendor: Vendor) -> Campaign:
    """A campaign of five rows: three failed of one error, one of another, and one is queued."""
    campaign = caller.backend.seed_campaign(vendor, 5)
    await caller.claim(campaign, 4)
    uids = campaign.row_uids
    await caller.report(
        *(failed(campaign, uid, PAUSED_TEMPLATE) for uid in uids[:3]), failed(campaign, uids[3])
    )
    assert _statuses(caller.backend, campaign) == [2, 2, 2, 2, 1]
    return campaign


async def test_failed_rows_are_queued_again(caller: Caller, stopped: Campaign) -> None:
    answer = await caller.retry(stopped)
    assert (answer.retried, answer.left, answer.next) == (4, [], None)
    assert [(one.error_status, one.count) for one in answer.rows] == [("132015", 3), ("131026", 1)]
    assert answer.rows[0].message == "Message undeliverable: no such user"
    rows = _rows(caller.backend, stopped)
    assert [row["status"] for row in rows] == [1] * 5
    assert "process_response" not in rows[0]["__data"]
    claim = await caller.claim(stopped, claim_uid="again")
    assert [row.uid for row in claim.rows] == list(stopped.row_uids)


async def test_only_rows_with_these_errors(caller: Caller, stopped: Campaign) -> None:
    answer = await caller.retry(stopped, codes=["132015", "470"])
    assert (answer.retried, answer.left) == (3, [])
    assert [one.error_status for one in answer.rows] == ["132015"]
    assert _statuses(caller.backend, stopped) == [1, 1, 1, 2, 1]


async def test_repeated_it_changes_nothing(caller: Caller, stopped: Campaign) -> None:
    assert (await caller.retry(stopped)).retried == 4
    before = _rows(caller.backend, stopped)
    again = await caller.retry(stopped)
    assert (again.retried, again.rows, again.left, again.next) == (0, [], [], None)
    assert _rows(caller.backend, stopped) == before


async def test_calls_at_the_same_time_count_each_row_once(
    caller: Caller, stopped: Campaign
) -> None:
    answers = await asyncio.gather(*(caller.retry(stopped) for _ in range(5)))
    assert sum(answer.retried for answer in answers) == 4


async def test_a_dry_run_counts_and_changes_nothing(caller: Caller, stopped: Campaign) -> None:
    before = _rows(caller.backend, stopped)
    tried = await caller.retry(stopped, dry_run=True)
    assert _rows(caller.backend, stopped) == before
    assert tried == await caller.retry(stopped)


async def test_page_by_page(caller: Caller, stopped: Campaign) -> None:
    """Rows that a page leaves out are passed by."""
    pages = []
    after = None
    while True:
        page = await caller.retry(stopped, codes=["131026"], limit=2, after=after)
        pages.append(page.retried)
        if (after := page.next) is None:
            break
    assert pages == [0, 1]
    assert (await caller.retry(stopped, limit=3)).next is None


@pytest.mark.parametrize(
    "fields",
    [
        {"after": "x"},
        {"after": "-1"},
        {"after": "1\n"},
        {"limit": 0},
        {"limit": 1001},
        {"codes": []},
        {"codes": [1]},
        {"codes": ["x"] * 101},
        {"dry_run": 2},
        {"other": 1},
    ],
)
async def test_a_request_that_is_wrong(
    caller: Caller, campaign: Campaign, fields: dict[str, Any]
) -> None:
    request = {"vendor_uid": campaign.vendor.uid, "campaign_uid": campaign.uid, **fields}
    refused = await caller.refusal(contract.RETRY_MESSAGES, request)
    assert refused == (400, ErrorCode.REQUEST_INVALID)


# -- which rows --


async def test_its_attempts_begin_anew(caller: Caller, campaign: Campaign) -> None:
    uid = campaign.row_uids[0]
    for attempt in range(6):
        claim = await caller.claim(campaign, 1, claim_uid=f"c{attempt}")
        assert [row.retries for row in claim.rows] == [attempt]
        await caller.report(result(campaign, uid, "requeue", due_at=1, error=RATE_ERROR))
    row = _rows(caller.backend, campaign)[0]
    response = row["__data"]["process_response"]
    assert (row["status"], response["error_status"]) == (2, "retries_exhausted_error")
    answer = await caller.retry(campaign, codes=["retries_exhausted_error"])
    assert answer.retried == 1
    claim = await caller.claim(campaign, 1)
    assert [(row.uid, row.retries) for row in claim.rows] == [(uid, 0)]


async def test_a_row_that_could_not_be_claimed(caller: Caller, campaign: Campaign) -> None:
    uid = campaign.row_uids[0]
    empty = {"phone_with_country_code": ""}
    caller.backend.change("whatsapp_message_queue", empty, _uid=uid)
    await caller.claim(campaign)
    number = {"phone_with_country_code": campaign.recipients[0]}
    caller.backend.change("whatsapp_message_queue", number, _uid=uid)
    answer = await caller.retry(campaign)
    assert [one.error_status for one in answer.rows] == ["campaign_data_invalid_error"]
    assert [row.uid for row in (await caller.claim(campaign, claim_uid="again")).rows] == [uid]


async def test_what_was_never_known_stays(caller: Caller, vendor: Vendor) -> None:
    """Given up; or sent again by a person, and failed then: the first attempt may have sent it."""
    campaign = caller.backend.seed_campaign(vendor, 3)
    given_up, resent, stale = campaign.row_uids
    await caller.claim(campaign)
    await caller.report(*(result(campaign, uid, "unknown") for uid in (given_up, resent)))
    caller.backend.change(
        "whatsapp_message_queue", {"updated_at": "2001-01-01 00:00:00"}, _uid=stale
    )
    await caller.due(stale_after_s=60)
    for uids, action in (([given_up], "give_up"), ([resent, stale], "resend")):
        await caller.call(contract.RESOLVE_MESSAGES, {"row_uids": uids, "action": action})
    await caller.claim(campaign, claim_uid="again")
    await caller.report(*(failed(campaign, uid) for uid in (resent, stale)))
    assert _statuses(caller.backend, campaign) == [2, 2, 2]
    for codes in (None, ["131026", "unknown_given_up_error"]):
        answer = await caller.retry(campaign, codes=codes)
        assert answer.retried == 0
        assert _left(answer) == [
            ("given_up", "unknown_given_up_error", 1),
            ("maybe_sent", "131026", 2),
        ]
        assert all(isinstance(one, LeftRows) for one in answer.left)
    assert _statuses(caller.backend, campaign) == [2, 2, 2]


async def test_what_somebody_else_has_ended_stays(caller: Caller, stopped: Campaign) -> None:
    """PHP's own cron, say: what it calls an error may be an answer that did not come."""
    first, second = stopped.row_uids[:2]
    response = {"error_message": "cURL error 28", "error_status": "connection_error"}
    values = {"updated_at": "2031-01-01 00:00:00", "__data.process_response": response}
    caller.backend.change("whatsapp_message_queue", values, _uid=first)
    caller.backend.change("whatsapp_message_queue", {"__data.sidecar": None}, _uid=second)
    answer = await caller.retry(stopped)
    assert answer.retried == 2
    assert _left(answer) == [("maybe_sent", "connection_error", 1), ("maybe_sent", "132015", 1)]


@pytest.mark.parametrize(
    ("sidecar", "retried"),
    [
        ({}, 1),
        ({"results": ["requeue:1", "failed:2"], "superseded_wamids": ["wamid.1"]}, 1),
        ({"results": ["unknown:1", "failed:2"]}, 0),
        ({"maybe_sent": True}, 0),
        ({"not_sent_at": "2001-01-01 00:00:00"}, 0),
        ({"not_sent_at": None}, 0),
        ({"retries": 1}, 0),
        ({"retries": "x", "results": {"unknown:1": 1}}, 1),
    ],
)
async def test_what_a_row_must_say(
    caller: Caller, stopped: Campaign, sidecar: dict[str, Any], retried: int
) -> None:
    row = _rows(caller.backend, stopped)[3]
    kept = {"not_sent_at": row["updated_at"], **sidecar}
    caller.backend.change("whatsapp_message_queue", {"__data.sidecar": kept}, _uid=row["_uid"])
    assert (await caller.retry(stopped, codes=["131026"])).retried == retried


async def test_what_a_cron_has_tried_before_stays(caller: Caller, campaign: Campaign) -> None:
    """Its attempts count as ``retries`` too, and may have sent the row."""
    by_cron, by_us, _ = campaign.row_uids
    caller.backend.change("whatsapp_message_queue", {"retries": 2}, _uid=by_cron)
    await caller.claim(campaign, 2)
    await caller.report(
        *(result(campaign, uid, "requeue", due_at=1, error=RATE_ERROR) for uid in (by_cron, by_us))
    )
    await caller.claim(campaign, 2)
    await caller.report(*(failed(campaign, uid) for uid in (by_cron, by_us)))
    answer = await caller.retry(campaign)
    assert (answer.retried, _left(answer)) == (1, [("maybe_sent", "131026", 1)])
    assert _statuses(caller.backend, campaign)[:2] == [2, 1]


@pytest.mark.parametrize("response", [None, [], "x", {"error_status": 131026}, {}])
async def test_errors_of_any_shape(caller: Caller, stopped: Campaign, response: object) -> None:
    caller.backend.change(
        "whatsapp_message_queue", {"__data.process_response": response}, _uid=stopped.row_uids[0]
    )
    assert (await caller.retry(stopped)).retried == 4


async def test_a_message_that_a_status_failed_is_not_sent_again(
    caller: Caller, campaign: Campaign
) -> None:
    """It is in the log, and its row is gone."""
    uid = campaign.row_uids[0]
    await caller.claim(campaign, 1)
    await caller.report(accepted(campaign, uid))
    failure = status_object(wamid_of(uid), "failed", row_uid=uid, code=131026)
    await caller.process(status(campaign.vendor, failure))
    assert (await caller.retry(campaign)).retried == 0
    assert len(_rows(caller.backend, campaign)) == 2


async def test_a_late_acceptance_wins(caller: Caller, stopped: Campaign) -> None:
    uid = stopped.row_uids[0]
    await caller.report(accepted(stopped, uid))
    assert (await caller.retry(stopped)).retried == 3
    assert _statuses(caller.backend, stopped)[0] == QueueStatus.AWAITING_STATUS


async def test_a_late_report_of_the_first_attempt_changes_nothing(
    caller: Caller, campaign: Campaign
) -> None:
    uid = campaign.row_uids[0]
    await caller.claim(campaign, 1, claim_uid="first")
    report = failed(campaign, uid, claim_uid="first")
    await caller.report(report)
    await caller.retry(campaign)
    await caller.claim(campaign, 1, claim_uid="second")
    [answer] = await caller.report(report)
    assert answer.result == "done"
    assert _statuses(caller.backend, campaign)[0] == QueueStatus.PROCESSING


async def test_expired_rows_stay(caller: Caller, stopped: Campaign) -> None:
    for uid, expiry in zip(
        stopped.row_uids, ("2001-01-01T00:00:00Z", "2101-01-01 00:00:00", "", None), strict=False
    ):
        caller.backend.change("whatsapp_message_queue", {"__data.expiry_at": expiry}, _uid=uid)
    answer = await caller.retry(stopped)
    assert (answer.retried, _left(answer)) == (3, [("expired", "132015", 1)])


async def test_rows_that_were_skipped_for_their_contact_must_be_named(
    caller: Caller, campaign: Campaign
) -> None:
    [row, *_] = _rows(caller.backend, campaign)
    caller.backend.change("contacts", {"whatsapp_opt_out": 1}, _id=row["contacts__id"])
    await caller.claim(campaign)
    error = "contact_opted_out_error"
    answer = await caller.retry(campaign)
    assert (answer.retried, _left(answer)) == (0, [("contact", error, 1)])
    answer = await caller.retry(campaign, codes=[error])
    assert (answer.retried, answer.left) == (1, [])
    assert (await caller.claim(campaign, claim_uid="again")).skipped == 1


async def test_rows_of_people_who_turned_out_to_be_one_stay(
    caller: Caller, stopped: Campaign
) -> None:
    """The person may have got the campaign by the other contact."""
    backend = caller.backend
    first, second, *_ = [row["contacts__id"] for row in _rows(backend, stopped)]
    backend.change("contacts", {"wa_id": None, "__data": '{"user_id": "GB.merged"}'}, _id=second)
    wa_id = stopped.recipients[0]
    element = {
        "id": f"wamid.merge.{stopped.uid}",
        "from": wa_id,
        "from_user_id": "GB.merged",
        "timestamp": str(now_ms() // 1000),
        "type": "text",
        "text": {"body": "Hello"},
    }
    contacts = [{"wa_id": wa_id, "user_id": "GB.merged", "profile": {"name": "Ada"}}]
    [merged] = await caller.process(message(stopped.vendor, element, contacts=contacts))
    assert merged.result == "done"
    assert [row["contacts__id"] for row in _rows(backend, stopped)][:2] == [first, first]
    answer = await caller.retry(stopped)
    assert (answer.retried, _left(answer)) == (2, [("maybe_sent", "132015", 2)])


# -- which campaigns --


@pytest.mark.parametrize("state", ["running", "paused"])
async def test_a_paused_campaign_keeps_them(caller: Caller, stopped: Campaign, state: str) -> None:
    await caller.release(stopped, campaign_state=state)
    assert (await caller.retry(stopped)).retried == 4
    assert (await caller.due(stopped)).campaigns[0].state == state


@pytest.mark.parametrize("dry_run", [False, True])
async def test_a_cancelled_campaign_stays_as_it_is(
    caller: Caller, stopped: Campaign, dry_run: bool
) -> None:
    await caller.release(stopped, campaign_state="cancelled")
    request = {"vendor_uid": stopped.vendor.uid, "campaign_uid": stopped.uid, "dry_run": dry_run}
    refused = await caller.refusal(contract.RETRY_MESSAGES, request)
    assert refused == (409, ErrorCode.CAMPAIGN_CANCELLED)
    assert _statuses(caller.backend, stopped) == [2, 2, 2, 2, 1]


async def test_a_cancel_that_comes_at_the_same_time(caller: Caller, stopped: Campaign) -> None:
    """It comes before, and nothing is queued, or after."""
    request = {"vendor_uid": stopped.vendor.uid, "campaign_uid": stopped.uid}
    retry, _ = await asyncio.gather(
        caller.signed(contract.RETRY_MESSAGES, orjson.dumps(request)),
        caller.release(stopped, campaign_state="cancelled"),
    )
    expected = [1] * 5 if retry.status == 200 else [2, 2, 2, 2, 1]
    assert _statuses(caller.backend, stopped) == expected


async def test_nothing_is_queued_where_the_crons_send(caller: Caller, stopped: Campaign) -> None:
    caller.backend.leave_to_php(stopped.vendor)
    request = {"vendor_uid": stopped.vendor.uid, "campaign_uid": stopped.uid}
    refused = await caller.refusal(contract.RETRY_MESSAGES, request)
    assert refused == (409, ErrorCode.VENDOR_NOT_ON_SIDECAR)
    assert _statuses(caller.backend, stopped) == [2, 2, 2, 2, 1]


async def test_a_campaign_that_does_not_exist(caller: Caller, campaign: Campaign) -> None:
    stranger = caller.backend.seed_vendor()
    for vendor_uid, campaign_uid, code in (
        (campaign.vendor.uid, "nobody", ErrorCode.CAMPAIGN_UNKNOWN),
        (stranger.uid, campaign.uid, ErrorCode.CAMPAIGN_UNKNOWN),
        ("nobody", campaign.uid, ErrorCode.VENDOR_UNKNOWN),
    ):
        request = {"vendor_uid": vendor_uid, "campaign_uid": campaign_uid}
        assert await caller.refusal(contract.RETRY_MESSAGES, request) == (404, code)


async def test_another_campaigns_rows_stay(
    caller: Caller, vendor: Vendor, stopped: Campaign
) -> None:
    other = caller.backend.seed_campaign(vendor, 1)
    await caller.claim(other)
    await caller.report(failed(other, other.row_uids[0]))
    await caller.retry(stopped)
    assert _statuses(caller.backend, other) == [2]
