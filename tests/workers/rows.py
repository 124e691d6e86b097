"""Claimed rows and results of sends for the tests of the campaign path."""

import itertools
from typing import Any

from contracts.backend import ClaimedRow, SendError, SendOutcome, SendResult
from workers.sending.send_queue import ClaimedSend

CAMPAIGN = "campaign-1"
NUMBER = "110"
CLAIM = "claim-1"

_numbers = itertools.count(1)


def claimed_row(uid: str | None = None, **more: Any) -> ClaimedRow:
    number = next(_numbers)
    values = {
        "uid": uid or f"row-{number}",
        "to": f"999{number:08d}",
        "template_name": "offer",
        "template_language": "en",
        "components": [{"type": "body", "parameters": []}],
        **more,
    }
    return ClaimedRow(**values)


def queued(uid: str | None = None, claim_uid: str = CLAIM, **more: Any) -> ClaimedSend:
    return ClaimedSend(claimed_row(uid, **more), claim_uid)


def result(uid: str, outcome: SendOutcome = SendOutcome.ACCEPTED, **more: Any) -> SendResult:
    values: dict[str, Any] = {
        "uid": uid,
        "vendor_uid": "vendor-1",
        "campaign_uid": CAMPAIGN,
        "claim_uid": CLAIM,
        "outcome": outcome,
        "at": 1_750_000_000_000,
        "phone_number_id": NUMBER,
    }
    if outcome is SendOutcome.ACCEPTED:
        values["wamid"] = f"wamid.{uid}"
    else:
        values["error"] = SendError(code=131026, message="undeliverable")
    return SendResult(**{**values, **more})
