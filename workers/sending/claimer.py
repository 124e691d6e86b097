"""Claiming a campaign's rows, one claim ahead of what is being sent."""

import time
import uuid

import structlog

from contracts import backend as contract
from contracts.backend import ClaimedRow, ErrorCode
from sidecar.metrics import METRICS, ROWS_REFUSED
from sidecar.php.client import Backend, BackendRefused
from sidecar.redis.lease import Lease
from sidecar.spans import SPANS, Span, named, since
from workers.sending.ledger import Ledger
from workers.sending.send_queue import ClaimedSend

log = structlog.get_logger()

#: So many rows of an answer are named in the log.
ROWS_NAMED = 5

#: So many rows that were sent are remembered.
MAX_REMEMBERED = 10_000

#: Room between the fences of two holders, whose tokens may be neighbours.
CALLS_PER_LEASE = 1000

#: There is no such campaign any more, and so no row of it.
GONE = (ErrorCode.CAMPAIGN_UNKNOWN, ErrorCode.VENDOR_UNKNOWN)


class CampaignStopped(Exception):
    """PHP refuses claims for the campaign: it is paused or cancelled or gone, or somebody newer
    has it. The text is PHP's code."""


class Claimer:
    """Claims for whoever holds the campaign. ``exhausted``: no row is due any more."""

    def __init__(
        self,
        backend: Backend,
        ledger: Ledger,
        lease: Lease,
        *,
        vendor_uid: str,
        campaign_uid: str,
    ) -> None:
        self._backend = backend
        self._ledger = ledger
        self._lease = lease
        self._vendor_uid = vendor_uid
        self._campaign_uid = campaign_uid
        self._unanswered: str | None = None
        self._calls = 0
        self._in_hand: list[str] = []
        self._accepted: dict[str, None] = {}
        self.exhausted = False

    async def claim(self, limit: int, now: int) -> list[ClaimedSend]:
        """Return the next rows, written down as claimed. Raises ``BackendError`` if PHP did
        not answer; the next call then starts with asking what that claim has brought; and
        :class:`~sidecar.redis.lease.LeaseLost`: what was claimed is the next holder's."""
        if self._unanswered is not None:
            claim_uid = self._unanswered
            answer = await self._ask(claim_uid, limit, recover=True)
            if rows := await self._take(claim_uid, answer):
                return rows
        claim_uid, began_at = str(uuid.uuid4()), time.monotonic()
        await self._ledger.about_to_claim(self._lease, claim_uid, now)
        self._unanswered = claim_uid
        answer = await self._ask(claim_uid, limit, recover=False)
        rows = await self._take(claim_uid, answer)
        self._record_span(claim_uid, began_at, rows)
        # Not before the rows are there: whoever sees neither takes the campaign for finished.
        self.exhausted = answer.due == 0
        return rows

    def _record_span(self, claim_uid: str, began_at: float, rows: list[ClaimedSend]) -> None:
        if SPANS.on:
            span = named(claim_uid)._replace(trace=named(self._campaign_uid).trace)
            facts: dict[str, str | int] = {"campaign": self._campaign_uid, "rows": len(rows)}
            sends = SPANS.ids_of_all([row.uid for row in rows])
            times = since(time.monotonic() - began_at)
            SPANS.add(Span("claim", span, *times, attributes=facts, links=sends))

    async def recover(self, claim_uid: str) -> None:
        """Write down the rows that an earlier holder's claim has brought. Raises
        :class:`~sidecar.redis.lease.LeaseLost`."""
        answer = await self._ask(claim_uid, contract.MAX_CLAIM, recover=True)
        await self._note(claim_uid, answer.rows, answer)

    def _next_fence(self) -> int:
        """Every call's fence is higher than the last one's. So when PHP gets to a claim late,
        after its caller has given up on it and asked what it had brought, it refuses the claim,
        and no row is left in status 3 that nobody knows of."""
        self._calls += 1
        return self._lease.token * CALLS_PER_LEASE + self._calls

    def accepted(self, row_uid: str) -> None:
        """Note that a row has been sent: nothing that PHP says makes it go out again."""
        self._accepted[row_uid] = None
        if len(self._accepted) > MAX_REMEMBERED:
            del self._accepted[next(iter(self._accepted))]

    async def _take(
        self, claim_uid: str, answer: contract.ClaimMessagesAnswer
    ) -> list[ClaimedSend]:
        """Write down what a claim has brought, and return what of it is to be sent."""
        rows = [row for row in answer.rows if row.uid not in self._accepted]
        reasons = await self._note(claim_uid, rows, answer)
        self._in_hand.append(claim_uid)
        refused: dict[str, list[str]] = {}
        if again := [row.uid for row in answer.rows if row.uid in self._accepted]:
            refused["accepted"] = again
        for row, reason in zip(rows, reasons, strict=True):
            if reason:
                refused.setdefault(reason, []).append(row.uid)
        for reason, uids in refused.items():
            METRICS.counter(ROWS_REFUSED, reason).add(len(uids))
            log.error(
                "claimed_rows.refused",
                vendor=self._vendor_uid,
                campaign=self._campaign_uid,
                claim=claim_uid,
                reason=reason,
                count=len(uids),
                rows=uids[:ROWS_NAMED],
            )
        given = zip(rows, reasons, strict=True)
        return [ClaimedSend(row, claim_uid) for row, reason in given if not reason]

    async def _note(
        self,
        claim_uid: str,
        rows: list[ClaimedRow],
        answer: contract.ClaimMessagesAnswer | None = None,
    ) -> list[str]:
        reasons = await self._ledger.claimed(
            self._lease,
            claim_uid,
            [row.uid for row in rows],
            expired=answer.expired if answer else 0,
            skipped=answer.skipped if answer else 0,
            in_hand=self._in_hand,
        )
        if self._unanswered == claim_uid:
            self._unanswered = None
        return reasons

    async def _ask(
        self, claim_uid: str, limit: int, *, recover: bool
    ) -> contract.ClaimMessagesAnswer:
        request = contract.ClaimMessagesRequest(
            vendor_uid=self._vendor_uid,
            campaign_uid=self._campaign_uid,
            claim_uid=claim_uid,
            fence=self._next_fence(),
            limit=limit,
            recover=recover,
        )
        try:
            return await self._backend.call(
                contract.CLAIM_MESSAGES, request, contract.ClaimMessagesAnswer
            )
        except BackendRefused as error:
            if error.status not in (404, 409):
                raise
            if not recover or error.code in GONE:
                # Refused means that nothing was claimed, and of what is gone nothing is held.
                await self._note(claim_uid, [])
            raise CampaignStopped(error.code) from None
