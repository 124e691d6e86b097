"""The same request twice at the same moment: the sidecar has given up on the first, PHP has not."""

import asyncio
from typing import Any

from contracts import backend as contract
from contracts.effects import AiProvider
from tests.contract.caller import Caller
from tests.contract.payloads import (
    change,
    echo,
    message,
    message_object,
    now_ms,
    status,
    status_object,
    wamid_of,
)
from tests.contract.talk import question, says
from tests.contract.under_test import Campaign, Row, Vendor

TIMES = 4
BUSINESS = "99900000000"


def _logs(caller: Caller, vendor: Vendor, *, incoming: bool) -> list[Row]:
    rows = caller.backend.rows("whatsapp_message_logs", vendors__id=vendor.id)
    return [row for row in rows if bool(row["is_incoming_message"]) is incoming]


async def test_a_batch_of_everything(caller: Caller, campaign: Campaign) -> None:
    """Messages of known and new contacts, several of one; echoes; statuses that come before their
    result, and after one another; a change. What was created is there once."""
    vendor = campaign.vendor
    before = caller.backend.rows("contacts", vendors__id=vendor.id)
    await caller.claim(campaign)
    senders = [campaign.recipients[0], *(f"99970000{number:04}" for number in range(10))]
    synced = {"state_sync": [_synced("999800000001")]}
    updates = [
        *(
            message(vendor, message_object(f"t.{place}.{sender}", sender))
            for place in range(3)
            for sender in senders
        ),
        *(
            echo(vendor, message_object(f"t.echo.{sender}", BUSINESS, to=sender))
            for sender in (*senders, "999700009999")
        ),
        change(vendor, "smb_app_state_sync", synced),
        *(
            status(vendor, status_object(wamid_of(uid), word, row_uid=uid))
            for word in ("delivered", "sent")
            for uid in campaign.row_uids
        ),
    ]
    answers = await asyncio.gather(*(caller.process(*updates) for _ in range(TIMES)))
    assert {result.result for results in answers for result in results} == {"done"}
    wamids = [log["wamid"] for log in _logs(caller, vendor, incoming=True)]
    assert sorted(wamids) == sorted(f"t.{place}.{who}" for place in range(3) for who in senders)
    sent = {log["wamid"]: log["status"] for log in _logs(caller, vendor, incoming=False)}
    rows = {wamid_of(uid): "delivered" for uid in campaign.row_uids}
    assert {wamid: sent[wamid] for wamid in rows} == rows
    assert len(_logs(caller, vendor, incoming=False)) == len(sent) == len(rows) + len(senders) + 1
    assert caller.backend.rows("whatsapp_message_queue", campaigns__id=campaign.id) == []
    new = [row["wa_id"] for row in caller.backend.rows("contacts", vendors__id=vendor.id)]
    known = [row["wa_id"] for row in before]
    assert sorted(new) == sorted([*known, *senders[1:], "999700009999", "999800000001"])


def _synced(number: str) -> dict[str, Any]:
    contact = {"full_name": "Ada Stone", "first_name": "Ada", "phone_number": number}
    return {"type": "contact", "action": "add", "contact": contact}


async def test_an_ai_that_has_answered_twice(caller: Caller, vendor: Vendor) -> None:
    """It was asked again, and said something else: one of the two is sent, and both are told it."""
    caller.backend.seed_effects(
        vendor,
        ai=AiProvider(name="main", url="http://127.0.0.1:1/v1", api_key="k", model="m"),
        ai_instructions="You sell shoes.",
    )
    for turn in range(10):
        (result,) = await caller.process(says(vendor, f"Do you ship? {turn}"))
        asked = question(result)
        base = {"id": asked.id, "vendor_uid": vendor.uid, "outcome": "answered", "at": now_ms()}
        answers = await asyncio.gather(
            *(
                caller.call(contract.AI_ANSWERS, {"answers": [{**base, "text": text * (size + 1)}]})
                for size, text in enumerate(("Yes. " * 900, "No. " * 2000, "Perhaps. ", "Ask us. "))
            )
        )
        said = [
            [(effect["id"], effect["message"]) for effect in answer["results"][0]["effects"]]
            for answer in answers
        ]
        assert said == [said[0]] * len(said)
        stored = _logs(caller, vendor, incoming=False)
        assert sorted(row["_uid"] for row in stored[-len(said[0]) :]) == sorted(
            uid for uid, _ in said[0]
        )
