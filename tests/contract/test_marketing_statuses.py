"""Statuses of what went by the Marketing Messages API count like any others."""

from typing import Any

from tests.contract.caller import Caller
from tests.contract.payloads import T0, accepted, status, status_object, wamid_of
from tests.contract.under_test import Campaign, Vendor


def lite(element: dict[str, Any]) -> dict[str, Any]:
    """Return a status as Meta prices it there, of a webhook below version 24."""
    category = "marketing_lite"
    pricing = {"billable": True, "pricing_model": "PMP", "category": category, "type": "regular"}
    return {
        **element,
        "pricing": pricing,
        "conversation": {"id": "1", "origin": {"type": category}},
    }


async def test_they_count_like_others(caller: Caller, vendor: Vendor, campaign: Campaign) -> None:
    await caller.claim(campaign)
    await caller.report(*(accepted(campaign, uid) for uid in campaign.row_uids))
    first, second, third = map(wamid_of, campaign.row_uids)
    updates = [
        status(vendor, lite(status_object(first, "sent"))),
        status(
            vendor,
            lite(status_object(second, "delivered", at=T0 + 1)),
            (lite(status_object(second, "sent")),),
        ),
        status(vendor, lite(status_object(third, "failed", code=131049))),
    ]
    assert {answer.result for answer in await caller.process(*updates)} == {"done"}
    logs = caller.backend.rows("whatsapp_message_logs", campaigns__id=campaign.id)
    assert {log["wamid"]: log["status"] for log in logs} == {
        first: "sent",
        second: "delivered",
        third: "failed",
    }


async def test_one_of_a_message_whose_send_is_unknown(
    caller: Caller, vendor: Vendor, campaign: Campaign
) -> None:
    """It finds its row by what the message carried, as any status does."""
    await caller.claim(campaign)
    [uid, *_] = campaign.row_uids
    sent = lite(status_object(wamid_of(uid), "sent", row_uid=uid))
    assert {answer.result for answer in await caller.process(status(vendor, sent))} == {"done"}
    [log] = caller.backend.rows("whatsapp_message_logs", campaigns__id=campaign.id)
    assert (log["wamid"], log["status"]) == (wamid_of(uid), "sent")
