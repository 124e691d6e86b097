"""Messages of unknown outcome, which PHP keeps: the call to the Cloud API was made, and nobody
knows what became of it. A status settles most of them; what stays is for a person to decide."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from contracts import backend as contract
from contracts.backend import MAX_CLAIM, ResolveAction, UnknownMessage, UpdateResult
from sidecar.format import duration
from sidecar.php.client import Backend

_PAGE = 500


@dataclass(frozen=True, slots=True)
class Choice:
    """Which messages are meant: those of unknown outcome for so long, of a vendor, of a campaign.
    None: of all."""

    vendor_uid: str | None = None
    campaign_uid: str | None = None
    older_than_s: int = 0

    @property
    def text(self) -> str:
        """Return it in words."""
        parts = [
            f"of vendor {self.vendor_uid}" if self.vendor_uid else "",
            f"of campaign {self.campaign_uid}" if self.campaign_uid else "",
            f"unknown for {duration(self.older_than_s)}" if self.older_than_s else "",
        ]
        return ", ".join(part for part in parts if part) or "all"


class UnknownMessages:
    """Raises :class:`sidecar.php.client.BackendError` where PHP does not answer as it should."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def all(self, choice: Choice) -> AsyncIterator[UnknownMessage]:
        """Yield those that are chosen, the oldest first."""
        async for page in self.pages(choice):
            for message in page:
                yield message

    async def pages(self, choice: Choice) -> AsyncIterator[list[UnknownMessage]]:
        """As :meth:`all`, some hundreds at a time. Those of a page may be resolved before the next
        one is asked for."""
        after: str | None = None
        while True:
            found, after = await self.page(choice, after, _PAGE)
            yield found
            if after is None:
                return

    async def page(
        self, choice: Choice, after: str | None, limit: int
    ) -> tuple[list[UnknownMessage], str | None]:
        """Return some of them, and where the next page begins; None at the end."""
        request = contract.UnknownMessagesRequest(
            vendor_uid=choice.vendor_uid,
            campaign_uid=choice.campaign_uid,
            older_than_s=choice.older_than_s,
            limit=limit,
            after=after,
        )
        page = await self._backend.call(
            contract.UNKNOWN_MESSAGES, request, contract.UnknownMessagesAnswer
        )
        return page.messages, page.next

    async def resolve(
        self, uids: Sequence[str], action: ResolveAction, reason: str | None = None
    ) -> list[UpdateResult]:
        """Have them sent again, or given up. Return what PHP says of each."""
        results: list[UpdateResult] = []
        for start in range(0, len(uids), MAX_CLAIM):
            request = contract.ResolveMessagesRequest(
                row_uids=list(uids[start : start + MAX_CLAIM]), action=action, reason=reason
            )
            answer = await self._backend.call(
                contract.RESOLVE_MESSAGES, request, contract.ResolveMessagesAnswer
            )
            results += answer.results
        return results
