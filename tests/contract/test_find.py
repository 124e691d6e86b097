"""``find``: what the tables know of whatever a query names; and what rows keep for it."""

import uuid
from typing import Any

import orjson
import pytest

from contracts import backend as contract
from contracts.backend import QueueStatus
from contracts.find import FindAnswer, FoundEffect, FoundMessage
from simulator.backend.seed_bots import SeedBot
from tests.contract.caller import Caller
from tests.contract.payloads import (
    RATE_ERROR,
    T0,
    accepted,
    failed,
    message,
    message_object,
    now_ms,
    result,
    status,
    status_object,
    wamid_of,
)
from tests.contract.talk import says, sends, sent
from tests.contract.under_test import Campaign, Vendor

LOGS, QUEUE = "whatsapp_message_logs", "whatsapp_message_queue"


async def _find(caller: Caller, query: str, **fields: Any) -> FindAnswer:
    answer = await caller.call(contract.FIND, {"query": query, **fields})
    return FindAnswer.model_validate(answer)


async def _message(caller: Caller, vendor: Vendor, wamid: str) -> FoundMessage:
    found = await _find(caller, wamid, vendor_uid=vendor.uid)
    [one] = [one for one in found.messages if one.wamid == wamid]
    return one


# -- a campaign's message --


async def test_a_campaigns_message_from_its_row_to_its_last_status(
    caller: Caller, vendor: Vendor, campaign: Campaign
) -> None:
    uid, wamid = campaign.row_uids[0], wamid_of(campaign.row_uids[0])
    before = now_ms()
    await caller.claim(campaign, 1)
    [row] = (await _find(caller, uid)).rows
    assert (row.status, row.to, row.campaign_uid) == (
        QueueStatus.PROCESSING,
        campaign.recipients[0],
        campaign.uid,
    )
    assert row.claimed_at is not None
    assert before <= row.claimed_at <= now_ms()
    await caller.report(accepted(campaign, uid, at=before + 5))
    found = await _find(caller, wamid)
    assert [one.uid for one in found.rows] == [uid], "it waits for its status"
    [one] = found.messages
    assert (one.status, one.incoming, one.queue_row_uid) == ("accepted", False, uid)
    assert (one.claimed_at, one.accepted_at) == (row.claimed_at, before + 5)
    assert (one.vendor_uid, one.campaign_uid) == (vendor.uid, campaign.uid)
    assert (one.wa_id, one.phone_number_id) == (campaign.recipients[0], vendor.phone_number_ids[0])
    for at, name in enumerate(("sent", "delivered", "read")):
        await caller.process(status(vendor, status_object(wamid, name, at=T0 + at)))
    one = await _message(caller, vendor, wamid)
    assert one.status == "read"
    assert one.statuses == {
        "sent": 1000 * T0,
        "delivered": 1000 * (T0 + 1),
        "read": 1000 * (T0 + 2),
    }
    assert (one.claimed_at, one.accepted_at) == (row.claimed_at, before + 5)
    assert (await _find(caller, wamid)).rows == []


async def test_a_row_that_was_put_back_and_failed(caller: Caller, campaign: Campaign) -> None:
    uid = campaign.row_uids[0]
    await caller.claim(campaign, 1)
    await caller.report(result(campaign, uid, "requeue", at=5, due_at=1000, error=RATE_ERROR))
    await caller.claim(campaign, 1, claim_uid="again")
    await caller.report(failed(campaign, uid, 131026, at=7, claim_uid="again"))
    [row] = (await _find(caller, uid)).rows
    assert (row.status, row.retries, row.claimed_at) == (QueueStatus.ERROR, 1, None)
    assert row.results == ["requeue:5", "failed:7"]
    assert row.error_status == "131026"
    assert row.error_message is not None
    assert row.created_at is not None
    assert row.updated_at is not None


async def test_what_came_before_is_kept_when_it_is_accepted_in_the_end(
    caller: Caller, vendor: Vendor, campaign: Campaign
) -> None:
    uid = campaign.row_uids[0]
    await caller.claim(campaign, 1)
    await caller.report(result(campaign, uid, "requeue", at=5, due_at=1000, error=RATE_ERROR))
    await caller.claim(campaign, 1, claim_uid="again")
    await caller.report(accepted(campaign, uid))
    assert (await _message(caller, vendor, wamid_of(uid))).results == ["requeue:5"]


# -- statuses --


async def _with_statuses(caller: Caller, campaign: Campaign, *batches: Any) -> FoundMessage:
    """Return a message to which statuses came, each batch coalesced into its last."""
    uid = campaign.row_uids[0]
    await caller.claim(campaign, 1)
    await caller.report(accepted(campaign, uid))
    for batch in batches:
        *lower, last = [status_object(wamid_of(uid), name, at=T0 + at) for name, at in batch]
        await caller.process(status(campaign.vendor, last, tuple(lower)))
    return await _message(caller, campaign.vendor, wamid_of(uid))


def _times(**seconds: int) -> dict[str, int]:
    return {name: 1000 * (T0 + at) for name, at in seconds.items()}


@pytest.mark.parametrize(
    ("batches", "times"),
    [
        ([[("sent", 1), ("delivered", 2), ("read", 3)]], _times(sent=1, delivered=2, read=3)),
        ([[("sent", 1), ("delivered", 2)], [("read", 3)]], _times(sent=1, delivered=2, read=3)),
        ([[("read", 3)], [("delivered", 2)], [("sent", 1)]], _times(sent=1, delivered=2, read=3)),
        ([[("delivered", 2)], [("read", 2)]], _times(delivered=2, read=2)),
        ([[("read", 3)]], _times(read=3)),
        ([[("sent", 1)], [("sent", 9)]], _times(sent=1)),
        ([[("delivered", 2)], [("sent", 1)]], _times(sent=1, delivered=2)),
    ],
)
async def test_each_status_keeps_its_time(
    caller: Caller, campaign: Campaign, batches: Any, times: dict[str, int]
) -> None:
    """Those that were coalesced away, too late, or out of order as well."""
    assert (await _with_statuses(caller, campaign, *batches)).statuses == times


async def test_delivered_alone_is_written_nowhere_else(caller: Caller, campaign: Campaign) -> None:
    """The row says it already, and to write the JSON is the dearest part of a status."""
    found = await _with_statuses(caller, campaign, [("delivered", 2)])
    assert (found.statuses, found.messaged_at) == ({}, 1000 * (T0 + 2))


async def test_what_comes_again_changes_nothing(caller: Caller, campaign: Campaign) -> None:
    await _with_statuses(caller, campaign, [("sent", 1), ("read", 3)])
    caller.backend.change(LOGS, {"updated_at": "2026-01-01 00:00:00"}, campaigns__id=campaign.id)
    element = status_object(wamid_of(campaign.row_uids[0]), "sent", at=T0 + 1)
    await caller.process(status(campaign.vendor, element))
    [row] = caller.backend.rows(LOGS, campaigns__id=campaign.id)
    assert row["updated_at"] == "2026-01-01 00:00:00"


async def test_statuses_that_come_before_their_result(
    caller: Caller, vendor: Vendor, campaign: Campaign
) -> None:
    uid, wamid = campaign.row_uids[0], wamid_of(campaign.row_uids[0])
    await caller.claim(campaign, 1)
    lower = status_object(wamid, "sent", at=T0, row_uid=uid)
    early = status_object(wamid, "delivered", at=T0 + 1, row_uid=uid)
    await caller.process(status(vendor, early, (lower,)))
    found = await _message(caller, vendor, wamid)
    assert found.statuses == _times(sent=0, delivered=1)
    assert found.claimed_at is not None
    assert found.accepted_at is None
    await caller.report(accepted(campaign, uid, at=77))
    found = await _message(caller, vendor, wamid)
    assert (found.accepted_at, found.statuses) == (77, _times(sent=0, delivered=1))


async def test_a_failure_that_a_status_brought(
    caller: Caller, vendor: Vendor, campaign: Campaign
) -> None:
    uid = campaign.row_uids[0]
    await caller.claim(campaign, 1)
    await caller.report(accepted(campaign, uid))
    await caller.process(status(vendor, status_object(wamid_of(uid), "failed", code=131026)))
    found = await _message(caller, vendor, wamid_of(uid))
    assert (found.status, found.error_code, found.error_message) == ("failed", 131026, "An error")
    assert found.statuses == _times(failed=0)


# -- a customer's message --


async def test_a_customers_message_with_its_reply(caller: Caller, vendor: Vendor) -> None:
    caller.backend.seed_effects(vendor)
    [bot] = caller.backend.seed_bots(vendor, SeedBot("is", "hi", "Hello."))
    update = says(vendor, "hi", [(bot, "is")], wamid="wamid.hi")
    [answer] = await caller.process(update)
    [reply] = sends(answer)
    found = await _find(caller, "wamid.hi", vendor_uid=vendor.uid)
    incoming, asked = sorted(found.messages, key=lambda one: not one.incoming)
    assert (incoming.wamid, incoming.received_at) == ("wamid.hi", update["received_at"])
    assert FoundEffect(kind="send_message", id=reply.id) in incoming.effects
    assert (asked.uid, asked.status, asked.source) == (reply.id, "pending", f"bot {bot}")
    await caller.report({**sent(vendor, reply.id), "at": 99})
    assert (await _find(caller, reply.id)).messages[0].accepted_at == 99


async def test_why_nobody_answers(caller: Caller, vendor: Vendor) -> None:
    element = message_object("wamid.r", "99900000001", type="reaction", reaction={"emoji": "+"})
    await caller.process(message(vendor, element))
    found = await _message(caller, vendor, "wamid.r")
    assert (found.unanswered, found.received_at is not None) == ("type", True)


async def test_the_message_that_is_quoted(caller: Caller, vendor: Vendor) -> None:
    first = message_object("wamid.1", "99900000001")
    second = message_object("wamid.2", "99900000001", context={"id": "wamid.1"})
    await caller.process(message(vendor, first), message(vendor, second))
    found = await _find(caller, "wamid.2", vendor_uid=vendor.uid)
    assert [one.wamid for one in found.messages] == ["wamid.2", "wamid.1"]
    assert found.messages[0].reply_to == found.messages[1].uid


async def test_wamids_are_found_letter_for_letter_and_at_any_length(
    caller: Caller, vendor: Vendor
) -> None:
    long = f"wamid.{uuid.uuid4()}{'A' * 250}"
    await caller.process(
        message(vendor, message_object("wamid.Case", "99900000001")),
        message(vendor, message_object(long, "99900000001")),
    )
    assert (await _find(caller, "wamid.case", vendor_uid=vendor.uid)).messages == []
    assert (await _message(caller, vendor, "wamid.Case")).wamid == "wamid.Case"
    assert (await _message(caller, vendor, long)).wamid == long


# -- people, campaigns, vendors --


def _number() -> str:
    return f"999{uuid.uuid4().int % 10**9:09}"


async def test_a_person_by_number_in_any_spelling(caller: Caller, vendor: Vendor) -> None:
    number = _number()
    await caller.process(message(vendor, message_object("wamid.p", number)))
    for spelt in (number, f"+{number[:3]} ({number[3:6]}) {number[6:9]}-{number[9:]}"):
        found = await _find(caller, spelt)
        [contact] = found.contacts
        assert (contact.wa_id, contact.name) == (number, "Ada Stone")
        assert [one.wamid for one in found.messages] == ["wamid.p"]
    assert [one.uid for one in (await _find(caller, contact.uid)).contacts] == [contact.uid]


async def test_a_persons_rows_the_newest_of_many(
    caller: Caller, vendor: Vendor, campaign: Campaign
) -> None:
    [contact] = (await _find(caller, campaign.recipients[0], vendor_uid=vendor.uid)).contacts
    again = [caller.backend.seed_campaign(vendor, 1) for _ in range(2)]
    assert {one.recipients[0] for one in again} == {campaign.recipients[0]}
    found = await _find(caller, contact.uid, limit=2)
    assert [one.uid for one in found.rows] == [one.row_uids[0] for one in reversed(again)]
    assert found.more == ["rows"]
    by_number = await _find(caller, campaign.recipients[0], vendor_uid=vendor.uid)
    assert len(by_number.rows) == 3
    assert by_number.more == []


async def test_by_part_of_a_name_or_title(
    caller: Caller, vendor: Vendor, campaign: Campaign
) -> None:
    mark = uuid.uuid4().hex[:12]
    caller.backend.change("vendors", {"title": f"Shop 5%_{mark}"}, _id=vendor.id)
    caller.backend.change("campaigns", {"title": f"Spring 5%_{mark}!"}, _id=campaign.id)
    await caller.process(message(vendor, message_object("wamid.n", number := _number())))
    name = {"last_name": f"O'{mark}", "first_name": "Zoe"}
    caller.backend.change("contacts", name, vendors__id=vendor.id, wa_id=number)
    found = await _find(caller, f"5%_{mark}")
    assert [one.uid for one in found.vendors] == [vendor.uid]
    [one] = found.campaigns
    assert (one.uid, one.vendor_uid, one.title) == (
        campaign.uid,
        vendor.uid,
        f"Spring 5%_{mark}!",
    )
    assert one.created_at is not None
    assert (await _find(caller, f"5__{mark}")).campaigns == [], "no wildcards"
    [contact] = (await _find(caller, f"zoe o'{mark}")).contacts
    assert contact.name == f"Zoe O'{mark}"
    by_uid = await _find(caller, campaign.uid)
    assert ([one.uid for one in by_uid.campaigns], by_uid.vendors) == ([campaign.uid], [])
    assert [one.uid for one in (await _find(caller, vendor.uid)).vendors] == [vendor.uid]


async def test_nothing_of_another_vendors(
    caller: Caller, vendor: Vendor, campaign: Campaign
) -> None:
    other = caller.backend.seed_vendor()
    number = _number()
    for one in (vendor, other):
        await caller.process(message(one, message_object("wamid.both", number)))
    assert {one.vendor_uid for one in (await _find(caller, number)).messages} == {
        vendor.uid,
        other.uid,
    }
    for query in (number, "wamid.both", campaign.uid, campaign.row_uids[0], vendor.uid):
        found = await _find(caller, query, vendor_uid=other.uid)
        answer = found.model_dump()
        things = [
            one for name in ("campaigns", "contacts", "rows", "messages") for one in answer[name]
        ]
        assert {one["vendor_uid"] for one in things} <= {other.uid}
        assert found.vendors == []
    assert (await _find(caller, number, vendor_uid="nobody")).contacts == []


async def test_nothing_is_found(caller: Caller) -> None:
    found = await _find(caller, "wamid.nobody-has-this")
    assert found == FindAnswer(more=[], looked_at={})


@pytest.mark.parametrize(
    "request_",
    [{}, {"query": "x"}, {"query": "y" * 301}, {"query": "abc", "limit": 0}, {"query": 5}],
)
async def test_a_request_of_another_shape_is_refused(
    caller: Caller, request_: dict[str, Any]
) -> None:
    assert await caller.refusal(contract.FIND, request_) == (400, "request_invalid")


async def test_rows_of_the_applications_own_hold_anything(caller: Caller, vendor: Vendor) -> None:
    """What stands in ``__data`` may be of any shape."""
    number = _number()
    await caller.process(message(vendor, message_object("wamid.odd", number)))
    shapes: list[Any] = [
        None,
        [],
        "text",
        {"statuses": [], "effects": [7, {"kind": 1}], "results": 5},
    ]
    for shape in shapes:
        caller.backend.change(LOGS, {"__data.sidecar": shape}, vendors__id=vendor.id)
        assert (await _message(caller, vendor, "wamid.odd")).statuses == {}
    odd: Any = {"statuses": {"sent": "soon", "read": True, "played": 5}, "queue_row_uid": 7}
    caller.backend.change(LOGS, {"__data.sidecar": odd}, vendors__id=vendor.id)
    found = await _message(caller, vendor, "wamid.odd")
    assert (found.statuses, found.queue_row_uid) == ({"played": 5000}, None)
    assert orjson.dumps(found.model_dump())
