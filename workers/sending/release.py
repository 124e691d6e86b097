"""Giving back what was claimed and certainly not sent."""

from typing import Any

from contracts import backend as contract
from contracts.backend import CampaignState
from sidecar.php.client import Backend, BackendRefused
from workers.sending.claimer import GONE
from workers.sending.ledger import Ledger
from workers.sending.send_queue import ClaimedSend


class Release:
    """Collects a campaign's unsent rows and returns them to PHP's queue.

    Each row goes back under the claim that brought it, so that a late call cannot return a row
    that somebody else has claimed since.
    """

    def __init__(
        self, backend: Backend, ledger: Ledger, *, vendor_uid: str, campaign_uid: str
    ) -> None:
        self._backend = backend
        self._ledger = ledger
        self._vendor_uid = vendor_uid
        self._campaign_uid = campaign_uid
        self._rows: dict[str, list[str]] = {}

    def add(self, row_uid: str, claim_uid: str) -> None:
        """Have a row given back."""
        self._rows.setdefault(claim_uid, []).append(row_uid)

    def add_rows(self, rows: list[ClaimedSend]) -> None:
        for row in rows:
            self.add(row.uid, row.claim_uid)

    async def commit(self, *, forget: bool = True) -> None:
        """Tell PHP, then drop the rows from the ledger, unless somebody else holds the campaign
        now and the ledger is theirs (``forget``). Raises ``BackendError``; what PHP has not taken
        by then stays in the ledger, for the next holder."""
        rows, self._rows = self._rows, {}
        for claim_uid, row_uids in rows.items():
            for start in range(0, len(row_uids), contract.MAX_CLAIM):
                chunk = row_uids[start : start + contract.MAX_CLAIM]
                try:
                    await self._call(row_uids=chunk, claim_uid=claim_uid)
                except BackendRefused as error:
                    if error.code not in GONE:
                        raise
                if forget:
                    await self._ledger.released(claim_uid, chunk)

    async def keep_state(self, state: CampaignState, reason: str | None) -> None:
        """Have PHP keep that the campaign is paused or cancelled, and why."""
        await self._call(campaign_state=state, reason=reason)

    async def _call(self, **fields: Any) -> None:
        request = contract.ReleaseMessagesRequest(
            vendor_uid=self._vendor_uid, campaign_uid=self._campaign_uid, **fields
        )
        await self._backend.call(contract.RELEASE_MESSAGES, request, contract.ReleaseMessagesAnswer)
