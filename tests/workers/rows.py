"""Claimed rows and results of sends for the tests of the campaign path."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from contracts.backend import ClaimedRow, SendError, SendOutcome, SendResult
from sidecar.redis import keys
from sidecar.redis.lease import Lease, Leases
from sidecar.sending.campaigns import campaign_lease
from workers.sending.ledger import Ledger, LedgerState
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


async def have_claimed(
    ledger: Ledger, claim_uid: str, row_uids: list[str], **more: Any
) -> list[str]:
    """Have whoever holds the campaign, or did a moment ago, write down what a claim has brought."""
    async with _holder(ledger) as lease:
        return await ledger.claimed(lease, claim_uid, row_uids, **more)


async def have_asked(ledger: Ledger, claim_uid: str) -> None:
    """Have whoever holds the campaign, or did a moment ago, note a claim, and no more."""
    async with _holder(ledger) as lease:
        await ledger.about_to_claim(lease, claim_uid, 1)


async def state_of(ledger: Ledger) -> LedgerState:
    """Return all that is in a ledger."""
    async with _holder(ledger) as lease:
        return await ledger.leftovers(lease)


@asynccontextmanager
async def _holder(ledger: Ledger) -> AsyncIterator[Lease]:
    name = campaign_lease(ledger._campaign_uid)
    async with Leases(ledger._redis, 10_000).hold(name) as lease:
        token = await ledger._redis.get(keys.lease(name))
        yield lease or Lease(name, int(token or 0))


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
