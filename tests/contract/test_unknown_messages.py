"""``unknown-messages`` and ``resolve-messages``: rows of unknown outcome, and what a person decides
about them."""

from typing import Any

import pytest

from contracts import backend as contract
from contracts.backend import QueueStatus, ResolveAction
from tests.contract.caller import Caller
from tests.contract.payloads import (
    accepted,
    failed,
    now_ms,
    result,
    status,
    status_object,
    to_ms,
    wamid_of,
)
from tests.contract.under_test import Campaign, Row, Vendor

TABLE = "whatsapp_message_queue"
TIMED_OUT = {"code": None, "message": "The answer did not come in time", "details": None}
OTHER_STATUSES = [1, 2, 3, 4, 5]


@pytest.fixture
async def unknown(caller: Caller, campaign: Campaign) -> Campaign:
    """A campaign whose three rows are of unknown outcome."""
    await _make_unknown(caller, campaign)
    return campaign


async def _make_unknown(caller: Caller, campaign: Campaign) -> None:
    await caller.claim(campaign)
    await caller.report(
        *(result(campaign, uid, "unknown", error=TIMED_OUT) for uid in campaign.row_uids)
    )


async def _list(caller: Caller, vendor: Vendor, **request: Any) -> contract.UnknownMessagesAnswer:
    request = {"vendor_uid": vendor.uid, "older_than_s": 0, **request}
    answer = await caller.call(contract.UNKNOWN_MESSAGES, request)
    return contract.UnknownMessagesAnswer.model_validate(answer)


async def _uids(caller: Caller, vendor: Vendor, **request: Any) -> list[str]:
    return [message.uid for message in (await _list(caller, vendor, **request)).messages]


async def _resolve(caller: Caller, action: str, *uids: str, **more: Any) -> list[tuple[Any, ...]]:
    request = {"row_uids": list(uids), "action": action, **more}
    answer = await caller.call(contract.RESOLVE_MESSAGES, request)
    results = contract.ResolveMessagesAnswer.model_validate(answer).results
    return [(one.id, one.result, one.reason) for one in results]


def _row(caller: Caller, uid: str) -> Row:
    (row,) = caller.backend.rows(TABLE, _uid=uid)
    return row


# -- listing --


async def test_a_row_of_unknown_outcome_is_listed(caller: Caller, vendor: Vendor) -> None:
    number = vendor.phone_number_ids[0]
    campaign = caller.backend.seed_campaign(vendor, 1, from_phone_number_id=number)
    await _make_unknown(caller, campaign)
    answer = await _list(caller, vendor)
    (message,) = answer.messages
    (uid,) = campaign.row_uids
    assert message.model_dump() == {
        "uid": uid,
        "vendor_uid": vendor.uid,
        "campaign_uid": campaign.uid,
        "to": campaign.recipients[0],
        "recipient": None,
        "since": to_ms(_row(caller, uid)["updated_at"]),
        "reason": "The answer did not come in time",
        "phone_number_id": number,
    }
    assert abs(message.since - now_ms()) < 60_000
    assert answer.next is None


async def test_what_is_not_known_of_a_row_is_null(caller: Caller, campaign: Campaign) -> None:
    caller.backend.change(TABLE, {"status": 6, "__data": None}, campaigns__id=campaign.id)
    message = (await _list(caller, campaign.vendor)).messages[0]
    assert (message.reason, message.phone_number_id) == (None, None)


async def test_a_row_of_no_campaign_is_listed_too(caller: Caller, unknown: Campaign) -> None:
    caller.backend.change(TABLE, {"campaigns__id": None}, campaigns__id=unknown.id)
    messages = (await _list(caller, unknown.vendor)).messages
    assert {message.campaign_uid for message in messages} == {None}
    assert len(messages) == 3


@pytest.mark.parametrize("queue_status", OTHER_STATUSES)
async def test_other_rows_are_not(caller: Caller, unknown: Campaign, queue_status: int) -> None:
    first, *others = unknown.row_uids
    caller.backend.change(TABLE, {"status": queue_status}, _uid=first)
    assert await _uids(caller, unknown.vendor) == others


async def test_only_those_that_have_stood_for_long_enough(
    caller: Caller, unknown: Campaign
) -> None:
    first, second, _ = unknown.row_uids
    old = "2025-01-01 00:00:00"
    caller.backend.change(TABLE, {"updated_at": old}, _uid=second)
    age_s = (now_ms() - to_ms(old)) // 1000
    vendor = unknown.vendor
    assert await _uids(caller, vendor, older_than_s=age_s) == [second]
    assert await _uids(caller, vendor, older_than_s=age_s + 60) == []
    assert await _uids(caller, vendor, older_than_s=10**15) == []
    assert (await _uids(caller, vendor))[:2] == [second, first]
    answer = await caller.call(contract.UNKNOWN_MESSAGES, {"vendor_uid": vendor.uid})
    assert [message["uid"] for message in answer["messages"]] == [second]


async def test_of_a_vendor_of_a_campaign_or_all(
    caller: Caller, vendor: Vendor, unknown: Campaign
) -> None:
    second = caller.backend.seed_campaign(vendor, 1)
    others = caller.backend.seed_campaign(caller.backend.seed_vendor(), 1)
    for campaign in (second, others):
        await _make_unknown(caller, campaign)
    assert await _uids(caller, vendor) == [*unknown.row_uids, *second.row_uids]
    assert await _uids(caller, vendor, campaign_uid=second.uid) == [*second.row_uids]
    assert await _uids(caller, vendor, campaign_uid=others.uid) == []
    assert await _uids(caller, vendor, vendor_uid="nobody") == []
    everybody = await _uids(caller, vendor, vendor_uid=None, limit=1000)
    assert {*unknown.row_uids, *second.row_uids, *others.row_uids} <= set(everybody)


async def test_page_by_page_the_longest_standing_first(caller: Caller, vendor: Vendor) -> None:
    campaign = caller.backend.seed_campaign(vendor, 7)
    await _make_unknown(caller, campaign)
    for year, uid in zip((2003, 2001, 2002, 2001, 2004), campaign.row_uids, strict=False):
        caller.backend.change(TABLE, {"updated_at": f"{year}-01-01 00:00:00"}, _uid=uid)
    found: list[str] = []
    after = None
    for _ in range(4):
        page = await _list(caller, vendor, limit=2, after=after)
        found += [message.uid for message in page.messages]
        after = page.next
    assert after is None
    assert found == [campaign.row_uids[n] for n in (1, 3, 2, 0, 4, 5, 6)]
    assert (await _list(caller, vendor, limit=7)).next is None


async def test_a_page_begins_where_the_one_before_ended_though_rows_have_gone(
    caller: Caller, unknown: Campaign
) -> None:
    first, second, third = unknown.row_uids
    page = await _list(caller, unknown.vendor, limit=2)
    await _resolve(caller, "give_up", first, second)
    assert await _uids(caller, unknown.vendor, limit=2, after=page.next) == [third]


@pytest.mark.parametrize("after", ["", "x", "|", "2025-01-01 00:00:00|", "2025-01-01 00:00:00|x"])
async def test_a_place_that_no_page_ended_at(caller: Caller, vendor: Vendor, after: str) -> None:
    request = {"vendor_uid": vendor.uid, "after": after}
    refusal = await caller.refusal(contract.UNKNOWN_MESSAGES, request)
    assert refusal == (400, contract.ErrorCode.REQUEST_INVALID)


# -- resolving --


async def test_resending(caller: Caller, unknown: Campaign) -> None:
    first, second, third = unknown.row_uids
    caller.backend.change(TABLE, {"retries": 2}, _uid=first)
    assert await _resolve(caller, "resend", first, second) == [
        (first, "done", None),
        (second, "done", None),
    ]
    row = _row(caller, first)
    assert (row["status"], row["retries"]) == (QueueStatus.QUEUED, 2)
    assert "process_response" not in row["__data"]
    assert row["__data"]["campaign_data"]
    assert _row(caller, third)["status"] == QueueStatus.UNKNOWN
    assert await _uids(caller, unknown.vendor) == [third]


async def test_a_resent_row_is_found_claimed_and_settled(caller: Caller, unknown: Campaign) -> None:
    uid = unknown.row_uids[0]
    due = {campaign.campaign_uid for campaign in (await caller.due(limit=1000)).campaigns}
    assert unknown.uid not in due
    await _resolve(caller, "resend", uid)
    found = {c.campaign_uid: c.due for c in (await caller.due(limit=1000)).campaigns}
    assert found[unknown.uid] == 1
    claim = await caller.claim(unknown, claim_uid="again", fence=2)
    assert [row.uid for row in claim.rows] == [uid]
    (answer,) = await caller.report(accepted(unknown, uid, claim_uid="again"))
    assert answer.result == "done"
    assert _row(caller, uid)["status"] == QueueStatus.AWAITING_STATUS


async def test_a_late_report_of_the_first_send_does_not_touch_a_resent_row(
    caller: Caller, unknown: Campaign
) -> None:
    uid = unknown.row_uids[0]
    await _resolve(caller, "resend", uid)
    await caller.claim(unknown, claim_uid="again", fence=2)
    for outcome in ("unknown", "failed"):
        await caller.report(result(unknown, uid, outcome, claim_uid="claim"))
    assert _row(caller, uid)["status"] == QueueStatus.PROCESSING


async def test_giving_up(caller: Caller, unknown: Campaign) -> None:
    first, second, third = unknown.row_uids
    assert await _resolve(caller, "give_up", first) == [(first, "done", None)]
    await _resolve(caller, "give_up", second, reason="asked by phone: it never came")
    for uid in (first, second):
        row = _row(caller, uid)
        assert row["status"] == QueueStatus.ERROR
        assert row["__data"]["process_response"]["error_status"] == "unknown_given_up_error"
        assert row["__data"]["process_response"]["error_message"]
    assert "it never came" in _row(caller, second)["__data"]["process_response"]["error_message"]
    assert await _uids(caller, unknown.vendor) == [third]
    assert unknown.uid not in {c.campaign_uid for c in (await caller.due(limit=1000)).campaigns}


@pytest.mark.parametrize("action", ResolveAction)
async def test_the_same_again_changes_nothing(
    caller: Caller, unknown: Campaign, action: str
) -> None:
    uid = unknown.row_uids[0]
    assert await _resolve(caller, action, uid, uid) == [(uid, "done", None)]
    before = caller.backend.rows(TABLE, campaigns__id=unknown.id)
    assert await _resolve(caller, action, uid) == [(uid, "ignored", "row_not_in_unknown")]
    assert caller.backend.rows(TABLE, campaigns__id=unknown.id) == before


@pytest.mark.parametrize("action", ResolveAction)
@pytest.mark.parametrize("queue_status", OTHER_STATUSES)
async def test_a_row_that_is_in_6_no_more_is_ignored(
    caller: Caller, unknown: Campaign, action: str, queue_status: int
) -> None:
    first, second, _ = unknown.row_uids
    caller.backend.change(TABLE, {"status": queue_status}, _uid=first)
    before = _row(caller, first)
    assert await _resolve(caller, action, "nothing", first, second) == [
        ("nothing", "ignored", "row_unknown"),
        (first, "ignored", "row_not_in_unknown"),
        (second, "done", None),
    ]
    assert _row(caller, first) == before


async def test_a_status_that_came_first_wins(caller: Caller, unknown: Campaign) -> None:
    uid = unknown.row_uids[0]
    element = status_object(wamid_of(uid), "delivered", row_uid=uid)
    await caller.process(status(unknown.vendor, element))
    assert await _resolve(caller, "resend", uid) == [(uid, "ignored", "row_unknown")]


async def test_a_status_that_comes_before_the_second_send_prevents_it(
    caller: Caller, unknown: Campaign
) -> None:
    uid = unknown.row_uids[0]
    await _resolve(caller, "resend", uid)
    element = status_object(wamid_of(uid), "delivered", row_uid=uid)
    (answer,) = await caller.process(status(unknown.vendor, element))
    assert answer.result == "done"
    assert caller.backend.rows(TABLE, _uid=uid) == []
    logs = caller.backend.rows("whatsapp_message_logs", wamid=wamid_of(uid))
    assert [log["status"] for log in logs] == ["delivered"]


async def test_a_status_of_a_row_that_was_given_up_is_applied(
    caller: Caller, unknown: Campaign
) -> None:
    uid = unknown.row_uids[0]
    await _resolve(caller, "give_up", uid)
    element = status_object(wamid_of(uid), "read", row_uid=uid)
    (answer,) = await caller.process(status(unknown.vendor, element))
    assert answer.result == "done"
    assert caller.backend.rows(TABLE, _uid=uid) == []


async def test_a_resent_row_may_fail(caller: Caller, unknown: Campaign) -> None:
    uid = unknown.row_uids[0]
    await _resolve(caller, "resend", uid)
    await caller.claim(unknown, claim_uid="again", fence=2)
    await caller.report(failed(unknown, uid, claim_uid="again"))
    row = _row(caller, uid)
    assert row["status"] == QueueStatus.ERROR
    assert row["__data"]["process_response"]["error_status"] == "131026"


@pytest.mark.parametrize(
    "more",
    [
        {"row_uids": []},
        {"row_uids": ["u"] * 1001},
        {"action": "retry"},
        {"action": None},
        {"reason": "x" * 501},
    ],
)
async def test_limits(caller: Caller, more: dict[str, Any]) -> None:
    request = {"row_uids": ["u"], "action": "resend", **more}
    refusal = await caller.refusal(contract.RESOLVE_MESSAGES, request)
    assert refusal == (400, contract.ErrorCode.REQUEST_INVALID)
