"""A batch of updates: each is answered for by itself, and a bad one spoils none of the others."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.contract.caller import Caller
from tests.contract.payloads import (
    accepted,
    change,
    envelope,
    message,
    message_object,
    messaging,
    status,
    status_object,
    update,
    wamid_of,
)
from tests.contract.under_test import BackendUnderTest, Campaign, Vendor

SENDER = "999700000001"

#: Shapes that a routine written for Meta's documented ones does not expect.
ODD_PAYLOADS: list[dict[str, Any]] = [
    {},
    {"entry": None},
    {"entry": [None, 1, {"changes": "none"}]},
    {"entry": [{"changes": [{"field": "messages"}]}]},
    {"entry": [{"changes": [{"field": "messages", "value": {"messages": [None]}}]}]},
    {"entry": [{"changes": [{"value": {"statuses": [{"id": "x", "status": ["sent"]}]}}]}]},
    {"entry": [{"changes": [{"value": {"messages": [{"id": "x", "from": "1"}]}}]}]},
    {"entry": [{"changes": [{"value": {"metadata": 5, "messages": [{"id": "x"}]}}]}]},
]


@pytest.fixture
def poisoned(backend: BackendUnderTest) -> Iterator[str]:
    """A text that no update survives."""
    backend.poison("deadly-poison")
    yield "deadly-poison"
    backend.cure()


async def test_one_bad_update_is_alone(caller: Caller, campaign: Campaign, poisoned: str) -> None:
    vendor = campaign.vendor
    await caller.claim(campaign)
    await caller.report(*(accepted(campaign, uid) for uid in campaign.row_uids))
    first, second, third = (wamid_of(uid) for uid in campaign.row_uids)
    answers = await caller.process(
        status(vendor, status_object(first, "sent")),
        message(vendor, message_object(f"wamid.{poisoned}", SENDER)),
        status(vendor, status_object(second, "sent")),
        status(vendor, {**status_object(third, "sent"), "extra": poisoned}),
        message(vendor, message_object("wamid.good", SENDER)),
    )
    results = [answer.result for answer in answers]
    assert results == ["done", "retry", "done", "retry", "done"]
    assert answers[1].reason
    logs = caller.backend.rows("whatsapp_message_logs", vendors__id=vendor.id)
    assert [log["status"] for log in logs[:3]] == ["sent", "sent", "accepted"]
    assert [log["wamid"] for log in logs[3:]] == ["wamid.good"]
    assert len(caller.backend.rows("whatsapp_message_queue", campaigns__id=campaign.id)) == 1


async def test_a_bad_update_is_done_once_it_is_cured(
    caller: Caller, vendor: Vendor, poisoned: str
) -> None:
    element = message(vendor, message_object(f"wamid.{poisoned}", SENDER))
    assert (await caller.process(element))[0].result == "retry"
    caller.backend.cure()
    assert (await caller.process({**element, "attempt": 2}))[0].result == "done"
    assert len(caller.backend.rows("whatsapp_message_logs", vendors__id=vendor.id)) == 1


@pytest.mark.parametrize("kind", ["message", "echo", "status", "change"])
async def test_odd_payloads_are_ignored(caller: Caller, vendor: Vendor, kind: str) -> None:
    updates = [update(vendor, kind, payload) for payload in ODD_PAYLOADS]
    good = message(vendor, message_object("wamid.good", SENDER))
    answers = await caller.process(*updates, good)
    assert {answer.result for answer in answers[:-1]} == {"ignored"}
    assert all(answer.reason for answer in answers[:-1])
    assert answers[-1].result == "done"


async def test_numbers_beyond_64_bits_are_kept(caller: Caller, vendor: Vendor) -> None:
    """JSON has no limit on them, and a body of Meta's is never refused."""
    body = (
        b'{"updates": [{"id": "big", "vendor_uid": "%s", "kind": "message", "received_at": 1,'
        b' "attempt": 1, "payload": {"entry": [{"changes": [{"field": "messages", "value":'
        b' {"metadata": {"phone_number_id": "%s"}, "messages": [{"id": "wamid.big",'
        b' "from": "9990", "order": {"price": 123456789012345678901234567890}}]}}]}]}}]}'
        % (vendor.uid.encode(), vendor.phone_number_ids[0].encode())
    )
    answer = await caller.signed("/internal/process-webhooks", body)
    assert answer.status == 200
    assert answer.json["results"][0]["result"] == "done"


async def test_an_unknown_vendor_is_ignored(caller: Caller, vendor: Vendor) -> None:
    stranger = {**message(vendor, message_object("wamid.a", SENDER)), "vendor_uid": "nobody"}
    good = message(vendor, message_object("wamid.b", SENDER))
    first, second = await caller.process(stranger, good)
    assert (first.result, first.reason) == ("ignored", "vendor_unknown")
    assert second.result == "done"


async def test_an_inactive_vendor_is_ignored(caller: Caller, campaign: Campaign) -> None:
    vendor = campaign.vendor
    caller.backend.change("vendors", {"status": 2}, _id=vendor.id)
    answers = await caller.process(
        message(vendor, message_object("wamid.a", SENDER)),
        status(vendor, status_object("wamid.b", "sent")),
        change(vendor, "account_update", {"event": "PARTNER_REMOVED"}),
    )
    assert [answer.result for answer in answers] == ["ignored"] * 3
    assert {answer.reason for answer in answers} == {"vendor_inactive"}
    assert caller.backend.rows("whatsapp_message_logs", vendors__id=vendor.id) == []


async def test_the_order_of_a_contacts_updates_is_kept(caller: Caller, vendor: Vendor) -> None:
    wamids = [f"wamid.{position}" for position in range(20)]
    await caller.process(*(message(vendor, message_object(wamid, SENDER)) for wamid in wamids))
    logs = caller.backend.rows("whatsapp_message_logs", vendors__id=vendor.id)
    assert [log["wamid"] for log in logs] == wamids


async def test_a_payload_of_another_kind_is_ignored(caller: Caller, vendor: Vendor) -> None:
    payload = envelope(
        vendor, "messages", messaging(vendor, messages=[message_object("wamid.a", SENDER)])
    )
    (answer,) = await caller.process(update(vendor, "status", payload))
    assert answer.result == "ignored"
    assert caller.backend.rows("whatsapp_message_logs", vendors__id=vendor.id) == []


async def test_nothing_overtakes_what_stands_before_it(
    caller: Caller, vendor: Vendor, poisoned: str
) -> None:
    """Of updates with the same order, those behind one that was not applied are not applied."""

    def ordered(wamid: str, order: str) -> dict[str, Any]:
        return {**message(vendor, message_object(wamid, SENDER)), "order": order}

    updates = [
        ordered("wamid.1", "a"),
        ordered(f"wamid.{poisoned}", "a"),
        ordered("wamid.2", "b"),
        ordered("wamid.3", "a"),
        message(vendor, message_object("wamid.4", SENDER)),
    ]
    answers = await caller.process(*updates)
    assert [answer.result for answer in answers] == ["done", "retry", "done", "retry", "done"]
    assert answers[3].reason == "behind_another"
    logs = caller.backend.rows("whatsapp_message_logs", vendors__id=vendor.id)
    assert [log["wamid"] for log in logs] == ["wamid.1", "wamid.2", "wamid.4"]
    caller.backend.cure()
    again = await caller.process(updates[1], updates[3])
    assert [answer.result for answer in again] == ["done", "done"]
