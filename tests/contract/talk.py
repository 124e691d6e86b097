"""A customer who writes, and what comes of it."""

import itertools
import time
from collections.abc import Sequence
from typing import Any

from contracts.backend import UpdateResult
from contracts.effects import AiReply, Effect, SendMessage, parse_effect
from tests.contract.caller import Caller
from tests.contract.payloads import message, message_object, now_ms
from tests.contract.under_test import Row, Vendor

CUSTOMER = "999700000001"

_numbers = itertools.count(1)


def says(
    vendor: Vendor,
    text: str,
    bots: Sequence[tuple[str, str]] | None = (),
    *,
    wamid: str | None = None,
    sender: str = CUSTOMER,
    **fields: Any,
) -> dict[str, Any]:
    """Return the update for a text that a customer has just sent. ``bots``: uid and trigger type of
    those that match; None where the sidecar does not match for the vendor."""
    number = next(_numbers)
    element = message_object(
        wamid or f"wamid.talk.{number}",
        sender,
        **{"text": {"body": text}, "timestamp": str(int(time.time())), **fields},
    )
    matched = None
    if bots is not None:
        matches = [
            {"bot_uid": uid, "trigger_type": kind, "trigger": text.lower()} for uid, kind in bots
        ]
        matched = {"matches": matches}
    return message(vendor, element, bots=matched)


def effects_of(result: UpdateResult) -> list[Effect]:
    """Return the effects as they were asked for first."""
    assert result.result == "done", result.reason
    effects = [parse_effect(effect) for effect in result.effects]
    return [
        one.model_copy(update={"asked_at": None}) if isinstance(one, SendMessage) else one
        for one in effects
    ]


def sends(result: UpdateResult) -> list[SendMessage]:
    """Return the messages to send; there is nothing else to do."""
    effects = effects_of(result)
    messages = [effect for effect in effects if isinstance(effect, SendMessage)]
    assert messages == effects
    return messages


def question(result: UpdateResult) -> AiReply:
    """Return the question for the AI; there is nothing else to do."""
    (effect,) = effects_of(result)
    assert isinstance(effect, AiReply)
    return effect


def texts(messages: Sequence[SendMessage]) -> list[str]:
    return [one.message["text"]["body"] for one in messages]


def outcome(vendor: Vendor, uid: str, outcome: str, **fields: Any) -> dict[str, Any]:
    """Return what became of a message that belongs to no campaign."""
    base = {
        "uid": uid,
        "vendor_uid": vendor.uid,
        "outcome": outcome,
        "at": now_ms(),
        "phone_number_id": vendor.phone_number_ids[0],
    }
    return {**base, **fields}


def sent(vendor: Vendor, uid: str, **fields: Any) -> dict[str, Any]:
    wamid = fields.get("wamid", f"wamid.of.{uid}")
    response = {"contacts": [{"wa_id": CUSTOMER}], "messages": [{"id": wamid}]}
    base = {"wamid": wamid, "message_status": "accepted", "response": response}
    return outcome(vendor, uid, "accepted", **{**base, **fields})


def log(caller: Caller, uid: str) -> Row:
    (row,) = caller.backend.rows("whatsapp_message_logs", _uid=uid)
    return row


def contact(caller: Caller, vendor: Vendor) -> Row:
    (row,) = caller.backend.rows("contacts", vendors__id=vendor.id)
    return row
